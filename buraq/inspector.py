"""What the server holds, read for people, in a cluster all shards as one. It writes nothing but a cancel."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import cached_property

from buraq.backend import Backend
from buraq.keys import DEFAULT_QUEUE
from buraq.log import RateLimited
from buraq.replies import Broken
from buraq.shard_inspector import (
    MOST_TYPES,
    RATE_SECONDS,
    QueueCounts,
    QueuePace,
    ShardInspector,
    WorkerProcess,
)

__all__ = ["RATE_SECONDS", "Broken", "Inspector", "QueueCounts", "QueuePace", "WorkerProcess", "say_broken"]

_rare = RateLimited(logging.getLogger(__name__), seconds=60.0)


REMEDY = "something else has overwritten it: see with TYPE what it holds, then move it away with RENAME"


class Inspector:
    """Reads what the server holds, in a cluster all shards as one. Raises one of `connection.Unreachable` when it, or
    a part of it, is away, and what it answers where it refuses. What takes `broken` adds to that the keys that hold
    another type of value, and takes them for empty; without it, they are an error too.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @cached_property
    def _shards(self) -> list[ShardInspector]:
        return [ShardInspector(shard) for shard in self._backend.shards]

    def _likely_first(self, task_id: str) -> list[ShardInspector]:
        return [self._shards[shard.number] for shard in self._backend.likely_first(task_id)]

    def queues(self, broken: Broken | None = None) -> list[str]:
        """Return the names of the queues that exist, the default one first.

        Where the key with their names was overwritten, and `broken` is there to note it in: of those that the worker
        processes of the default queue say that they read.
        """
        found = {name for shard in self._shards for name in shard.queues(broken)}
        if broken and "queues" in broken.get(DEFAULT_QUEUE, {}).values():
            processes = [one for shard in self._shards for one in shard.workers([DEFAULT_QUEUE], broken)]
            found.update(name for one in processes for name in one.facts.get("queues", "").split(",") if name)
        return [DEFAULT_QUEUE, *sorted(found - {DEFAULT_QUEUE})]

    def counts(self, queue: str, broken: Broken | None = None) -> QueueCounts:
        """Return how many tasks of a queue are where, in two round trips to each shard whatever their number."""
        parts = [shard.counts(queue, broken) for shard in self._shards]
        return parts[0] if len(parts) == 1 else _sum(parts)

    def paces(self, queues: Sequence[str], broken: Broken | None = None) -> tuple[int, list[QueuePace]]:
        """Return the server's time in ms, and for each queue how fast it was in the last `RATE_SECONDS`."""
        now_ms, paces = self._shards[0].paces(queues, broken)
        for shard in self._shards[1:]:
            paces = [_faster(one, other) for one, other in zip(paces, shard.paces(queues, broken)[1], strict=True)]
        return now_ms, paces

    def statistics(self, queues: Sequence[str], broken: Broken | None = None) -> tuple[int, list[bytes]]:
        """Return the server's time in ms, and the statistics of each queue at each shard as the scripts keep them."""
        now_ms, found = self._shards[0].statistics(queues, broken)
        for shard in self._shards[1:] if queues else ():
            found += shard.statistics(queues, broken)[1]
        return now_ms, found

    def task_types(self, queues: Sequence[str], broken: Broken | None = None) -> dict[str, list[str]]:
        """Return the task types that live worker processes know, by name, with the queues that those read."""
        found = self._shards[0].task_types(queues, broken)
        for shard in self._shards[1:]:
            for name, readers in shard.task_types(queues, broken).items():
                found[name] = sorted({*found.get(name, ()), *readers}, key=list(queues).index)
        return dict(sorted(found.items())[:MOST_TYPES])

    def state(self, queue: str, task_id: str) -> str | None:
        """Return where a task is: waiting, running, scheduled or dead; None when it is nowhere."""
        states = (shard.state(queue, task_id) for shard in self._likely_first(task_id))
        return next((state for state in states if state is not None), None)

    def cancel(self, queue: str, task_id: str, attempts: bytes = b"", deaths: int = 0) -> str:
        """Take back a task that has not started. Returns CANCELLED, RUNNING, DEAD or UNKNOWN.

        `attempts` and `deaths` are what is known of its past, for the history.
        """
        words = (shard.cancel(queue, task_id, attempts, deaths) for shard in self._likely_first(task_id))
        return next((word for word in words if word != "UNKNOWN"), "UNKNOWN")

    def workers(self, broken: Broken | None = None) -> list[WorkerProcess]:
        """Return the worker processes of all queues, the lost ones of the last minutes too."""
        queues = self.queues(broken)
        found: dict[str, WorkerProcess] = {}
        for shard in self._shards:
            for process in shard.workers(queues, broken):
                known = found.get(process.id)
                found[process.id] = process if known is None else _merged(known, process)
        return [found[name] for name in sorted(found)]


def say_broken(broken: Broken) -> None:
    """Log each key that holds another type of value, once a minute: the figures that it would say are missing."""
    for queue, keys in broken.items():
        for key, what in keys.items():
            told = {"queue": queue, "broken_key": key, "unread": what, "remedy": REMEDY}
            _rare.error("a key holds another type of value", key=key, extra=told)


def _sum(parts: Sequence[QueueCounts]) -> QueueCounts:
    by_stream: Counter[str] = Counter()
    for part in parts:
        by_stream.update(part.waiting_by_stream)
    return QueueCounts(
        queue=parts[0].queue,
        waiting=sum(part.waiting for part in parts),
        running=sum(part.running for part in parts),
        scheduled=sum(part.scheduled for part in parts),
        dead=sum(part.dead for part in parts),
        oldest=max(part.oldest for part in parts),
        waiting_by_stream={name: by_stream[name] for name in parts[0].waiting_by_stream},
    )


def _merged(one: WorkerProcess, other: WorkerProcess) -> WorkerProcess:
    """Return what two shards know of a process. It says of itself what it says on the first one; it is lost when
    all its leases have run out.
    """
    facts = one.facts or other.facts
    status = next((each.status for each in (one, other) if each.facts and each.status != "lost"), "")
    status = status or ("active" if {one.status, other.status} != {"lost"} else "lost")
    queues = tuple(dict.fromkeys(one.queues + other.queues))
    until, in_flight = max(one.lease_until_ms, other.lease_until_ms), one.in_flight + other.in_flight
    return WorkerProcess(one.id, status, facts, queues, until, in_flight)


def _faster(one: QueuePace, other: QueuePace) -> QueuePace:
    """Return what a queue does at two shards together."""
    due = [ms for ms in (one.next_due_ms, other.next_due_ms) if ms is not None]
    return QueuePace({name: rate + other.rates[name] for name, rate in one.rates.items()}, min(due, default=None))
