"""What does a failover lose? Producers enqueue without a pause, the primary dies or is cut off, a replica takes over.

`python -m benchmarks.failover [--runs 5]` prints a Markdown table: for each fault and each setting how many
tasks were accepted, how many of those the new primary does not have (least, median, most), and how many calls were
refused. Whether a task is there is read from the index of the new primary, not asked of Buraq. All runs go to
`results/failover.json`.
"""

from gevent import monkey

monkey.patch_all()

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gevent

from benchmarks.harness import Figures, alternate, parser, report
from buraq import Buraq
from buraq.errors import QueueUnavailable
from tests.replicas import Replica, Replicated
from tests.servers import RUN, eventually

PRODUCERS = 16
LOAD_S, CUT_S = 2.0, 4.0  # seconds before the fault; seconds for which a primary is cut off before it is replaced
INDEX = "buraq_tasks:index"


def killed(servers: Replicated) -> None:
    """The primary is killed."""


def cut_off(servers: Replicated) -> None:
    """The primary is cut off from its replicas, and not from its clients, until one of them is promoted."""
    servers.freeze()
    gevent.sleep(CUT_S)


def has(replica: Replica) -> int:
    """Return how many bytes of its primary's writes a replica has."""
    with replica.client() as client:
        return int(client.info("replication")["slave_repl_offset"])


def run(fault: Callable[[Replicated], None], min_replicas: int, durability: str) -> Figures:
    """Have tasks enqueued on a primary with two replicas until it is replaced, and count what is gone."""
    with Replicated(2, aof=True, min_replicas=min_replicas, max_lag=1) as servers:
        queue = Buraq(redis_url=servers.primary.own_url, durability=durability, enqueue_timeout="500ms")
        accepted: list[str] = []
        refused: list[str] = []

        def produce() -> None:
            while True:
                try:
                    accepted.append(queue.enqueue("task", {}).id)
                except QueueUnavailable as error:
                    refused.append(error.task_ids[0])

        producers = [gevent.spawn(produce) for _ in range(PRODUCERS)]
        gevent.sleep(LOAD_S)
        fault(servers)
        servers.primary.kill()
        # As sentinels and clusters do: WAIT was answered when any one of them had it.
        servers.replicas.sort(key=has, reverse=True)
        promoted = servers.fail_over()
        gevent.killall(producers)
        with promoted.client() as client:
            eventually(lambda: client.info("replication")["role"] == "master")
            there = {str(name) for name in client.hkeys(INDEX)}
    return {"accepted": len(accepted), "lost": len(set(accepted) - there), "refused": len(refused)}


def cases() -> dict[str, Callable[[], Figures]]:
    """Return the runs by fault and settings, as the table has them."""
    return {
        f"{fault.__name__.replace('_', ' ')} | {min_replicas} | {durability}": partial(
            run, fault, min_replicas, durability
        )
        for fault in (killed, cut_off)
        for min_replicas in (0, 1)
        for durability in ("memory", "replica:1")
    }


def table(done: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the table, line by line."""
    yield "| fault | `min-replicas-to-write` | `DURABILITY` | accepted | lost: least, median, most | refused |"
    yield "|---|---|---|---|---|---|"
    for case in done:
        if case["failed"]:
            yield f"| {case['case']} | failed | | |"
            continue
        accepted, lost, refused = (case["figures"][name] for name in ("accepted", "lost", "refused"))
        spread = ", ".join(f"{lost[which]:,.0f}" for which in ("low", "median", "high"))
        yield f"| {case['case']} | {accepted['median']:,.0f} | {spread} | {refused['median']:,.0f} |"


def main() -> None:
    """Run all cases."""
    options = parser(__doc__).parse_args()
    os.environ.setdefault(RUN, uuid.uuid4().hex)
    runs = 1 if options.quick else options.runs
    done = alternate(cases(), runs, warm_up=0)  # nothing here gets faster
    for line in table(done):
        print(line, flush=True)
    report("failover", done, vars(options), keep=not options.quick, folder=options.results, show=False)
    if any(case["failed"] for case in done):
        sys.exit(1)


if __name__ == "__main__":
    main()
