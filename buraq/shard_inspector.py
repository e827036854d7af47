"""What one shard holds, read for people: counts, one task, the worker processes. It writes nothing but a cancel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from buraq.backend import Shard
from buraq.keys import DEAD, DEFAULT_QUEUE, LETTERS, SCHEDULED, QueueKeys, is_entry
from buraq.records import write
from buraq.replies import Broken, all_checked, checked, group_of, pending_of, unix_ms, unless_broken
from buraq.statistics import NAMES, SECONDS, read
from buraq.task import PAYLOAD, Undecodable, decode

RATE_SECONDS = 10
MOST_TYPES = 1000


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many tasks of a queue are where. `oldest` is the age in seconds of what waits longest, 0 for none."""

    queue: str
    waiting: int
    running: int
    scheduled: int
    dead: int
    oldest: float
    waiting_by_stream: dict[str, int]


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """What a worker process said of itself, whether its lease holds, and how many tasks the server has handed to it."""

    id: str
    status: str  # active, draining or lost
    facts: dict[str, str]
    queues: tuple[str, ...]
    lease_until_ms: float = 0.0  # by the server's clock
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class QueuePace:
    """What a queue did by the second lately, and when its first scheduled task is due, in unix ms."""

    rates: dict[str, float]  # tasks a second: enqueued, completed, retried, dead
    next_due_ms: int | None


class _Found(NamedTuple):
    """A task where the index says that it is."""

    state: str  # waiting, running, scheduled or dead
    raw: bytes | None  # its JSON, None in an entry that has none


