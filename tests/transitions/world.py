"""A queue alone on an empty server, and the whole of its state in a form to compare.

`World.change` runs one transition and returns its reply with everything that it changed on the server, so a test
that compares that says of all other keys that they stayed as they were.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link
from buraq.keys import DEAD, Names
from buraq.scripts import Call
from buraq.task import Delivery, Outcome, Undecodable, decode

GONE = "gone"
DAY = 86_400  # seconds, the life of an idempotency key
NOTE = '"worker_id":"w1-7","task_type":"mail"'
NAMES = {"s": "suspects", "f": "front", "h": "high", "n": "normal", "l": "low", "d": "dlq"}
_REAL = 10**12  # an id or a time from here on was made by the server's clock; what tests choose is far below

# What a script that reads and writes JSON again would change: integers over 2**53, an empty list, the
# spelling of a float, escapes, blanks, the order of the members.
AWKWARD = (
    b'{ "id":"t1","type":"mail","payload":{"big":9007199254740993123,"none":[],"empty":{},"f":1.0,"x":1E+2,'
    b'"u":"\xc3\xa9\\u00e9\\ud83d\\ude00","s":"\\/","nul":"\\u0000"},"max_retries":3,"unknown":[1, 2]}'
)

# Fields beside the payload, more than a script can hand on at once.
WIDE = tuple(word for n in range(4500) for word in (f"f{n}", "x"))


def payload(task_id: str, **members: Any) -> bytes:
    """Return the JSON of a task, as a producer writes it."""
    task = {"id": task_id, "type": "mail", "payload": {}, "max_retries": 3, "current_retries": 0, **members}
    return json.dumps(task, separators=(",", ":")).encode()


def ended(delivery: Delivery, outcome: Outcome, note: str = NOTE) -> Delivery:
    """Give a delivery its outcome, and the note of its event."""
    delivery.outcome, delivery.note = outcome, note
    return delivery


class World:
    """One queue, alone on an empty server."""

    def __init__(self, redis: Redis, link: Link) -> None:
        self.redis = redis
        self.link = link
        self.keys = Names().queue()
        self.broker = Broker(self.keys)
        self._streams = {**self.keys.streams, DEAD: self.keys.dlq}
        self._entries = 0

    # -- seeds

    def with_groups(self) -> "World":
        """Make the consumer group on each stream."""
        for command in self.broker.group_commands():
            self.link.command(*command)
        return self

    def add(self, letter: str, task_id: str, *fields: str | bytes, raw: bytes | None = None, row: bool = True) -> str:
        """Add an entry with the further `fields` to a stream and, unless told otherwise, its index row."""
        self._entries += 1
        entry = f"{self._entries}-0"
        body = b"payload", payload(task_id) if raw is None else raw
        self.link.command("XADD", self._streams[letter], entry, *body, *fields)
        if row:
            self.redis.hset(self.keys.index, task_id, letter + entry)
        return entry

    def fetch(self, letter: str, worker: str = "w1") -> Delivery:
        """Hand the next entry of a stream to a worker process."""
        [(_, [(entry, fields)])] = self.link.command(
            *("XREADGROUP", "GROUP", self.broker.group, worker, "COUNT", 1, "STREAMS", self._streams[letter], ">")
        )
        delivery = Delivery(self.keys, letter, entry, fields, 0)
        try:
            delivery.task = decode(delivery.raw or b"")
        except Undecodable:
            delivery.task = None
        return delivery

    def deliver(
        self, letter: str, task_id: str, *fields: str | bytes, raw: bytes | None = None, worker: str = "w1"
    ) -> Delivery:
        """Add an entry and hand it to a worker process."""
        self.add(letter, task_id, *fields, raw=raw)
        return self.fetch(letter, worker)

    def schedule(self, task_id: str, due_ms: int, place: str = "zn-0", raw: bytes | None = None) -> None:
        """Let a task wait for its time."""
        self.redis.zadd(self.keys.scheduled, {task_id: due_ms})
        self.redis.hset(self.keys.tasks, task_id, payload(task_id) if raw is None else raw)
        self.redis.hset(self.keys.index, task_id, place)

    def let(self, **leases: int) -> None:
        """Write leases: the name of a worker process and the time at which its lease ends."""
        self.redis.zadd(self.keys.leases, leases)

    # -- runs

    def change(self, call: Call) -> tuple[Any, dict[str, Any]]:
        """Run a transition; return its reply and what it changed, each path with its new value or `GONE`."""
        before = self.state()
        reply = self.link.call(call)
        return reply, changes(before, self.state())

    def fails(self, call: Call, match: str) -> None:
        """Run a transition that must end with an error reply and write nothing."""
        before = self.state()
        with pytest.raises(ResponseError, match=match):
            self.link.call(call)
        assert changes(before, self.state()) == {}

    @contextmanager
    def hearing(self) -> Iterator[list[dict[str, Any]]]:
        """Listen to the events; the list is filled when the block ends. Their stamps are checked and left out."""
        events: list[dict[str, Any]] = []
        with self.redis.pubsub(ignore_subscribe_messages=False) as channel:
            channel.subscribe(self.broker.channel)
            assert channel.get_message(timeout=30)["type"] == "subscribe"
            started = self._now_us()
            yield events
            self.redis.publish(self.broker.channel, "end")
            while (message := channel.get_message(timeout=30)["data"]) != b"end":
                events.append(json.loads(message))
            stamps = [event.pop("at") for event in events]
            assert stamps == sorted(set(stamps)), "each event has a later stamp than the one before"
            assert all(started <= stamp <= self._now_us() + len(events) for stamp in stamps)

    @contextmanager
    def at_maxmemory(self) -> Iterator[None]:
        """Let the server refuse all that needs memory."""
        self.redis.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.redis.config_set("maxmemory", 0)

    # -- the state

    def _now_us(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds) * 1_000_000 + int(micros)

    def state(self) -> dict[str, Any]:
        """Return all that the server holds, as one flat mapping from a path to a value.

        `normal 1-0` is an entry (its fields in order), `normal 1-0 pending` who has it, `index t1` a field of a hash
        or a member of a sorted set, `idemp:k` a string, `idemp:k ttl` the seconds left of a key, to the nearest ten.
        Entries that the server named are `+1`, `+2`, … in their stream; its times are `now`, `now+60`, to the nearest
        ten seconds.
        """
        now_ms = self._now_us() // 1000
        found: dict[str, Any] = {}
        for key in sorted(self.redis.scan_iter(count=1000)):
            if _text(key) in (self.keys.statistics, self.keys.groups):  # what scripts count: see test_kept
                continue
            name = self._short(_text(key))
            kind = self.redis.type(key)
            if kind == b"stream":
                found.update(self._stream(name, key, now_ms))
            elif kind == b"hash":
                found.update({f"{name} {_text(f)}": _text(v) for f, v in self.redis.hgetall(key).items()})
            elif kind == b"zset":
                members = self.redis.zrange(key, 0, -1, withscores=True)
                found.update({f"{name} {_text(member)}": _time(score, now_ms) for member, score in members})
            elif kind == b"string":
                found[name] = _text(self.redis.get(key))
            else:
                found[name] = kind
            ttl_ms = self.redis.pttl(key)
            if ttl_ms >= 0:
                found[f"{name} ttl"] = round(ttl_ms / 10_000) * 10
        for path in [path for path in found if path.startswith("index ")]:
            place = re.fullmatch(r"([shnlfd])(\d+-\d+)", found[path])
            if place:
                found[path] = place[1] + self._label(self._streams[place[1]], place[2])
        return found

    def _short(self, key: str) -> str:
        named = {stream: NAMES[letter] for letter, stream in self._streams.items()}
        return named.get(key, key.removeprefix(f"{self.keys.base}:"))

    def _label(self, stream: str | bytes, entry: str) -> str:
        if int(entry.split("-")[0]) < _REAL:
            return entry
        ids = [_text(row[0]) for row in self.redis.xrange(stream, _REAL, "+")]
        return f"+{ids.index(entry) + 1}" if entry in ids else "+?"

    def _stream(self, name: str, key: bytes, now_ms: int) -> Iterator[tuple[str, Any]]:
        yield name, "stream"
        for entry, fields in self.link.command("XRANGE", key, "-", "+"):
            words = [_text(word) for word in fields]
            for n in range(0, len(words), 2):
                if words[n] == "died_at":
                    words[n + 1] = _time(float(words[n + 1]), now_ms)
            if "group" in words and name == "dlq":
                del words[(at := words.index("group")) : at + 2]
            yield f"{name} {self._label(key, _text(entry))}", tuple(words)
        for group in self.redis.xinfo_groups(key):
            said = f"{name} group {_text(group['name'])}"
            yield said, self._label(key, _text(group["last-delivered-id"]))
            for consumer in self.redis.xinfo_consumers(key, group["name"]):
                yield f"{name} consumer {_text(consumer['name'])}", "there"
            for row in self.redis.xpending_range(key, group["name"], "-", "+", 1000):
                yield f"{name} {self._label(key, _text(row['message_id']))} pending", _text(row["consumer"])


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return what is different in `after`: each path with its new value, or `GONE`."""
    paths = before.keys() | after.keys()
    return {path: after.get(path, GONE) for path in paths if before.get(path, GONE) != after.get(path, GONE)}


def entry_of(raw: bytes, *fields: str) -> tuple[str, ...]:
    """Return an entry as `World.state` shows it: its payload, then further fields."""
    return "payload", _text(raw), *fields


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _time(at_ms: float, now_ms: int) -> Any:
    if at_ms < _REAL:
        return int(at_ms) if at_ms == int(at_ms) else at_ms
    away = round((at_ms - now_ms) / 10_000) * 10
    return f"now{away:+d}" if away else "now"
