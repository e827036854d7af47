"""How many tasks a second are enqueued, by one caller and by many at once, and how long each call takes."""

from __future__ import annotations

import argparse

from benchmarks.harness import fresh_server, in_child, repeat, report, server_cpu

# name -> callers, their share of the tasks of a run, patched
CASES = {
    "1 caller": (1, 0.5, True),
    "1 caller, unpatched": (1, 0.5, False),
    "50 greenlets": (50, 1.0, True),
    "1,000 greenlets": (1000, 1.0, True),
    "10,000 greenlets, one task each": (10_000, 0.0, True),
    "8 threads, unpatched": (8, 0.5, False),
    "50 threads, unpatched": (50, 0.5, False),
}


def run(*arguments: object, tasks: int) -> dict[str, float]:
    """One run on a fresh server."""
    with fresh_server() as client:
        before = server_cpu(client)
        figures = in_child("produce", client, *arguments)
        figures["server µs/task"] = (server_cpu(client) - before) / tasks * 1e6
    return figures


def callers(case: str, tasks: int) -> dict[str, float]:
    """One run of a case."""
    count, share, patched = CASES[case]
    count = min(count, tasks)
    each = max(1, int(tasks * share / count))
    return run("--callers", count, "--each", each, *(["--patched"] if patched else []), tasks=count * each)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.runs = 200, 1
    tasks, warm_up = options.tasks, 0 if options.quick else 1
    cases = [
        repeat(case, lambda case=case: callers(case, tasks), options.runs, warm_up)  # type: ignore[misc]
        for case in CASES
    ]
    many = f"enqueue_many of {tasks:,}"
    cases.append(repeat(many, lambda: run("--many", tasks, tasks=tasks), options.runs, warm_up))
    report("enqueue", cases, {"tasks": tasks, "runs": options.runs}, keep=not options.quick)


if __name__ == "__main__":
    main()
