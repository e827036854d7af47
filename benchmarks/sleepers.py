"""How many one-second tasks one process has waiting at once: tasks a second, memory, lag of the wake-ups."""

from __future__ import annotations

import argparse

from benchmarks.harness import fresh_server, in_child, repeat, report, url_of
from buraq import Buraq


def run(tasks: int) -> dict[str, float]:
    """One run: as many slots as tasks."""
    with fresh_server() as client:
        queue = Buraq(redis_url=url_of(client))

        @queue.task(name="sleep")
        def sleep(seconds: float) -> None: ...

        sleep.enqueue_many([{"seconds": 1.0}] * tasks)
        return in_child("consume", client, "sleepers", "--tasks", tasks, "--slots", tasks)


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="*", default=[10_000, 20_000])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.runs = [100], 1
    cases = [
        repeat(f"{n:,} sleepers", lambda n=n: run(n), options.runs, 0 if options.quick else 1) for n in options.tasks
    ]  # type: ignore[misc]
    report("sleepers", cases, {"runs": options.runs}, keep=not options.quick)


if __name__ == "__main__":
    main()
