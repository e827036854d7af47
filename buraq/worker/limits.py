"""When a worker process has done enough, and is to be replaced by a fresh one."""

from __future__ import annotations

import logging
from collections.abc import Callable

from buraq.config import Config
from buraq.worker.facts import memory_bytes

log = logging.getLogger(__name__)


class Limits:
    """Compares a process with MAX_TASKS and MAX_MEMORY_MB; 0 is no limit."""

    def __init__(self, config: Config, tasks: Callable[[], int], memory: Callable[[], int] = memory_bytes) -> None:
        """`tasks` says how many the process has run, `memory` how many bytes it takes. To be made before the first."""
        self._max_tasks = config.max_tasks
        self._max_memory = config.max_memory_mb * 1_000_000
        self._tasks = tasks
        self._memory = memory
        if self._max_memory and memory() >= self._max_memory:
            facts = {"MAX_MEMORY_MB": config.max_memory_mb, "memory_mb": round(memory() / 1e6, 1)}
            log.error(
                "MAX_MEMORY_MB is less than a worker process needs before it runs a task: set it higher", extra=facts
            )
            self._max_memory = 0  # else one process would follow the other without end

    @property
    def set(self) -> bool:
        """Whether there is any."""
        return bool(self._max_tasks or self._max_memory)

    def reached(self) -> str | None:
        """Return the setting whose limit is reached, None while none is."""
        if self._max_tasks and self._tasks() >= self._max_tasks:
            return "MAX_TASKS"
        if self._max_memory and self._memory() >= self._max_memory:
            return "MAX_MEMORY_MB"
        return None
