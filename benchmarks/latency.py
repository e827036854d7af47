"""How long from enqueue to start on an idle worker, and how late a delayed task starts."""

from __future__ import annotations

import argparse

from benchmarks.harness import fresh_server, in_child, repeat, report


def run(what: str, tasks: int) -> dict[str, float]:
    """One run on a fresh server."""
    with fresh_server() as client:
        return in_child("consume", client, what, "--tasks", tasks, "--slots", 100)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.runs = 20, 1
    warm_up = 0 if options.quick else 1
    cases = [
        repeat("idle: enqueue to start", lambda: run("idle", options.tasks), options.runs, warm_up),
        repeat("delayed: due to start", lambda: run("delayed", options.tasks), options.runs, warm_up),
    ]
    report("latency", cases, {"tasks": options.tasks, "runs": options.runs}, keep=not options.quick)


if __name__ == "__main__":
    main()
