"""How fast one process runs tasks while very many more wait, and what a waiting task costs the server in memory."""

from __future__ import annotations

import argparse
from typing import Any

from redis import Redis

from benchmarks.harness import fresh_server, in_child, repeat, report, server_cpu, url_of
from buraq import Buraq

AT_ONCE = 50_000


def fill(client: Redis, tasks: int) -> dict[str, float]:
    """Enqueue no-op tasks with the original's payload, and return what each costs the server."""
    queue = Buraq(redis_url=url_of(client))

    @queue.task
    def noop(user_id: int, template: str) -> None: ...

    noop.enqueue(0, template="welcome")
    entries: Any = client.xrange("buraq_tasks", count=1)
    payload = entries[0][1]["payload"]
    before = memory(client)
    for first in range(1, tasks, AT_ONCE):
        last = min(tasks, first + AT_ONCE)
        noop.enqueue_many([{"user_id": number, "template": "welcome"} for number in range(first, last)])
    cost = (memory(client) - before) / (tasks - 1)
    return {"B/task": cost, "B/task beside its payload": cost - len(payload)}


def memory(client: Redis) -> int:
    """Return how many bytes the server uses, those of its data structures alone."""
    said: Any = client.info("memory")
    return int(said["used_memory_dataset"])


def run(waiting: int, tasks: int, slots: int) -> dict[str, float]:
    """One run on a fresh server: so many tasks are run that `waiting` others are still there in the end."""
    with fresh_server() as client:
        costs = fill(client, waiting + tasks)
        before = server_cpu(client)
        figures = in_child("consume", client, "noop", "--tasks", tasks, "--slots", slots)
        figures["server µs/task"] = (server_cpu(client) - before) / tasks * 1e6
    return figures | costs


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--tasks", type=int, default=100_000, help="run and measured, beside those that wait")
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.waiting, options.tasks, options.runs = [200, 1000], 200, 1
    warm_up = 0 if options.quick else 1
    cases = [
        repeat(f"{n:,} waiting", lambda n=n: run(n, options.tasks, options.slots), options.runs, warm_up)  # type: ignore[misc]
        for n in options.waiting
    ]
    settings = {"tasks": options.tasks, "slots": options.slots, "runs": options.runs}
    report("backlog", cases, settings, keep=not options.quick)


if __name__ == "__main__":
    main()
