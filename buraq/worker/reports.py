"""Log lines that the lease thread leaves for the hub: the handlers' locks belong to greenlets."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from gevent import monkey

from buraq.log import written

log = logging.getLogger("buraq.worker.lease")


class Reports:
    """Lines that wait to be logged, the last hundred of them."""

    def __init__(self, worker: str) -> None:
        """`worker` is the name of this process, which each line says."""
        self._worker = worker
        self._lines: deque[tuple[int, str, dict[str, object]]] = deque(maxlen=100)

    def add(self, level: int, event: str, facts: dict[str, object]) -> None:
        """Leave a line. Any thread may."""
        self._lines.append((level, event, {**facts, "worker": self._worker}))

    def log(self) -> None:
        """Write the lines. Called from a greenlet."""
        for level, event, facts in self._taken():
            log.log(level, event, extra=facts)

    def cry_out(self) -> None:
        """Write the lines to stderr past the handlers: the hub may never turn again, and nobody would know why."""
        for level, event, facts in self._taken():
            record = log.makeRecord(log.name, level, __file__, 0, event, (), None, extra=facts)
            # In a thread of its own: a pipe that nobody empties must not cost us the lease.
            monkey.get_original("_thread", "start_new_thread")(os.write, (2, f"{written(record)}\n".encode()))

    def _taken(self) -> Iterator[tuple[int, str, dict[str, object]]]:
        """Take the lines out one by one; the thread and the hub may both be at it."""
        with suppress(IndexError):
            while True:
                yield self._lines.popleft()
