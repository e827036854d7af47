"""How many no-op tasks a second one process runs, and what a task costs the worker and the server."""

from __future__ import annotations

import argparse

from benchmarks.harness import fresh_server, in_child, repeat, report, server_cpu, url_of
from buraq import Buraq


def run(tasks: int, slots: int) -> dict[str, float]:
    """One run on a fresh server, all tasks waiting before the worker starts."""
    with fresh_server() as client:
        queue = Buraq(redis_url=url_of(client))
        fill(queue, tasks)
        before = server_cpu(client)
        figures = in_child("consume", client, "noop", "--tasks", tasks, "--slots", slots)
        figures["server µs/task"] = (server_cpu(client) - before) / tasks * 1e6
        return figures


def fill(queue: Buraq, tasks: int) -> None:
    """Enqueue no-op tasks with the original's payload."""

    @queue.task(name="noop")
    def noop(user_id: int, template: str) -> None: ...

    noop.enqueue_many([{"user_id": n, "template": "welcome"} for n in range(tasks)])


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--slots", type=int, nargs="*", default=[50, 1000, 10_000])
    options = parser.parse_args()
    cases = [
        repeat(f"1 process, {slots} slots", lambda slots=slots: run(options.tasks, slots), options.runs)  # type: ignore[misc]
        for slots in options.slots
    ]
    report("process", cases, {"tasks": options.tasks, "runs": options.runs})


if __name__ == "__main__":
    main()
