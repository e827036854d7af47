"""What a million tasks a second would take, by what benchmarks/scaling.py has measured: arithmetic, no measurement."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

RATE = 1_000_000  # tasks a second
LOAD = 0.6  # of a server's core, at most: what is above it is for peaks, failovers and the fork of a snapshot
WORKING = 0.8  # of a worker process's core
BACKLOG = 60.0  # seconds of tasks that wait
WAYS = {"many": "`enqueue_many`", "50 greenlets": "50 callers in each process", "1 caller": "one caller"}


def needs(
    figures: Mapping[str, float], shards: int, how: str, rate: float = RATE
) -> dict[str, float | tuple[int, int]]:
    """Return what so many no-op tasks a second take that are enqueued in one way.

    In clusters with half as many masters as shards, which are even, each with workers of its own: such a process has a
    lane at each shard of its cluster.
    """
    workers = math.ceil(rate * figures["worker µs"] / 1e6 / WORKING)
    of_tasks = rate * (figures[f"{how}: servers µs"] + figures["servers µs"]) / 1e6
    servers = max(1, shards // 2)  # of a cluster
    clusters = math.ceil(of_tasks / LOAD / servers)
    connections = workers * 4 * (shards + servers)
    traffic = figures[f"{how}: traffic B"] + figures["traffic B"]
    return {
        "cores of producers": rate * figures[f"{how}: producer µs"] / 1e6,
        "cores of servers": of_tasks,
        f"clusters × masters, each at {LOAD:.0%} of a core at most": (clusters, servers),
        f"worker processes, each at {WORKING:.0%} of a core": workers,
        "cores of servers for those processes when they are idle": workers * figures["idle: servers ms/s"] / 1e3,
        "connections of workers": connections,
        "of them at each master": connections / clusters / servers,
        "traffic of all servers, Gbit/s": rate * traffic * 8 / 1e9,
        "traffic of each, Mbit/s": rate * traffic * 8 / 1e6 / clusters / servers,
        f"memory of {BACKLOG:.0f} s of waiting tasks, GB": rate * BACKLOG * figures["B/task"] / 1e9,
    }


def say_needs(done: Sequence[dict[str, Any]]) -> None:
    """Print a Markdown table for each case with one master."""
    for case in done:
        if case["case"].startswith("1 master") and case["figures"]:
            figures = {name: figure["median"] for name, figure in case["figures"].items()}
            columns = [needs(figures, _shards(case), how) for how in WAYS]
            print(f"\n{RATE:,} tasks a second, by the costs of {case['case']}:\n")
            print(f"| enqueued by | {' | '.join(WAYS.values())} |")
            print(f"|---|{'---|' * len(WAYS)}")
            for name in columns[0]:
                print(f"| {name} | {' | '.join(_cell(column[name]) for column in columns)} |")


def _shards(case: dict[str, Any]) -> int:
    return int(case["case"].split(", ")[1].split()[0])


def _cell(value: float | tuple[int, int]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]} × {value[1]}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
