"""The processes that a benchmark starts beside its server, and how long workers take to work off what waits."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from redis import Redis

from benchmarks.harness import ROOT, environment, server_cpu

STREAM = "buraq_tasks"
PATIENCE = 300.0  # seconds in which nothing that is measured here may fail to end
_EVERY, _EVERY_AT_LAST = 0.01, 0.001  # seconds between two looks at what is left


class Child:
    """`benchmarks.<module>` in a process of its own, which begins and ends when it is told.

    It has imported and connected when this returns, so that none of that is measured. See benchmarks/cue.py.
    """

    def __init__(
        self, module: str, client: Redis, *arguments: object, settings: Mapping[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        self.name = " ".join(command[2:])
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(client, settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._next_line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def check(self) -> None:
        """Raise RuntimeError with what it wrote when it has ended."""
        if self._process.poll() is not None:
            self._errors.seek(0)
            raise RuntimeError(f"{self.name} ended:\n{self._errors.read().decode(errors='replace')[-4000:]}")

    def begin(self) -> None:
        """Have it begin."""
        self._tell("begin")

    def end(self) -> None:
        """Have it end; its figures come with `figures`."""
        self._tell("end")

    def figures(self) -> dict[str, Any]:
        """Wait for its figures, which it tells when it ends. Raises RuntimeError when it ends without."""
        return dict(json.loads(self._next_line()))

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def _next_line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self.check()
        return line


def work_off(client: Redis, workers: Sequence[Child], left: int = 0) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Have workers run what waits until `left` tasks are left, and end them. Returns what that took, and their figures.

    The time is from the start of the first task to the moment at which the server has the last outcome.
    """
    return work_off_all(lambda: int(client.xlen(STREAM)), lambda: server_cpu(client), workers, left)  # type: ignore[arg-type]


def work_off_all(
    count: Callable[[], int], used_by_servers: Callable[[], float], workers: Sequence[Child], left: int = 0
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Do as `work_off`, wherever the tasks are: `count` says how many wait, `used_by_servers` CPU seconds."""
    waiting, before = count(), used_by_servers()
    for worker in workers:
        worker.begin()
    now = wait_until_left(count, workers, left, waiting)
    ended, used = time.monotonic(), used_by_servers() - before
    for worker in workers:
        worker.end()
    told = [worker.figures() for worker in workers]
    begun = min(one["first"] for one in told if one["tasks"])  # of few tasks one worker may get none
    seconds, done = ended - begun, waiting - now
    figures = {
        "tasks/s": done / seconds,
        "worker µs/task": sum(one["cpu"] for one in told) / sum(one["tasks"] for one in told) * 1e6,
        "server µs/task": used / done * 1e6,
        "MB": max(one["peak"] for one in told) / 1e6,
        **{f"worker {number} cores": one["cpu"] / seconds for number, one in enumerate(told, 1)},
        "server cores": used / seconds,
    }
    return figures, told


def wait_until_left(count: Callable[[], int], workers: Sequence[Child], left: int, tasks: int) -> int:
    """Wait until no more than `left` of `tasks` tasks are counted, and return how many there are.

    A look costs the server some 10 µs, so there are few of them until it is nearly over. Raises RuntimeError when a
    worker ends before, or when it takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while (now := count()) > left:
        for worker in workers:
            worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{now:,} of {tasks:,} tasks were left after {PATIENCE:g} s")
        time.sleep(_EVERY if now - left > tasks / 20 else _EVERY_AT_LAST)
    return now
