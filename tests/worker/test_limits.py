"""When a process has done enough."""

import logging
from typing import Any

import pytest

from buraq.config import Config
from buraq.worker.limits import Limits


class Process:
    """A process that has run so many tasks and takes so much memory, in MB."""

    def __init__(self, **limits: Any) -> None:
        self.tasks, self.megabytes = 0, 50.0
        self.limits = Limits(Config(**limits), lambda: self.tasks, lambda: int(self.megabytes * 1_000_000))


def test_without_limits_none_is_reached() -> None:
    process = Process()
    process.tasks, process.megabytes = 10**9, 10**6

    assert (process.limits.set, process.limits.reached()) == (False, None)


def test_the_number_of_tasks_is_a_limit() -> None:
    process = Process(max_tasks=1000)
    process.tasks = 999
    assert (process.limits.set, process.limits.reached()) == (True, None)

    process.tasks = 1000
    assert process.limits.reached() == "MAX_TASKS"


def test_memory_is_a_limit() -> None:
    process = Process(max_memory_mb=100)
    process.megabytes = 99.9
    assert (process.limits.set, process.limits.reached()) == (True, None)

    process.megabytes = 100
    assert process.limits.reached() == "MAX_MEMORY_MB"


def test_a_limit_that_is_reached_before_the_first_task_is_none_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Process(max_memory_mb=50)

    [said] = caplog.records
    assert (said.levelno, said.memory_mb) == (logging.ERROR, 50.0)  # type: ignore[attr-defined]
    assert (process.limits.set, process.limits.reached()) == (False, None)
