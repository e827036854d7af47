"""What does a task cost each server, worker and producer when its queue is spread over more masters?

On one machine more masters make nothing faster: they share its cores. What is looked at is CPU time. A cluster grows as
far as the cost of a task stays the same and is divided evenly; how far that holds is what this says.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

from benchmarks.children import Child, work_off_all
from benchmarks.harness import Figures, in_child, measure, parser
from benchmarks.masters import Masters, Seen, masters
from benchmarks.sizing import say_needs

# name -> what `benchmarks.produce` is told, and its share of the tasks of a run
PRODUCERS: Mapping[str, tuple[Callable[[int], Sequence[object]], float]] = {
    "1 caller": (lambda tasks: ("--callers", 1, "--each", tasks), 0.05),
    "50 greenlets": (lambda tasks: ("--patched", "--callers", 50, "--each", max(1, tasks // 50)), 0.2),
    "many": (lambda tasks: ("--many", tasks), 1.0),
}
FEW_ROWS = 32  # of a hash, from which on it is searched no more
CONNECTING = 2.0  # seconds that a worker has to take its leases, before it counts as idle


def micros(seen: Sequence[Seen], step: str, tasks: int) -> float:
    """Return the microseconds that all servers were in a command, by task."""
    return sum(one.micros[step] for one in seen) / tasks


def at_once(seen: Sequence[Seen], step: str, tasks: int) -> float:
    """Return how many tasks a call of a command was for."""
    return tasks / max(1, sum(one.calls[step] for one in seen))


def since(found: Masters, before: Sequence[Seen]) -> list[Seen]:
    """Return what each server has done since."""
    return [now.since(then) for now, then in zip(found.seen(), before, strict=True)]


def idle(found: Masters, slots: int, seconds: float) -> Figures:
    """Have a worker wait for tasks that do not come."""
    with Child("consume", found.clients[0], "--slots", slots, settings=found.settings) as worker:
        process = psutil.Process(worker.pid)
        worker.begin()
        time.sleep(CONNECTING if seconds >= 1 else seconds)
        times, used = process.cpu_times(), found.cpu()
        time.sleep(seconds)
        own, of_servers = process.cpu_times(), found.cpu() - used
        worker.end()
        told = worker.figures()
    return {
        "idle: worker ms/s": (own.user + own.system - times.user - times.system) / seconds * 1e3,
        "idle: servers ms/s": of_servers / seconds * 1e3,
        "connections: worker": told["connections"],
    }


def produce(found: Masters, how: str, tasks: int) -> Figures:
    """Enqueue tasks in one way."""
    words, share = PRODUCERS[how]
    before = found.seen()
    told = in_child("produce", found.clients[0], *words(max(50, int(tasks * share))), settings=found.settings)
    seen = since(found, before)
    count = round(told["tasks/s"] * told["seconds"])
    return {
        f"{how}: producer µs": told["client µs/task"],
        f"{how}: servers µs": sum(one.cpu for one in seen) / count * 1e6,
        f"{how}: in scripts µs": micros(seen, "evalsha", count),
        f"{how}: tasks/call": at_once(seen, "evalsha", count),
        f"{how}: traffic B": sum(one.traffic for one in seen) / count,
        "connections: producer": told["connections"],
    }


def work(found: Masters, processes: int, slots: int) -> Figures:
    """Run all that waits."""
    tasks, before = found.waiting(), found.seen()
    arguments: Any = ("consume", found.clients[0], "--slots", slots)
    workers = [Child(*arguments, settings=found.settings) for _ in range(processes)]
    try:
        figures, _ = work_off_all(found.waiting, found.cpu, workers)
    finally:
        for worker in workers:
            worker.__exit__()
    seen = since(found, before)
    used = sum(one.cpu for one in seen)
    return {
        "tasks/s": figures["tasks/s"],
        "worker µs": figures["worker µs/task"],
        "servers µs": figures["server µs/task"],
        "fetch µs": micros(seen, "xreadgroup", tasks),
        "scripts µs": micros(seen, "evalsha", tasks),
        "fetch: tasks/call": at_once(seen, "xreadgroup", tasks),
        "scripts: tasks/call": at_once(seen, "evalsha", tasks),
        "traffic B": sum(one.traffic for one in seen) / tasks,
        "busiest master": max(one.cpu for one in seen) / used if used else 1.0,
        "most shards": max(found.shards) / sum(found.shards),
        "workers cores": figures["tasks/s"] * figures["worker µs/task"] / 1e6,
        "servers cores": figures["server cores"],
        "MB": figures["MB"],
    }


def run(count: int, shards: int, options: argparse.Namespace, rows: int | None = None) -> Figures:
    """One run on fresh servers: a worker that is idle, tasks that are enqueued, and workers that run them.

    `rows` is the servers' hash-max-listpack-entries: up to so many rows a hash is a list that is searched.
    """
    figures: Figures = {}
    with masters(count, shards) as found:
        for client in found.clients if rows is not None else ():
            client.config_set("hash-max-listpack-entries", rows)
        figures |= idle(found, options.slots, options.idle)
        for how in PRODUCERS:
            before, waiting = found.memory(), found.waiting()
            figures |= produce(found, how, options.tasks)
            figures["B/task"] = (found.memory() - before) / (found.waiting() - waiting)
        figures |= work(found, options.processes, options.slots)
    return figures


def words(count: int, shards: int) -> str:
    """Return the name of a case."""
    return f"{count} master{'' if count == 1 else 's'}, {shards} shards" if count else "one server"


def say_model(done: Sequence[dict[str, Any]]) -> None:
    """Say what a call and a task cost the servers, and how well the cases without several masters tell the others."""
    seen = {case["case"]: {name: figure["median"] for name, figure in case["figures"].items()} for case in done}
    several = [case for case in done if case["case"].startswith(("2 ", "3 "))]
    known = [figures for case, figures in seen.items() if not case.startswith(("2 ", "3 "))]
    if len(known) < 2:
        return
    for what, points in (("enqueue", enqueue_points), ("run", run_points)):
        a_call, a_task = statistics.linear_regression(
            *zip(*(point for one in known for point in points(one)), strict=True)
        )
        print(f"{what}: {a_call:.1f} µs a call and {a_task:.1f} µs a task in the servers")
        for case in several:
            told = [(a_task + a_call * calls) / micros for calls, micros in points(seen[case["case"]])]
            print(f"  {case['case']}: predicted by measured {', '.join(f'{ratio:.2f}' for ratio in told)}")
    first = next((case for case in done if case["case"].startswith("1 ")), None)
    for case in several if first else ():
        say_rates(case, first)


def enqueue_points(figures: Mapping[str, float]) -> list[tuple[float, float]]:
    """Return, for each way to enqueue, the calls and the servers' microseconds of a task."""
    return [(1 / figures[f"{how}: tasks/call"], figures[f"{how}: servers µs"]) for how in PRODUCERS]


