"""Reads what the tasks wrote down, and counts: what was lost, what ran twice, and how long it took to recover."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

WAKE = "w"  # tasks that only keep the queue from standing still; they are not counted


@dataclass
class Run:
    """One run of a task: in which process it started, when, and when it ended."""

    process: str  # the ledger's file, so that an id that the system uses twice is two processes
    start: float
    end: float | None = None
    cut: float | None = None  # when its process was killed


@dataclass
class Ledger:
    """All that was written into a folder, read on from where the last read ended."""

    folder: Path
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    runs: dict[str, list[Run]] = field(default_factory=lambda: defaultdict(list))
    killed: dict[int, float] = field(default_factory=dict)  # process ids, and when
    _read: dict[str, int] = field(default_factory=dict)
    _open: dict[tuple[str, str], Run] = field(default_factory=dict)

    def read(self) -> None:
        """Take in what is new."""
        for entry in sorted(os.scandir(self.folder), key=lambda entry: entry.name):
            at = self._read.get(entry.name, 0)
            if entry.stat().st_size == at:
                continue
            with open(entry.path, "rb") as file:
                file.seek(at)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read[entry.name] = at + len(whole + newline)
            for line in whole.decode().splitlines():
                self._take(entry.name, *line.split())

    def _take(self, process: str, what: str, task: str, when: str) -> None:
        at = float(when)
        if what == "accepted":
            self.accepted.add(task)
        elif what == "refused":
            self.refused.add(task)
        elif what == "start":
            run = self._open[process, task] = Run(process, at)
            self.runs[task].append(run)
        elif open_run := self._open.pop((process, task), None):
            open_run.end = at

    def kill(self, processes: Iterable[int], at: float) -> None:
        """Note that processes were killed."""
        self.killed |= dict.fromkeys(processes, at)

    def mark(self) -> None:
        """Note which runs the kills have cut off."""
        for (process, _), run in self._open.items():
            at = self.killed.get(pid_of(process))
            if at is not None and run.start <= at and run.cut is None:
                run.cut = at

    def running(self) -> dict[str, Run]:
        """Return the runs that have neither ended nor been cut off, by task."""
        self.mark()
        return {task: run for (_, task), run in self._open.items() if run.cut is None}

    def ended(self) -> set[str]:
        """Return the tasks that have run to their end."""
        return {task for task, runs in self.runs.items() if any(run.end is not None for run in runs)}

    def outstanding(self) -> set[str]:
        """Return the tasks that were accepted, count, and have not run to their end."""
        return {task for task in self.accepted - self.ended() if not task.startswith(WAKE)}


def pid_of(process: str) -> int:
    return int(process.partition(".")[0])


def at_once(runs: list[Run], now: float) -> bool:
    """Whether two runs of a task overlapped, both in living processes."""
    spans = sorted((run.start, run.end or run.cut or now) for run in runs)
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def recoveries(runs: list[Run]) -> list[float | None]:
    """Return for each run that was cut off the seconds from the kill to the task's next start, None if there is none.

    A task that runs somewhere else already, or has run to its end, needs no recovery.
    """
    seconds: list[float | None] = []
    for run in runs:
        if run.cut is None:
            continue
        others = [other for other in runs if other is not run]
        if any(other.start <= run.cut and (other.end is not None or other.cut is None) for other in others):
            continue
        later = [other.start for other in others if other.start > run.cut]
        seconds.append(min(later) - run.cut if later else None)
    return seconds
