"""How large the faults are in this run, and what was found in it: a file for docs/reliability.md.

`make test` runs each fault small. `make faults N=10000` runs them with so many tasks, and keeps the figures.
"""

from __future__ import annotations

import json
import os
import random
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from buraq.version import __version__
from tests.faults.ledger import Kill, Ledger, recoveries

N = int(os.environ.get("FAULTS_N") or 0)
SEED = int(os.environ.get("FAULTS_SEED") or 1)
FILE = Path(__file__).parents[2] / "benchmarks" / "results" / "fault-suite.json"


def size(small: int, share: float = 1.0, most: int | None = None) -> int:
    """Return how many: `small` in `make test`, in a large run that share of its N, and never more than `most`."""
    large = max(small, round(N * share)) if N else small
    return large if most is None else min(large, most)


def promised(seconds: float) -> float:
    """Return the deadline for what is promised within so many seconds.

    In a large run, which has a machine to itself and whose figures are published, it is that. In `make test`, whose
    machine may be busy or stand still, there is some more: less than a lease takes to run out, so that what comes by
    that alone still shows.
    """
    return seconds if N else seconds + 4.5


def chance(fault: str) -> random.Random:
    """Return the randomness of a fault: the same in each run with the same seed."""
    return random.Random(f"{fault} {SEED}")


@dataclass
class Verdict:
    """What became of the tasks of one fault."""

    accepted: int
    lost: int
    runs: int
    run_twice: int  # tasks with more than one run of the same attempt
    committed_twice: int
    kills: int = 0
    buried: int = 0
    leftovers: Mapping[str, int] = field(default_factory=dict)  # how much of what
    recoveries: dict[int, list[float]] = field(default_factory=dict)
    resumed: Collection[float] = ()  # seconds until work went on, where no task's recovery tells

    def within(self, first: float) -> None:
        """Assert that all but one in a hundred of what was cut off for the first time started again in time."""
        seconds = self.recoveries.get(1)
        assert seconds, "nothing was cut off: the test tested nothing"
        assert percentile(seconds, 0.99) <= first, f"{sorted(seconds)[-10:]}"

    def kept(self) -> Verdict:
        """Assert that nothing was lost, committed twice or left."""
        assert (self.lost, self.committed_twice, self.leftovers) == (0, 0, {}), self
        return self


def judge(
    ledger: Ledger,
    accepted: Collection[str],
    *,
    kills: Iterable[Kill] = (),
    events: Mapping[str, int] | None = None,
    buried: Collection[str] = (),
    leftovers: Mapping[str, int] | None = None,
    resumed: Collection[float] = (),
) -> Verdict:
    """Count. `events` says how often a completion or a burial of each task was published: once for each commit.

    A commit that a worker process did not live to write down is in the events alone, one that was published while the
    server was away from its listeners in the ledger alone. Neither may name a task twice.
    """
    kills = list(kills)
    runs = ledger.runs()
    attempts = Counter((run.id, run.attempt) for run in runs)
    commits = Counter(line.id for line in ledger.lines("committed"))
    twice = {task for counted in (commits, events or {}) for task, count in counted.items() if count > 1}
    return Verdict(
        accepted=len(accepted),
        lost=len(set(accepted) - ledger.ended() - set(buried)),
        runs=len(runs),
        run_twice=len({task for (task, _), count in attempts.items() if count > 1}),
        committed_twice=len(twice),
        kills=len(kills),
        buried=len(buried),
        leftovers=leftovers or {},
        recoveries=recoveries(runs, kills, ledger.sandboxes()),
        resumed=resumed,
    )


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def written(what: str, verdict: Verdict, **more: float) -> dict[str, Any]:
    """Return what a file says of a fault and of what it left."""
    cut_off = [second for seconds in verdict.recoveries.values() for second in seconds]
    return {
        "what": what,
        "kills": verdict.kills,
        "accepted": verdict.accepted,
        "lost": verdict.lost,
        "runs": verdict.runs,
        "run twice": verdict.run_twice,
        "committed twice": verdict.committed_twice,
        "buried": verdict.buried,
        "leftovers": sum(verdict.leftovers.values()),
        "cut off": len(cut_off),
        "recovery s": _spread(verdict.recoveries.get(1) or verdict.resumed),
        "recovery of suspects s": _spread([s for n, each in verdict.recoveries.items() if n > 1 for s in each]),
        **{name: round(value, 3) for name, value in more.items()},
    }


class Results:
    """The verdicts of a run; those of a large one are kept in the file."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}

    def add(self, fault: str, what: str, verdict: Verdict, **more: float) -> None:
        """Note what a fault left; `fault` is its number in docs/reliability.md, with a letter where it has several."""
        self._found[fault] = written(what, verdict, **more)
        if N:
            self._keep(fault)

    def _keep(self, fault: str) -> None:
        """Write it into the file, in which all others stay as they were."""
        known = json.loads(FILE.read_text()) if FILE.exists() else {"faults": {}}
        facts = {"tasks": N, "seed": SEED, "buraq": __version__, "machine": machine()}
        known["faults"][fault] = {**self._found[fault], **facts}
        known["faults"] = dict(sorted(known["faults"].items(), key=lambda pair: _order(pair[0])))
        FILE.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")


def _spread(seconds: Collection[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    if len(seconds) == 1:
        return {"once": round(*seconds, 2)}
    return {
        "p50": round(statistics.median(seconds), 2),
        "p99": round(percentile(seconds, 0.99), 2),
        "max": round(max(seconds), 2),
    }


def _order(fault: str) -> tuple[int, str]:
    digits = "".join(letter for letter in fault if letter.isdigit())
    return int(digits), fault
