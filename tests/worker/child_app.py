"""Tasks for the children of a worker. What they must know of each other is in files of a folder."""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

import gevent

from buraq import Buraq

log = logging.getLogger("shop")
queue = Buraq()
running = 0  # in this process
armed = False


@queue.task(keep_result=True)
def innocent(folder: str, who: str) -> list[int]:
    """Wait for the death of the process; after that return its number, and how many ran there."""
    global running
    running += 1
    try:
        if not Path(folder, "dead").exists():
            Path(folder, f"here-{who}").touch()
            gevent.sleep(60)
        if armed:
            os.abort()
        gevent.sleep(0.05)  # so that it would meet another one
        return [os.getpid(), running]
    finally:
        running -= 1


@queue.task
def guilty(folder: str, neighbours: int) -> None:
    """Take the process down when all neighbours are in it, and whenever it runs again."""
    while not Path(folder, "dead").exists() and len(list(Path(folder).glob("here-*"))) < neighbours:
        gevent.sleep(0.01)
    Path(folder, "dead").touch()
    os.abort()


@queue.task
def leaves_something_behind(folder: str) -> None:
    """Break the process for the next one, in its second run."""
    global armed
    if not Path(folder, "dead").exists():
        Path(folder, "here-breaker").touch()
        gevent.sleep(60)
    armed = True


@queue.task(timeout=0.2, max_retries=0)
def never_lets_go(folder: str, neighbours: int) -> None:
    """Compute in C, with the interpreter's lock held."""
    while not Path(folder, "dead").exists() and len(list(Path(folder).glob("here-*"))) < neighbours:
        with suppress(BaseException):
            gevent.sleep(0.01)
    Path(folder, "dead").touch()
    sum(range(10**15))


@queue.task(pool="process")
def clean_up(folder: str) -> None:
    """Wait for a stop, and tidy up."""
    Path(folder, "here-clean").touch()
    try:
        time.sleep(60)
    finally:
        Path(folder, "cleaned").touch()


@queue.task(pool="process")
def swell(megabytes: int) -> None:
    """Hold so much memory that it shows, and die."""
    hold = b"x" * megabytes * 1_000_000
    time.sleep(0.3)
    os.kill(os.getpid(), len(hold) and 9)


@queue.task(pool="process", keep_result=True)
def number() -> int:
    """Return the number of the process."""
    return os.getpid()


@queue.task(pool="process")
def say() -> None:
    """Log what JSON cannot hold."""
    try:
        raise ValueError("half a pair: \ud800")
    except ValueError:
        log.exception("it broke", extra={"where": Path("/somewhere"), "many": [1, {2}]})
    log.debug("nobody wants to know")
