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
    options = parser.parse_args()
    cases = [
        repeat("idle: enqueue to start", lambda: run("idle", options.tasks), options.runs),
        repeat("delayed: due to start", lambda: run("delayed", options.tasks), options.runs),
    ]
    report("latency", cases, {"tasks": options.tasks, "runs": options.runs})


if __name__ == "__main__":
    main()
