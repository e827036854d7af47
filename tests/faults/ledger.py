"""What tasks and workers wrote down outside the server, and what can be read from it."""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """One line of the ledger."""

    what: str
    task: str
    id: str
    attempt: int
    pid: int
    at: float


@dataclass
class Run:
    """One run of a task: where it started and when, and when it ended, if it did."""

    id: str
    attempt: int
    pid: int
    start: float
    end: float | None = None


class Ledger:
    """An append-only file. Tasks write `start` and `end`, workers what the server confirmed of their outcomes:
    `committed` (completed or buried), `retried`, `released`, `late` (somebody else's by then) or `unknown`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        self._lines: list[Line] = []
        self._ended: set[str] = set()
        path.touch()

    def _take_in(self) -> None:
        """Read on from where the last read ended, up to the last whole line."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole + newline)
        for row in whole.decode().splitlines():
            what, task, task_id, attempt, pid, at = row.split()
            self._lines.append(Line(what, task, task_id, int(attempt), int(pid), float(at)))
            if what == "end":
                self._ended.add(task_id)

    def lines(self, what: str | None = None) -> list[Line]:
        self._take_in()
        return [line for line in self._lines if what in (None, line.what)]

    def ended(self) -> set[str]:
        self._take_in()
        return set(self._ended)

    def starts(self) -> Counter[str]:
        return Counter(line.id for line in self.lines("start"))

    def runs(self) -> list[Run]:
        """Return all runs in the order of their starts. One that failed, and is retried, has ended too."""
        runs: list[Run] = []
        under_way: dict[tuple[str, int, int], Run] = {}
        for line in self.lines():
            if line.what == "start":
                runs.append(Run(line.id, line.attempt, line.pid, line.at))
                under_way[line.id, line.attempt, line.pid] = runs[-1]
            elif line.what in ("end", "retried") and (run := under_way.pop((line.id, line.attempt, line.pid), None)):
                run.end = line.at
        return runs

    def sandboxes(self) -> set[int]:
        """Return the processes that ran what another was told the outcome of: the children of worker processes."""
        started: dict[tuple[str, int], int] = {}
        found = set()
        for line in self.lines():
            if line.what == "start":
                started[line.id, line.attempt] = line.pid
            elif line.what in ("committed", "retried"):
                found.add(started.get((line.id, line.attempt), line.pid))
                found.discard(line.pid)
        return found

    def running(self, pids: Iterable[int]) -> bool:
        """Say whether a task runs in one of these processes."""
        pids = set(pids)
        return any(run.end is None and run.pid in pids for run in self.runs())

    def last_commit(self) -> float:
        """Return when the last task was committed."""
        return max(line.at for line in self.lines("committed"))

    def longest_pause(self, since: float) -> float:
        """Return the most seconds for which no task was committed, from a moment until the last one was."""
        times = [since, *sorted(line.at for line in self.lines("committed") if line.at > since)]
        return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


class Kill(NamedTuple):
    """Processes that were killed together, and when."""

    pids: frozenset[int]
    at: float


def now() -> float:
    """Return the time by the clock that the ledger's lines are stamped with."""
    return time.time()


def recoveries(runs: list[Run], kills: Iterable[Kill], sandboxes: Collection[int]) -> dict[int, list[float]]:
    """Return the seconds from a kill to the next start of each task that it cut off, by how often it had been cut off.

    A task that starts again in one of `sandboxes` is a suspect, and has been cut off twice at least: once perhaps
    between its fetch and its start, of which it wrote nothing. A task that a kill cut off and that never started again
    is an AssertionError.
    """
    by_task: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_task[run.id].append(run)
    killed = {pid: kill.at for kill in kills for pid in kill.pids}
    seconds: defaultdict[int, list[float]] = defaultdict(list)
    for own in by_task.values():
        deaths = 0
        for run, following in zip(own, [*own[1:], None], strict=True):
            if run.end is None and run.pid in killed:
                deaths += 1
                assert following is not None, f"task {run.id} was cut off and never started again"
                known = max(deaths, 2) if following.pid in sandboxes else deaths
                seconds[known].append(following.start - killed[run.pid])
    return dict(seconds)
