"""How many no-op tasks a second one process runs, and what a task costs the worker and the server."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from redis import Redis

from benchmarks.harness import fresh_server, in_child, repeat, report, server_cpu, url_of
from buraq import Buraq


@contextmanager
def somebody_listening(client: Redis) -> Iterator[None]:
    """Hear all events, and do nothing with them."""
    channel = client.pubsub(ignore_subscribe_messages=True)
    channel.subscribe("buraq_events")
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            channel.get_message(timeout=0.1)

    thread = threading.Thread(target=listen)
    thread.start()
    yield
    over.set()
    thread.join()
    channel.close()


def run(tasks: int, slots: int, watched: bool) -> dict[str, float]:
    """One run on a fresh server, all tasks waiting before the worker starts."""
    with ExitStack() as stack:
        client = stack.enter_context(fresh_server())
        queue = Buraq(redis_url=url_of(client))
        fill(queue, tasks)
        if watched:
            stack.enter_context(somebody_listening(client))
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
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.runs, options.slots = 1000, 1, [50]
    wanted = [(slots, False) for slots in options.slots] + [(options.slots[len(options.slots) // 2], True)]
    cases = [
        repeat(
            f"1 process, {slots} slots{', events heard' if watched else ''}",
            lambda slots=slots, watched=watched: run(options.tasks, slots, watched),  # type: ignore[misc]
            options.runs,
            0 if options.quick else 1,
        )
        for slots, watched in wanted
    ]
    report("process", cases, {"tasks": options.tasks, "runs": options.runs}, keep=not options.quick)


if __name__ == "__main__":
    main()
