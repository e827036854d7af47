"""How fast does one process run tasks while very many more wait, and what does a waiting task cost the server?"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from redis import Redis

from benchmarks.children import STREAM, Child, work_off
from benchmarks.harness import Figures, fresh_server, measure, parser
from benchmarks.plots import lines
from benchmarks.work import enqueue_noops

BYTES = "B/task beside its payload"


def fill(client: Redis, tasks: int) -> Figures:
    """Enqueue no-op tasks, and return what each costs the server in memory."""
    before = memory(client)
    enqueue_noops(client, tasks)
    cost = (memory(client) - before) / tasks
    [(_, fields)] = client.xrange(STREAM, count=1)  # type: ignore[misc,union-attr]
    return {"B/task": cost, BYTES: cost - len(fields["payload"])}


def memory(client: Redis) -> int:
    """Return how many bytes the server's data take."""
    said: Any = client.info("memory")
    return int(said["used_memory_dataset"])


def run(waiting: int, tasks: int, slots: int) -> Figures:
    """One run: so many tasks are run that `waiting` others are still there in the end."""
    with fresh_server() as client:
        costs = fill(client, waiting + tasks)
        with Child("consume", client, "--slots", slots) as worker:
            figures, _ = work_off(client, [worker], left=waiting)
    return figures | costs


def say_ratios(done: Sequence[dict[str, Any]]) -> None:
    """Say how the rates compare, round by round, with that of the shortest backlog."""
    first, *others = done
    for case in others:
        pairs = zip(case["runs"], first["runs"], strict=True)
        ratios = sorted(longer["tasks/s"] / shorter["tasks/s"] for longer, shorter in pairs)
        middle, low, high = statistics.median(ratios), ratios[0], ratios[-1]
        print(f"{case['case']}: {middle:.2f} ({low:.2f}–{high:.2f}) times the rate with {first['case']}")


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__)
    arguments.add_argument("--waiting", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], help="in the end")
    arguments.add_argument("--tasks", type=int, default=100_000, help="run and measured, beside those that wait")
    arguments.add_argument("--slots", type=int, default=1000)
    options = arguments.parse_args()
    if options.quick:
        options.waiting, options.tasks = [200, 1000], 200
    cases = {f"{n:,} waiting": lambda n=n: run(n, options.tasks, options.slots) for n in options.waiting}
    done = measure("backlog", cases, options)
    say_ratios(done)
    if not options.quick:
        titles = {"tasks/s": "tasks/s, one process", BYTES: "bytes on the server for each task, beside its payload"}
        points = list(zip(options.waiting, done, strict=True))
        panels = {
            title: {"": [(waiting, case["figures"][figure]) for waiting, case in points]}
            for figure, title in titles.items()
        }
        lines(options.results / "backlog", "tasks waiting", panels)


if __name__ == "__main__":
    main()
