"""How do other Python task queues do the same work: no-op tasks, enqueueing, and tasks that sleep?

Each system runs in a virtual environment of its own, which this script builds, with the fastest settings that it
documents and that keep what it has of safety. Before each of its runs Buraq does the same, so that both have the same
machine. What is done is written down after each run: --resume goes on with it, --only does some of it anew.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import build, versions
from benchmarks.harness import Figures, failure, medians, parser, report, summary
from benchmarks.machine import commit, weather
from benchmarks.plots import bars
from benchmarks.systems import SYSTEMS, System
from benchmarks.trials import Sizes, enqueue_sizes, noop_sizes, produce, sleepers_sizes, work
from benchmarks.words import line

OURS = SYSTEMS["buraq"]
WARM_UP_RUNS = 1


class Work:
    """One kind of work: how large a run is, how it is done, and by which figures two systems are compared."""

    def __init__(
        self,
        measured: str,
        size: Callable[[System, int | None], Sizes],
        run: Callable[[System, Sizes], Figures],
        compared: dict[str, str],
    ) -> None:
        self.measured = measured
        self.size = size
        self.run = run
        self.compared = compared  # figure -> what it is called in the plot


WORKS = {
    "noop": Work(
        "seconds from the start of the first task to the end of the last one, by the worker process's own monotonic "
        "clock, and its CPU in the same time; all tasks wait before it starts",
        noop_sizes,
        lambda system, sizes: work(system, "noop", sizes["tasks"], sizes["slots"]),
        {"tasks/s": "no-op tasks/s, one process"},
    ),
    "enqueue": Work(
        "seconds in the enqueueing process, one caller, after ten calls that are not counted",
        enqueue_sizes,
        lambda system, sizes: produce(system, sizes["one"], sizes["bulk"]),
        {"one: tasks/s": "enqueued/s, one task a call", "bulk: tasks/s": "enqueued/s, in bulk"},
    ),
    "sleepers": Work(
        "as noop, with tasks that sleep for a second: 10,000, or 10 for each slot where that is less",
        sleepers_sizes,
        lambda system, sizes: work(system, "sleep", sizes["tasks"], sizes["slots"]),
        {"tasks/s": "one-second sleepers/s, one process"},
    ),
}


def facts(system: System) -> dict[str, Any]:
    """Return what the figures of a system depend on; with others they are not continued."""
    return {
        "settings": system.settings,
        "acknowledged": system.safety,
        "command": " ".join(system.command),
        "environment": system.environment,
        "packages": versions(system.venv),
    }


class Comparison:
    """One kind of work, done by Buraq and by others run by run in turn, and what is known of it so far."""

    def __init__(
        self,
        name: str,
        work: Work,
        systems: Sequence[System],
        options: argparse.Namespace,
        facts: Callable[[System], dict[str, Any]] = facts,
    ) -> None:
        self._facts = facts
        self._name = f"peers-{name}"
        self._work = work
        self._systems = [system for system in systems if system is not OURS]
        self._options = options
        self._cases: dict[str, dict[str, Any]] = {}  # of this and of earlier times, by the system's name
        self._ours: list[Figures] = []
        if not options.quick:
            self._recall()

    def _recall(self) -> None:
        """Take over what was measured before: of all systems that are not measured now, and with --resume of these."""
        again = {system.name: self._facts(system) for system in self._systems}
        for case in written(self._options.results / f"{self._name}.json"):
            name = case["case"]
            if name == OURS.name:
                self._ours = case["runs"]
            elif name not in again or (self._options.resume and again[name].items() <= case.items()):
                self._cases[name] = case
        self._ours = [row for row in self._ours if row["before"] in self._cases]

    def measure(self) -> bool:
        """Do what is missing, and return whether Buraq could do all of it."""
        ours = self._work.size(OURS, self._options.tasks)
        warm_up = 0 if self._options.quick else WARM_UP_RUNS
        for number in range(warm_up + self._options.runs):
            for system in self._systems:
                case = self._cases.get(system.name) or self._begin(system)
                done = len(case["runs"]) + case["warm-ups"]
                if case["failed"] or done > number or done >= warm_up + self._options.runs:
                    continue
                if not self._pair(system, case, ours, counts=case["warm-ups"] >= warm_up):
                    return False
                self._write()
        self._write()
        return True

    def _begin(self, system: System) -> dict[str, Any]:
        """Find out how large a run of a system is."""
        case: dict[str, Any] = failure(system.name, "") | {"warm-ups": 0}
        case |= {"date": time.strftime("%Y-%m-%d"), "commit": commit()}
        case |= {} if self._options.quick else self._facts(system)
        try:
            case["sizes"] = self._work.size(system, self._options.tasks)
        except RuntimeError as error:
            case["failed"] = str(error)
            print(f"  {system.name} failed: {error}", file=sys.stderr)
        self._cases[system.name] = case
        return case

    def _pair(self, system: System, case: dict[str, Any], ours: Sizes, counts: bool) -> bool:
        """Do one run of Buraq, and one of a system after it."""
        read_weather = weather()
        try:
            mine = self._work.run(OURS, ours)
        except RuntimeError as error:
            print(f"  {OURS.name} failed: {error}", file=sys.stderr)
            return False
        mine |= read_weather() | {"before": system.name}
        read_weather = weather()
        try:
            figures = self._work.run(system, case["sizes"]) | read_weather()
        except RuntimeError as error:
            case["failed"] = str(error)
            print(f"  {system.name} failed: {error}", file=sys.stderr)
            return True
        for figure in self._work.compared:
            if figure in figures and figure in mine:
                figures[times(figure)] = mine[figure] / figures[figure]
        print(f"  {system.name}{'' if counts else ', warm-up'}: {line(figures)}", file=sys.stderr)
        if counts:
            case["runs"].append(figures)
            case["figures"] = medians(case["runs"])
            self._ours.append(mine)
        else:
            case["warm-ups"] += 1
        return True

    def cases(self) -> list[dict[str, Any]]:
        """Return Buraq's case, and those of the others in their order."""
        others = [self._cases[system.name] for system in SYSTEMS.values() if system.name in self._cases]
        ours = self._facts(OURS) | (summary(OURS.name, self._ours) if self._ours else failure(OURS.name, ""))
        return [ours, *others]

    def _write(self) -> None:
        if not self._options.quick:
            settings = {"runs": self._options.runs, "measured": self._work.measured}
            report(self._name, self.cases(), settings, folder=self._options.results, show=False)

    def show(self) -> None:
        """Print the table, what failed, and beside each system its settings and how safe it is with them."""
        cases = self.cases()
        report(self._name, cases, {}, keep=False)
        print(
            "\nBuraq × is how many times as fast Buraq was, run by run. The settings, and when a task is acknowledged:"
        )
        for case in cases:
            system = next(system for system in SYSTEMS.values() if system.name == case["case"])
            print(f"  {system.name}: {system.settings}. Acknowledged {system.safety}.")

    @property
    def failed(self) -> bool:
        """Whether a system failed."""
        return any(case["failed"] for case in self._cases.values())


