"""The queue that the fault tests run, and the ledger that its tasks keep outside the server.

A line for each start and each end: `start|end <task> <id> <attempt> <pid> <unix time>`.
"""

import contextlib
import os
import sys
import time

from buraq import Buraq, current_task

queue = Buraq()
_ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _note(what: str) -> None:
    task = current_task()
    # One write of one line: O_APPEND keeps the lines of several processes whole.
    os.write(_ledger, f"{what} {task.type} {task.id} {task.attempt} {os.getpid()} {time.time():.4f}\n".encode())


@queue.task
def nap(seconds: float = 0.05) -> None:
    _note("start")
    time.sleep(seconds)
    _note("end")


@queue.task(backoff=0.05)
def fail_once() -> None:
    _note("start")
    if current_task().attempt == 1:
        raise ValueError("the first attempt always fails")
    _note("end")


@queue.task(max_retries=0)
def leave_the_process() -> None:
    _note("start")
    sys.exit("a task wants to end the worker")


@queue.task(max_retries=0)
def raise_base() -> None:
    _note("start")
    raise BaseException("nothing catches this by accident")


@queue.task(max_retries=0, timeout=0.2)
def swallow_the_timeout() -> None:
    _note("start")
    with contextlib.suppress(BaseException):
        time.sleep(5)
    _note("end")


@queue.task
def burn(seconds: float) -> None:
    """Pure CPU: no other greenlet of the process runs meanwhile."""
    _note("start")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    _note("end")


@queue.task
def kill_the_process() -> None:
    _note("start")
    os._exit(1)


_leaked: list[bytes] = []


@queue.task
def leak(megabytes: int) -> None:
    """Take memory and never give it back."""
    _note("start")
    _leaked.append(b"x" * (megabytes * 1_000_000))
    _note("end")
