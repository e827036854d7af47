"""The queue that the fault tests run, and the ledger that it keeps outside the server.

A line is `<what> <task type> <id> <attempt> <pid> <unix time>`: a task's start, its end, and what the server confirmed
of its outcome. With SKEW the clock of the process is wrong by so many seconds, the ledger's is not. With HANG_AT_EXIT a
process does not end by itself. With LONGEST_NAP no nap takes longer.
"""

import atexit
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from gevent import monkey

from buraq import Buraq, current_task
from buraq.task import Completed, Dead, Delivery, Released, Retried, Task
from buraq.worker.accounts import Accounts

queue = Buraq()
_clock = time.time
_ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_WORDS = {Completed: "committed", Dead: "committed", Retried: "retried", Released: "released"}


def hang_at_exit() -> None:
    monkey.get_original("time", "sleep")(60)


if os.environ.get("HANG_AT_EXIT"):
    atexit.register(hang_at_exit)

_longest_nap = float(os.environ.get("LONGEST_NAP", "inf"))

if skew := float(os.environ.get("SKEW", 0)):
    time.time = lambda: _clock() + skew


def _write(lines: list[tuple[str, Task]]) -> None:
    end = f"{os.getpid()} {_clock():.4f}"
    text = "".join(f"{what} {task.type} {task.id} {task.attempt} {end}\n" for what, task in lines)
    os.write(_ledger, text.encode())  # at once: O_APPEND keeps the lines of several processes whole


def _note(what: str) -> None:
    _write([(what, current_task())])


def _noted(confirmed: Callable[..., None]) -> Callable[..., None]:
    """Write down what the server confirmed, before it is counted."""

    def note(accounts: Any, batch: list[Delivery], gone: frozenset[int], sure: bool) -> None:
        others = "late" if sure else "unknown"
        words = [others if n in gone else _WORDS.get(type(one.outcome), "dropped") for n, one in enumerate(batch)]
        _write([(word, one.task) for word, one in zip(words, batch, strict=True) if one.task is not None])
        confirmed(accounts, batch, gone, sure)

    return note


Accounts.confirmed = _noted(Accounts.confirmed)  # type: ignore[method-assign]


@queue.task
def nap(seconds: float = 0.05) -> None:
    _note("start")
    time.sleep(min(seconds, _longest_nap))
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
def hold_the_gil(seconds: float) -> None:
    """One call into C that lets no other thread run, the one that renews the lease included."""
    _note("start")
    sleep_with_the_gil = ctypes.PyDLL(None).usleep  # unlike CDLL's functions it is called without letting go
    sleep_with_the_gil(int(seconds * 1_000_000))
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