class ShardInspector:
    """Reads what one shard holds: on one server that is all.

    Raises one of `connection.Unreachable` when it is away, and what the server answers where it refuses. What takes
    `broken` adds to that the keys that hold another type of value, and takes them for empty: one of them must not hide
    all others. Without it, they are an error too.
    """

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._link = shard.server.shared

    def _ask(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Return the replies to commands none of which may be refused."""
        return all_checked(self._link.commands(commands)) if commands else []

    def queues(self, broken: Broken | None = None) -> list[str]:
        """Return the names of the queues that exist, the default one first.

        A key that holds another type of value is added to `broken`, as belonging to the default queue.
        """
        key = self._shard.names.queues
        [names] = self._link.commands([("SMEMBERS", key)])
        names = checked(unless_broken(names, [], DEFAULT_QUEUE, key, "queues", broken))
        others = {name.decode() for name in names} - {DEFAULT_QUEUE}
        return [DEFAULT_QUEUE, *sorted(others)]

    def counts(self, queue: str, broken: Broken | None = None) -> QueueCounts:
        """Return how many tasks of a queue are where, in two round trips whatever their number."""
        keys = self._shard.names.queue(queue)
        streams = [keys.streams[letter] for letter in LETTERS]
        lengths = [("XLEN", stream) for stream in streams]
        groups = [("XINFO", "GROUPS", stream) for stream in streams]
        replies = self._link.commands([*groups, *lengths, ("ZCARD", keys.scheduled), ("XLEN", keys.dlq), ("TIME",)])
        read = [*(("waiting", stream) for stream in streams), ("scheduled", keys.scheduled), ("dead", keys.dlq)]
        seen = [
            self._group(unless_broken(reply, [], queue, key, what, broken))
            for reply, (what, key) in zip(replies[:5], read, strict=False)
        ]
        *entries, scheduled, dead = (
            checked(unless_broken(reply, 0, queue, key, what, broken))
            for reply, (what, key) in zip(replies[5:-1], read, strict=True)
        )
        clock = replies[-1]
        waiting = [max(0, length - pending) for length, (pending, _) in zip(entries, seen, strict=True)]
        heads = self._ask(
            [
                ("XRANGE", stream, b"(" + last, "+", "COUNT", 1)
                for stream, (_, last), left in zip(streams, seen, waiting, strict=True)
                if left
            ]
        )
        added = [int(head[0][0].split(b"-")[0]) for head in heads if head]
        return QueueCounts(
            queue=queue,
            waiting=sum(waiting),
            running=sum(pending for pending, _ in seen),
            scheduled=scheduled,
            dead=dead,
            oldest=max(0.0, (unix_ms(clock) - min(added)) / 1000) if added else 0.0,
            waiting_by_stream=dict(zip(("suspects", "front", "high", "normal", "low"), waiting, strict=True)),
        )

    def _group(self, reply: Any) -> tuple[int, bytes]:
        """Return how many entries are pending in our group, and the last one that it delivered."""
        group = group_of(reply, self._shard.config.group_name)
        return int(group.get(b"pending", 0)), group.get(b"last-delivered-id", b"0-0")

    def paces(self, queues: Sequence[str], broken: Broken | None = None) -> tuple[int, list[QueuePace]]:
        """Return the server's time in ms, and for each queue how fast it was in the last `RATE_SECONDS`."""
        asked: list[tuple[Any, ...]] = [("TIME",)]
        for queue in queues:
            keys = self._shard.names.queue(queue)
            asked.append(("GETRANGE", keys.statistics, 0, SECONDS.bytes - 1))
            asked.append(("ZRANGE", keys.scheduled, 0, 0, "WITHSCORES"))
        clock, *replies = self._link.commands(asked)
        now_ms = unix_ms(clock)
        paces = []
        for queue, said, first in zip(queues, replies[::2], replies[1::2], strict=True):
            keys = self._shard.names.queue(queue)
            raw = checked(unless_broken(said, b"", queue, keys.statistics, "rates", broken))
            due = checked(unless_broken(first, [], queue, keys.scheduled, "scheduled", broken))
            slots = read(raw, SECONDS, now_ms // 1000 - 1, RATE_SECONDS)
            rates = {name: sum(slot.numbers[at] for slot in slots) / RATE_SECONDS for name, at in NAMES.items()}
            paces.append(QueuePace(rates, int(float(due[1])) if due else None))
        return now_ms, paces

    def statistics(self, queues: Sequence[str], broken: Broken | None = None) -> tuple[int, list[bytes]]:
        """Return the server's time in ms, and the statistics of each queue as the scripts keep them."""
        keys = [self._shard.names.queue(queue).statistics for queue in queues]
        clock, *replies = self._link.commands([("TIME",), *(("GET", key) for key in keys)])
        found = [
            checked(unless_broken(reply, b"", queue, key, "rates", broken))
            for reply, queue, key in zip(replies, queues, keys, strict=True)
        ]
        return unix_ms(clock), [raw or b"" for raw in found]

    def task_types(self, queues: Sequence[str], broken: Broken | None = None) -> dict[str, list[str]]:
        """Return the task types that live worker processes know, by name, with the queues that those read."""
        keys = [self._shard.names.queue(queue) for queue in queues]
        now_ms = unix_ms(self._link.command("TIME"))
        asked = [("ZRANGEBYSCORE", key.types, f"({now_ms}", "+inf", "LIMIT", 0, MOST_TYPES) for key in keys]
        rows = self._link.commands(asked) if asked else []
        found: dict[str, list[str]] = {}
        for queue, key, names in zip(queues, keys, rows, strict=True):
            for name in checked(unless_broken(names, [], queue, key.types, "types", broken)):
                found.setdefault(name.decode(errors="replace"), []).append(queue)
        return dict(sorted(found.items())[:MOST_TYPES])

    def _find(self, queue: str, task_id: str) -> _Found | None:
        """Return a task, None when it is nowhere.

        One that was moved since the index was asked, as when it came due, is looked for again: it has not ended.
        """
        keys = self._shard.names.queue(queue)
        before: bytes | None = None
        while True:
            place = self._link.command("HGET", keys.index, task_id)
            if not place or place == before:
                return None
            found = self._at(keys, task_id, place.decode(errors="replace"))
            if found is not None:
                return found
            before = place

    def _at(self, keys: QueueKeys, task_id: str, place: str) -> _Found | None:
        """Return a task at its place, None when it is not there."""
        letter, entry = place[:1], place[1:]
        if letter == SCHEDULED:
            due, raw = self._ask([("ZSCORE", keys.scheduled, task_id), ("HGET", keys.tasks, task_id)])
            return _Found("scheduled", raw) if due is not None else None
        stream = keys.dlq if letter == DEAD else keys.streams.get(letter)
        if stream is None or not is_entry(entry):
            return None
        group = self._shard.config.group_name
        asked = [("XRANGE", stream, entry, entry), ("XPENDING", stream, group, entry, entry, 1)]
        body, pending = self._link.commands(asked)
        if not checked(body):
            return None
        fields = body[0][1]
        raw = dict(zip(fields[::2], fields[1::2], strict=False)).get(PAYLOAD)
        if letter == DEAD:
            return _Found("dead", raw)
        return _Found("running" if pending_of(pending) else "waiting", raw)

    def state(self, queue: str, task_id: str) -> str | None:
        """Return where a task is: waiting, running, scheduled or dead; None when it is nowhere."""
        found = self._find(queue, task_id)
        return found.state if found is not None else None

    def cancel(self, queue: str, task_id: str, attempts: bytes = b"", deaths: int = 0) -> str:
        """Take back a task that has not started. Returns CANCELLED, RUNNING, DEAD or UNKNOWN."""
        found = self._find(queue, task_id)
        owner = kept = ""
        if found is not None and found.raw is not None:
            with suppress(Undecodable):
                task = decode(found.raw)
                owner, kept = task.idempotency_key, write(found.raw, task, "", deaths, attempts)
        return str(self._link.call(self._shard.broker(queue).cancel(task_id, owner, kept)).decode())

    def workers(self, queues: Sequence[str], broken: Broken | None = None) -> list[WorkerProcess]:
        """Return the worker processes of queues, the lost ones of the last minutes too."""
        all_keys = [self._shard.names.queue(name) for name in queues]
        asked = [("TIME",), *(("ZRANGE", keys.leases, 0, -1, "WITHSCORES") for keys in all_keys)]
        clock, *replies = self._link.commands(asked)
        now_ms = unix_ms(clock)
        leases = [
            checked(unless_broken(reply, [], keys.name, keys.leases, "workers", broken))
            for reply, keys in zip(replies, all_keys, strict=True)
        ]
        expiry: dict[str, float] = {}
        held: dict[str, list[QueueKeys]] = {}
        for keys, rows in zip(all_keys, leases, strict=True):
            for name, score in zip(rows[::2], rows[1::2], strict=False):
                expiry[name.decode()] = max(float(score), expiry.get(name.decode(), 0.0))
                held.setdefault(name.decode(), []).append(keys)
        names = sorted(expiry)
        streams = [
            (keys.name, keys.streams[letter])
            for keys, rows in zip(all_keys, leases, strict=True)
            if rows
            for letter in LETTERS
        ]
        said_of = [("HGETALL", held[name][0].worker(name)) for name in names]
        handed = [("XPENDING", stream, self._shard.config.group_name) for _, stream in streams]
        replies = self._link.commands([*said_of, *handed]) if names else []
        in_flight = _handed_to(
            unless_broken(reply, [], queue, stream, "waiting", broken)
            for reply, (queue, stream) in zip(replies[len(names) :], streams, strict=True)
        )
        found = []
        for name, facts in zip(names, replies, strict=False):
            key = held[name][0]
            reply = checked(unless_broken(facts, [], key.name, key.worker(name), "workers", broken))
            said = {f.decode(): v.decode() for f, v in zip(reply[::2], reply[1::2], strict=False)}
            status = said.get("status", "active") if expiry[name] > now_ms else "lost"
            queues_read = tuple(keys.name for keys in held[name])
            found.append(WorkerProcess(name, status, said, queues_read, expiry[name], in_flight[name]))
        return found


def _handed_to(replies: Iterable[Any]) -> Counter[str]:
    """Return how many entries of streams are pending, by consumer: what XPENDING sums up names those that hold any."""
    found: Counter[str] = Counter()
    for reply in replies:
        for holders in pending_of(reply)[3:]:  # None where nothing is pending
            for name, count in holders or ():
                found[name.decode(errors="replace")] += int(count)
    return found
