"""Tasks that make a worker do all that it can do."""

import os
import signal
from pathlib import Path

from buraq import Buraq, Reject, Snooze, current_task

queue = Buraq()


@queue.task(keep_result=True)
def add(a: int, b: int) -> int:
    return a + b


@queue.task(keep_result=True)
def fails_once() -> int:
    task = current_task()
    if task.current_retries == 0:
        raise ValueError("once")
    return task.current_retries


@queue.task(max_retries=0)
def fails() -> None:
    raise ValueError("always")


@queue.task
def rejected() -> None:
    raise Reject("no")


@queue.task(keep_result=True)
def snoozes_once(folder: str) -> str:
    mark = Path(folder, "snoozed")
    if not mark.exists():
        mark.touch()
        raise Snooze(0.05)
    return "awake"


@queue.task(keep_result=True)
def dies(folder: str, times: int) -> int:
    """Take the process down so often, and return how often it was."""
    died = len(list(Path(folder).glob("died-*")))
    if died < times:
        Path(folder, f"died-{died}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return died


@queue.task(keep_result=True)
def enqueues() -> str:
    return add.options(delay=0.05).enqueue(1, 1).id


@queue.task(pool="process", keep_result=True)
def computes(n: int) -> int:
    add.enqueue(n, n)
    return sum(range(n))


@queue.task(max_retries=0)
def fails_with(**payload: object) -> None:
    """Say what came, in its first characters."""
    raise ValueError(f"got {payload!r:.40}")
