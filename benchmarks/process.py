"""How many no-op tasks a second do one and two processes run, and what does a task cost worker and server?

Beside them a consumer without any bookkeeping, as a yardstick: see benchmarks/floor.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.children import Child, work_off
from benchmarks.harness import Figures, fresh_server, measure, parser
from benchmarks.plots import lines
from benchmarks.work import enqueue_noops

FLOOR = "floor: no bookkeeping"
EVENTS_A_TASK = 2  # that it is processed, and that it is complete


def run(worker: str, processes: int, slots: int, watched: bool, options: argparse.Namespace) -> Figures:
    """One run on a fresh server, on which all tasks wait before the workers start."""
    with ExitStack() as stack:
        client = stack.enter_context(fresh_server(aof=options.aof))
        enqueue_noops(client, options.tasks)
        watcher = stack.enter_context(Child("watch", client)) if watched else None
        workers = [stack.enter_context(Child(worker, client, "--slots", slots)) for _ in range(processes)]
        if watcher:
            watcher.begin()
        figures, _ = work_off(client, workers)
        if watcher:
            watcher.end()
            heard = watcher.figures()
            if heard["events"] < EVENTS_A_TASK * options.tasks:
                raise RuntimeError(f"{options.tasks:,} tasks, and of their events {heard['events']:,} were heard")
            figures["watcher cores"] = heard["cpu"] * figures["tasks/s"] / options.tasks
            figures["events/task"] = heard["events"] / options.tasks
    return figures


def words(processes: int, slots: int, watched: bool) -> str:
    """Return the name of a case."""
    return f"{processes} process{'' if processes == 1 else 'es'}, {slots:,} slots{', watched' if watched else ''}"


def plot(done: Sequence[dict[str, Any]], path: Path, options: argparse.Namespace) -> None:
    """Draw how the rate grows with the slots."""
    figures = {case["case"]: case["figures"] for case in done}
    panels: dict[str, dict[str, list[Any]]] = {}
    for title in ("tasks/s", "worker µs/task"):
        panels[title] = {
            f"{processes} process{'' if processes == 1 else 'es'}{', events watched' if watched else ''}": [
                (slots, figures[words(processes, slots, watched)][title]) for slots in options.slots
            ]
            for processes in options.processes
            for watched in options.watched
        }
        for case in figures:
            if case.startswith(FLOOR):
                panels[title][FLOOR] = [(options.floor_slots, figures[case][title])]
    lines(path, "slots", panels)


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__, aof=True)
    arguments.add_argument("--tasks", type=int, default=100_000, help="of one run")
    arguments.add_argument("--processes", type=int, nargs="*", default=[1, 2])
    arguments.add_argument("--slots", type=int, nargs="*", default=[50, 1000, 10_000], help="of each process")
    arguments.add_argument("--watched", choices=["no", "yes"], nargs="*", default=["no", "yes"], help="the events")
    arguments.add_argument("--floor-slots", type=int, default=1000, help="of the yardstick; 0 leaves it out")
    options = arguments.parse_args()
    options.watched = [word == "yes" for word in options.watched]
    if options.quick:
        options.tasks, options.slots, options.floor_slots = 1000, [50], 50
    cases = {}
    if options.floor_slots:
        cases[FLOOR] = lambda: run("floor", 1, options.floor_slots, False, options)
    for processes in options.processes:
        for slots in options.slots:
            for watched in options.watched:
                cases[words(processes, slots, watched)] = lambda processes=processes, slots=slots, watched=watched: run(
                    "consume", processes, slots, watched, options
                )
    name = "process-aof" if options.aof else "process"
    done = measure(name, cases, options)
    if not options.quick:
        plot(done, options.results / name, options)


if __name__ == "__main__":
    main()
