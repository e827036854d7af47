"""How many tasks a second are enqueued, by one caller and by many at once, and how long does each call take?"""

from __future__ import annotations

import argparse

from benchmarks.harness import Figures, fresh_server, in_child, measure, parser, server_cpu

# name -> callers, their share of the tasks of a run, patched by gevent
CALLERS = {
    "1 caller": (1, 0.4, True),
    "1 caller, unpatched": (1, 0.4, False),
    "50 greenlets": (50, 1.0, True),
    "1,000 greenlets": (1000, 1.0, True),
    "10,000 greenlets, one task each": (10_000, 0.0, True),
    "8 threads, unpatched": (8, 0.5, False),
    "50 threads, unpatched": (50, 0.5, False),
}


def run(tasks: int, aof: bool, *arguments: object) -> Figures:
    """One run on a fresh server."""
    with fresh_server(aof=aof) as client:
        before = server_cpu(client)
        figures = in_child("produce", client, *arguments)
        used = server_cpu(client) - before
        accepted = client.xlen("buraq_tasks")
    if accepted != tasks + figures.pop("warm up"):
        raise RuntimeError(f"{tasks} tasks were enqueued, and the server has {accepted}")
    seconds = figures.pop("seconds")
    return figures | {"server µs/task": used / tasks * 1e6, "server cores": used / seconds}


def call(case: str, options: argparse.Namespace) -> Figures:
    """One run in which each call enqueues one task."""
    callers, share, patched = CALLERS[case]
    callers = min(callers, options.tasks)
    each = max(1, int(options.tasks * share / callers))
    patch = ["--patched"] if patched else []
    return run(callers * each, options.aof, "--callers", callers, "--each", each, *patch)


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__, aof=True)
    arguments.add_argument("--tasks", type=int, default=100_000, help="of one run; of few callers less")
    options = arguments.parse_args()
    if options.quick:
        options.tasks = 200
    cases = {case: lambda case=case: call(case, options) for case in CALLERS}
    many = f"enqueue_many of {options.tasks:,}"
    cases[many] = lambda: run(options.tasks, options.aof, "--many", options.tasks)
    measure("enqueue-aof" if options.aof else "enqueue", cases, options)


if __name__ == "__main__":
    main()
