"""The arbiter's stop: all are told, and told again where that was lost; what is left in the end is killed."""

import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from buraq.worker.arbiter import GroupArbiter
from buraq.worker.board import Board, Row

# As one that has just been forked: the first SIGTERM is noted for nobody, the next one ends it.
DEAF_ONCE = """
import signal
signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
print("here", flush=True)
while True:
    signal.pause()
"""


class Stopping(GroupArbiter):
    """An arbiter that is about to stop, with processes that are no forks of it."""

    def __init__(self, grace: float) -> None:
        self.WORKERS = {}
        self.LISTENERS = []
        self.SIG_QUEUE = queue.SimpleQueue()
        self.killed = False
        self._grace = grace
        self._stats = {"workers_killed": 0}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._board = Board()

    def fork(self, program: str) -> tuple[subprocess.Popen[bytes], Row]:
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        row = self._board.free_row()
        row.claim(process.pid, f"w{process.pid}")
        self._processes.append(process)
        self.WORKERS[process.pid] = SimpleNamespace(row=row)
        return process, row

    def _reap(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                self.WORKERS.pop(process.pid, None)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def stopping() -> Iterator[Callable[[float], Stopping]]:
    made: list[Stopping] = []

    def make(grace: float) -> Stopping:
        made.append(Stopping(grace))
        return made[-1]

    yield make
    for arbiter in made:
        arbiter.end()


def test_who_was_forked_too_late_to_hear_the_stop_is_told_again(stopping: Callable[[float], Stopping]) -> None:
    arbiter = stopping(20.0)
    process, _ = arbiter.fork(DEAF_ONCE)

    arbiter.stop()

    assert process.wait(10) == -signal.SIGTERM
    assert not arbiter.killed


def test_who_drains_is_left_alone_until_the_grace_is_over(stopping: Callable[[float], Stopping]) -> None:
    arbiter = stopping(2.0)
    process, row = arbiter.fork(DEAF_ONCE)
    row.retire()

    arbiter.stop()

    assert process.wait(10) == -signal.SIGKILL
    assert arbiter.killed
