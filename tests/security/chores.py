"""Tasks that make a worker do all that it can do."""

import logging
import os
import signal
import time
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


def _end(how: str, note: str) -> object:
    if how == "raise":
        raise ValueError("no")
    if how == "log":
        logging.getLogger(__name__).warning("said by a task")
    if how == "abort":
        os.abort()
    until = time.monotonic() + {"hang": 60.0, "spin": 60.0, "block": 0.5}.get(how, 0.0)
    while time.monotonic() < until:
        if how == "hang":
            time.sleep(0.01)
    return {note} if how == "no JSON" else None


@queue.task(max_retries=0, timeout=2, keep_result=True)
def takes(how: str, note: str) -> object:
    """End as it is told to; what else it was given is nobody's business."""
    return _end(how, note)


@queue.task(max_retries=0, timeout=2, keep_result=True, pool="process")
def takes_apart(how: str, note: str) -> object:
    """The same in a child process."""
    return _end(how, note)


@queue.task(max_retries=0)
def fails_with(**payload: object) -> None:
    """Say what came, in its first characters."""
    raise ValueError(f"got {payload!r:.40}")