def run_points(figures: Mapping[str, float]) -> list[tuple[float, float]]:
    """Return the calls and the servers' microseconds that running a task takes."""
    calls = 1 / figures["fetch: tasks/call"] + 1 / figures["scripts: tasks/call"]
    return [(calls, figures["servers µs"])]


def say_rates(case: dict[str, Any], first: dict[str, Any]) -> None:
    """Say, round by round, how a case compares with another one, and how evenly its masters work.

    The rate that is predicted has the costs of the other case, and the cores that all processes had in this very run.
    """
    pairs = list(zip(case["runs"], first["runs"], strict=True))
    costs = [mine["servers µs"] / its["servers µs"] for mine, its in pairs]
    rates = [
        (mine["workers cores"] + mine["servers cores"])
        / ((its["worker µs"] + its["servers µs"]) / 1e6)
        / mine["tasks/s"]
        for mine, its in pairs
    ]
    busiest = [mine["busiest master"] / mine["most shards"] for mine, _ in pairs]
    print(
        f"{case['case']}: {_spread(costs)} times the servers' cost of {first['case']}; predicted by measured rate "
        f"{_spread(rates)}; CPU of the busiest master by its share of the shards {_spread(busiest)}"
    )


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__)
    arguments.add_argument("--tasks", type=int, default=50_000, help="of one run, enqueued in bulk; more one by one")
    arguments.add_argument("--masters", type=int, nargs="*", default=[0, 1, 2, 3], help="0: one server, no cluster")
    arguments.add_argument("--shards", type=int, nargs="*", default=[16], help="of the queue")
    arguments.add_argument("--more-shards", type=int, nargs="*", default=[64], help="with one master")
    arguments.add_argument("--processes", type=int, default=1, help="of workers")
    arguments.add_argument("--slots", type=int, default=1000, help="of each")
    arguments.add_argument("--idle", type=float, default=3.0, help="seconds that an idle worker is looked at")
    options = arguments.parse_args()
    if options.quick:
        options.tasks, options.masters, options.more_shards, options.idle = 200, [0, 2], [], 0.2
    sizes = [(count, shards if count else 1) for count in options.masters for shards in options.shards]
    sizes += [(1, shards) for shards in options.more_shards]
    cases = {words(*size): lambda size=size: run(*size, options) for size in sizes}
    for shards in options.more_shards:
        name = f"{words(1, shards)}, hash-max-listpack-entries {FEW_ROWS}"
        cases[name] = lambda shards=shards: run(1, shards, options, FEW_ROWS)
    done = measure("scaling", cases, options)
    say_model(done)
    say_needs(done)


if __name__ == "__main__":
    main()
