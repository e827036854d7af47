"""Tasks that take their process down in every way there is, beside those of the ledger; some compute in children."""

import ctypes
import logging
import os
import re
import resource
import signal
import sys
import time
from contextlib import suppress

from buraq import current_task
from tests.faults.ledger_app import _note, queue

log = logging.getLogger("shop")


@queue.task
def abort() -> None:
    _note("start")
    os.abort()


@queue.task
def wait_at(gate: str, seconds: float) -> None:
    """Wait until there is a file, the open gate, and then take a while."""
    _note("start")
    while not os.path.exists(gate):
        time.sleep(0.2)
    time.sleep(seconds)
    _note("end")


@queue.task
def abort_when_told(order: str, gate: str) -> None:
    """Take an order away, which is a file, and abort; without one where the gate is open."""
    _note("start")
    while not os.path.exists(gate):
        with suppress(FileNotFoundError):
            os.unlink(order)
            break
        time.sleep(0.02)
    os.abort()


@queue.task
def end_the_process(how: str) -> None:
    """As a crash in C code does, as the kernel does when memory is short, or as a program does that is done."""
    _note("start")
    _end(how)


@queue.task(pool="process", keep_result=True)
def compute(n: int = 0) -> dict[str, object]:
    """Say what a task sees."""
    _note("start")
    log.info("computing", extra={"n": n})
    task = current_task()
    _note("end")
    return {"n": n, "pid": os.getpid(), "id": task.id, "attempt": task.attempt, "worker": task.worker_id}


@queue.task(pool="process")
def compute_nap(seconds: float) -> None:
    _note("start")
    time.sleep(seconds)
    _note("end")


@queue.task(pool="process", max_retries=0)
def fail() -> None:
    _note("start")
    raise ValueError("a computation that fails")


@queue.task(pool="process", max_retries=0)
def die(how: str) -> None:
    _note("start")
    _end(how)


def _end(how: str) -> None:
    if how == "abort":
        os.abort()
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(3)
    elif how == "sys.exit":
        sys.exit("a task wants to end the worker")
    elif how == "segfault":
        ctypes.string_at(0)


@queue.task(pool="process", max_retries=0)
def hog() -> None:
    """Ask for more memory than there may be."""
    _note("start")
    size = 512 << 20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    bytearray(size * 2)


@queue.task(pool="process", max_retries=1, backoff=0.05)
def die_once() -> None:
    _note("start")
    if current_task().attempt == 1:
        os.abort()
    _note("end")


@queue.task(pool="process", max_retries=0, timeout=0.3)
def loop_for_ever() -> None:
    """Pure Python that waits for nothing."""
    try:
        _note("start")  # its time may be up by then, where the machine stands still
        while True:
            pass
    finally:
        _note("end")


@queue.task(pool="process", max_retries=0, timeout=0.3)
def long_regex() -> None:
    """C code that looks for signals now and then."""
    _note("start")
    re.match(r"(a+)+$", "a" * 64 + "b")


@queue.task(pool="process", max_retries=0, timeout=0.3)
def endless_sum() -> None:
    """C code that nothing interrupts, with the interpreter's lock held."""
    _note("start")
    sum(range(10**15))


@queue.task(max_retries=0, timeout=0.3)
def endless_sum_beside_others() -> None:
    _note("start")
    sum(range(10**15))


@queue.task(max_retries=0, timeout=0.3)
def swallow_every_timeout_but_the_third() -> None:
    _note("start")
    for _ in range(2):
        with suppress(BaseException):
            time.sleep(60)
    time.sleep(60)


@queue.task(pool="process")
def enqueue_another(seconds: float = 0.0) -> None:
    _note("start")
    queue.enqueue("nap", {"seconds": seconds})
    _note("end")