def times(figure: str) -> str:
    """Return what the figure is called that says how many times as fast Buraq is."""
    return f"{figure.removesuffix('tasks/s')}Buraq ×"


def written(path: Path) -> list[dict[str, Any]]:
    """Return the cases of a file of results, none where there is no such file."""
    return list(json.loads(path.read_text())["cases"]) if path.exists() else []


def plot(folder: Path) -> None:
    """Draw what the last runs wrote, so that the works may be measured one by one."""
    loses = {system.name for system in SYSTEMS.values() if system.loses}
    panels: dict[str, dict[str, float]] = {}
    for name, kind in WORKS.items():
        cases = written(folder / f"peers-{name}.json")
        for figure, title in kind.compared.items():
            values = {
                f"{case['case']}{' *' if case['case'] in loses else ''}": case["figures"][figure]["median"]
                for case in cases
                if figure in case["figures"]
            }
            if values:
                panels[title] = values
    if panels:
        bars(folder / "peers", panels, "* a task is gone from the server before it starts")


def main() -> None:
    """Do all works with all systems."""
    arguments = parser(__doc__)
    names = ",".join(name for name in SYSTEMS if name != "buraq")
    arguments.add_argument("--only", metavar="NAME,…", help=f"these systems beside Buraq, of {names}")
    arguments.add_argument("--works", nargs="*", choices=[*WORKS], default=[*WORKS])
    arguments.add_argument("--tasks", type=int, help="of one run; else as many as take some seconds")
    arguments.add_argument("--resume", action="store_true", help="keep the runs that there are, do what is missing")
    arguments.add_argument("--plot", action="store_true", help="only draw what was measured before")
    options = arguments.parse_args()
    only = options.only.split(",") if options.only else [name for name in SYSTEMS if name != "buraq"]
    if unknown := [name for name in only if name not in SYSTEMS]:
        arguments.error(f"there is no {', '.join(unknown)}: it takes some of {names}")
    if options.quick:
        options.runs, options.tasks, only = 1, options.tasks or 20, only if options.only else ["huey-threads"]
    if options.plot:
        return plot(options.results)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is a file, here and in the server
    systems = [SYSTEMS[name] for name in SYSTEMS if name in only]
    for system in systems:
        build(system.venv)
    well = True
    for name in options.works:
        print(f"\n{name}", file=sys.stderr)
        comparison = Comparison(name, WORKS[name], systems, options)
        well = comparison.measure() and well
        comparison.show()
        well = well and not (options.quick and comparison.failed)
    if not options.quick:
        plot(options.results)
    if not well:
        sys.exit(1)


if __name__ == "__main__":
    main()
