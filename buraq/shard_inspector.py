"""What one shard holds, read for people: counts, one task, the worker processes. It writes nothing but a cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from buraq.backend import Shard
from buraq.connection import checked, unix_ms
from buraq.keys import DEAD, DEFAULT_QUEUE, LETTERS, SCHEDULED, QueueKeys
from buraq.records import write
from buraq.statistics import NAMES, SECONDS, read
from buraq.task import PAYLOAD, Task, Undecodable, decode, recode

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
    """What a worker process said of itself, and whether its lease holds."""

    id: str
    status: str  # active, draining or lost
    facts: dict[str, str]
    queues: tuple[str, ...]
    lease_until_ms: float = 0.0  # by the server's clock


@dataclass(frozen=True, slots=True)
class QueuePace:
    """What a queue did by the second lately, and when its first scheduled task is due, in unix ms."""

    rates: dict[str, float]  # tasks a second: enqueued, completed, retried, dead
    next_due_ms: int | None


class ShardInspector:
    """Reads what one shard holds: on one server that is all."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._link = shard.server.shared

    def _ask(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return self._link.commands(commands) if commands else []

    def queues(self) -> list[str]:
        """Return the names of the queues that exist, the default one first."""
        [names] = self._ask([("SMEMBERS", self._shard.names.queues)])
        others = {name.decode() for name in checked(names)} - {DEFAULT_QUEUE}
        return [DEFAULT_QUEUE, *sorted(others)]

    def counts(self, queue: str) -> QueueCounts:
        """Return how many tasks of a queue are where, in two round trips whatever their number."""
        keys = self._shard.names.queue(queue)
        streams = [keys.streams[letter] for letter in LETTERS]
        lengths = [("XLEN", stream) for stream in streams]
        groups = [("XINFO", "GROUPS", stream) for stream in streams]
        replies = self._ask([*lengths, *groups, ("ZCARD", keys.scheduled), ("XLEN", keys.dlq), ("TIME",)])
        entries = [_number(reply) for reply in replies[:5]]
        seen = [self._group(reply) for reply in replies[5:10]]
        waiting = [max(0, length - pending) for length, (pending, _) in zip(entries, seen, strict=True)]
        heads = self._ask(
            [
                ("XRANGE", stream, b"(" + last, "+", "COUNT", 1)
                for stream, (_, last), left in zip(streams, seen, waiting, strict=True)
                if left
            ]
        )
        now_ms = unix_ms(replies[12])
        added = [int(head[0][0].split(b"-")[0]) for head in heads if isinstance(head, list) and head]
        return QueueCounts(
            queue=queue,
            waiting=sum(waiting),
            running=sum(pending for pending, _ in seen),
            scheduled=_number(replies[10]),
            dead=_number(replies[11]),
            oldest=max(0.0, (now_ms - min(added)) / 1000) if added else 0.0,
            waiting_by_stream=dict(zip(("suspects", "front", "high", "normal", "low"), waiting, strict=True)),
        )

    def _group(self, reply: Any) -> tuple[int, bytes]:
        """Return how many entries are pending in our group, and the last one that it delivered."""
        for row in reply if isinstance(reply, list) else ():
            facts = dict(zip(row[::2], row[1::2], strict=False))
            if facts[b"name"] == self._shard.config.group_name.encode():
                return int(facts[b"pending"]), facts[b"last-delivered-id"]
        return 0, b"0-0"

    def paces(self, queues: Sequence[str]) -> tuple[int, list[QueuePace]]:
        """Return the server's time in ms, and for each queue how fast it was in the last `RATE_SECONDS`."""
        asked: list[tuple[Any, ...]] = [("TIME",)]
        for queue in queues:
            keys = self._shard.names.queue(queue)
            asked.append(("GETRANGE", keys.statistics, 0, SECONDS.bytes - 1))
            asked.append(("ZRANGE", keys.scheduled, 0, 0, "WITHSCORES"))
        clock, *replies = self._ask(asked)
        now_ms = unix_ms(clock)
        paces = []
        for raw, due in zip(replies[::2], replies[1::2], strict=True):
            slots = read(raw if isinstance(raw, bytes) else b"", SECONDS, now_ms // 1000 - 1, RATE_SECONDS)
            rates = {name: sum(slot.numbers[at] for slot in slots) / RATE_SECONDS for name, at in NAMES.items()}
            paces.append(QueuePace(rates, int(float(due[1])) if isinstance(due, list) and due else None))
        return now_ms, paces

    def statistics(self, queues: Sequence[str]) -> tuple[int, list[bytes]]:
        """Return the server's time in ms, and the statistics of each queue as the scripts keep them."""
        clock, *replies = self._ask(
            [("TIME",), *(("GET", self._shard.names.queue(queue).statistics) for queue in queues)]
        )
        raw = [reply if isinstance(reply, bytes) else b"" for reply in replies]
        return unix_ms(clock), raw

    def task_types(self, queues: Sequence[str]) -> dict[str, list[str]]:
        """Return the task types that live worker processes know, by name, with the queues that those read."""
        keys = [self._shard.names.queue(queue) for queue in queues]
        [clock] = self._ask([("TIME",)])
        now_ms = unix_ms(clock)
        rows = self._ask([("ZRANGEBYSCORE", key.types, f"({now_ms}", "+inf", "LIMIT", 0, MOST_TYPES) for key in keys])
        found: dict[str, list[str]] = {}
        for queue, names in zip(queues, rows, strict=True):
            for name in names if isinstance(names, list) else ():
                found.setdefault(name.decode(errors="replace"), []).append(queue)
        return dict(sorted(found.items())[:MOST_TYPES])

    def where(self, keys: QueueKeys, task_id: str) -> tuple[str, bytes] | None:
        """Return the place letter and the entry id of a task, None when the index does not know it."""
        [place] = self._ask([("HGET", keys.index, task_id)])
        return (place[:1].decode(), place[1:]) if isinstance(place, bytes) else None

    def state(self, queue: str, task_id: str) -> str | None:
        """Return where a task is: waiting, running, scheduled or dead; None when it is nowhere."""
        keys = self._shard.names.queue(queue)
        place = self.where(keys, task_id)
        if place is None:
            return None
        letter, entry = place
        if letter == SCHEDULED:
            [due] = self._ask([("ZSCORE", keys.scheduled, task_id)])
            return "scheduled" if due is not None else None
        stream = keys.dlq if letter == DEAD else keys.streams[letter]
        group = self._shard.config.group_name
        body, pending = self._ask([("XRANGE", stream, entry, entry), ("XPENDING", stream, group, entry, entry, 1)])
        if not isinstance(body, list) or not body:
            return None
        if letter == DEAD:
            return "dead"
        return "running" if isinstance(pending, list) and pending else "waiting"

    def task(self, queue: str, task_id: str) -> Task | None:
        """Return a task as it is written now, None when it is nowhere or cannot be read."""
        keys = self._shard.names.queue(queue)
        place = self.where(keys, task_id)
        if place is None:
            return None
        letter, entry = place
        if letter == SCHEDULED:
            [raw] = self._ask([("HGET", keys.tasks, task_id)])
        else:
            stream = keys.dlq if letter == DEAD else keys.streams[letter]
            [body] = self._ask([("XRANGE", stream, entry, entry)])
            fields = body[0][1] if isinstance(body, list) and body else []
            raw = dict(zip(fields[::2], fields[1::2], strict=False)).get(PAYLOAD)
        try:
            return decode(raw) if isinstance(raw, bytes) else None
        except Undecodable:
            return None

    def cancel(self, queue: str, task_id: str, attempts: bytes = b"", deaths: int = 0) -> str:
        """Take back a task that has not started. Returns CANCELLED, RUNNING, DEAD or UNKNOWN."""
        task = self.task(queue, task_id)
        kept = write(recode(task), task, "", deaths, attempts) if task else ""
        call = self._shard.broker(queue).cancel(task_id, task.idempotency_key if task else "", kept)
        return str(self._link.call(call).decode())

    def workers(self, queues: Sequence[str]) -> list[WorkerProcess]:
        """Return the worker processes of queues, the lost ones of the last minutes too."""
        all_keys = [self._shard.names.queue(name) for name in queues]
        replies = self._ask([("TIME",), *(("ZRANGE", keys.leases, 0, -1, "WITHSCORES") for keys in all_keys)])
        now_ms = unix_ms(replies[0])
        expiry: dict[str, float] = {}
        held: dict[str, list[QueueKeys]] = {}
        for keys, rows in zip(all_keys, replies[1:], strict=True):
            checked(rows)
            for name, score in zip(rows[::2], rows[1::2], strict=False):
                expiry[name.decode()] = max(float(score), expiry.get(name.decode(), 0.0))
                held.setdefault(name.decode(), []).append(keys)
        names = sorted(expiry)
        facts = self._ask([("HGETALL", held[name][0].worker(name)) for name in names])
        found = []
        for name, reply in zip(names, facts, strict=True):
            checked(reply)
            said = {f.decode(): v.decode() for f, v in zip(reply[::2], reply[1::2], strict=False)}
            status = said.get("status", "active") if expiry[name] > now_ms else "lost"
            found.append(WorkerProcess(name, status, said, tuple(keys.name for keys in held[name]), expiry[name]))
        return found


def _number(reply: Any) -> int:
    return reply if isinstance(reply, int) else 0
