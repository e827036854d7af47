"""The history: what has become of the newest tasks that ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from buraq import statistics
from buraq.backend import Backend, Shard
from buraq.keys import HISTORIES, is_entry
from buraq.newest import Place, newest_first
from buraq.records import Record, read
from buraq.replies import Broken, checked, put_off, unix_ms, unless_broken
from buraq.statistics import MINUTES, UNKEPT

RECORD = b"record"


class Ended(NamedTuple):
    """A record, where it lies, in which state the task is, and when it came to that, in unix ms."""

    place: Place
    state: str
    at_ms: int
    record: Record


class Span(NamedTuple):
    """How many records histories may hold and do, since when in unix ms, and whether completed tasks were left out."""

    length: int
    kept: int
    oldest_ms: int | None
    sampled: bool


class History:
    """Reads the histories. Raises one of `connection.Unreachable` when the server, or a part of it, is away, and what
    it answers where it refuses. What takes `broken` adds to that the keys that hold another type of value, and takes
    them for empty; without it, they are an error too.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def find(self, shard: Shard, queues: Sequence[str], task_id: str, errors: list[ResponseError]) -> Ended | None:
        """Return the newest record that a shard has of a task; of the first of the queues that has one.

        Of a queue whose records nothing finds, as something else has overwritten the key, the error is added to
        `errors`.
        """
        keys, link = {queue: shard.names.queue(queue) for queue in queues}, shard.server.shared
        rows = put_off(link.commands([("HGET", key.finished, task_id) for key in keys.values()]), errors)
        for queue, row in zip(queues, rows, strict=True):
            place = (row or b"").decode(errors="replace")
            letter, entry = place[:1], place[1:]
            if letter not in HISTORIES or not is_entry(entry):
                continue
            body = link.command("XRANGE", keys[queue].histories[letter], entry, entry)
            if body:
                fields = dict(zip(body[0][1][::2], body[0][1][1::2], strict=False))
                ended = _ended(Place(queue, entry), HISTORIES[letter], fields)
                if ended is not None:
                    return ended
        return None

    def newest(
        self,
        queues: Sequence[str],
        state: str,
        after: Place | None = None,
        first: int = 50,
        broken: Broken | None = None,
    ) -> Iterator[tuple[Place, int, Ended | None]]:
        """Go through the records of a state, the newest first: place, size in bytes, and what is there."""
        letter = next(letter for letter, name in HISTORIES.items() if name == state)
        parts = self._backend.parts(queues)
        streams = {name: (part.link, part.keys.histories[letter]) for name, part in parts.items()}
        for entry in newest_first(streams, after, first, broken, "past"):
            yield entry.place, entry.size, _ended(entry.place, state, entry.fields)

    def count(self, queues: Sequence[str], state: str, broken: Broken | None = None) -> int:
        """Return how many records of a state there are."""
        letter = next(letter for letter, name in HISTORIES.items() if name == state)
        total = 0
        for shard in self._backend.shards:
            keys = [shard.names.queue(queue).histories[letter] for queue in queues]
            lengths = shard.server.shared.commands([("XLEN", key) for key in keys])
            total += sum(
                checked(unless_broken(length, 0, queue, key, "past", broken))
                for length, queue, key in zip(lengths, queues, keys, strict=True)
            )
        return total

    def span(self, queues: Sequence[str], state: str | None = None, broken: Broken | None = None) -> Span:
        """Return how much the histories of these queues hold: of one state, or of all."""
        letters = [letter for letter, name in HISTORIES.items() if state in (None, name)]
        spans = [_span(shard, queues, letters, broken) for shard in self._backend.shards]
        known = [span.oldest_ms for span in spans if span.oldest_ms is not None]
        length, kept = sum(span.length for span in spans), sum(span.kept for span in spans)
        return Span(length, kept, min(known, default=None), any(span.sampled for span in spans))


def _span(shard: Shard, queues: Sequence[str], letters: Sequence[str], broken: Broken | None) -> Span:
    """Return how much some histories of these queues hold at a shard."""
    keys, link = [shard.names.queue(queue) for queue in queues], shard.server.shared
    streams = [(key.name, key.histories[letter], "past") for key in keys for letter in letters]
    counters = [(key.name, key.statistics, "rates") for key in keys]

    def known(replies: Sequence[Any], empty: Any, asked: Sequence[tuple[str, str, str]]) -> list[Any]:
        return [
            checked(unless_broken(reply, empty, *about, broken)) for reply, about in zip(replies, asked, strict=True)
        ]

    lengths = known(link.commands([("XLEN", key) for _, key, _ in streams]), 0, streams)
    heads = known(link.commands([("XRANGE", key, "-", "+", "COUNT", 1) for _, key, _ in streams]), [], streams)
    *replies, clock = link.commands([*(("GET", key) for _, key, _ in counters), ("TIME",)])
    counted = known(replies, None, counters)
    oldest = [_ms(head[0][0].decode()) if head else None for head in heads]
    since = [ms for ms in oldest if ms is not None]
    # The first letter is theirs; of other states none are left out.
    completed = oldest[:: len(letters)] if letters[0] == "c" else [None] * len(keys)
    sampled = any(
        _left_out(raw, unix_ms(clock) // 1000, first)
        for raw, first in zip(counted, completed, strict=True)
        if raw is not None and first is not None
    )
    return Span(shard.history * len(streams), sum(lengths), min(since, default=None), sampled)


def _left_out(raw: bytes, second: int, since_ms: int) -> bool:
    minutes = max(1, min(60, second // 60 - since_ms // 60_000 + 1))
    return any(slot.numbers[UNKEPT] for slot in statistics.read(raw, MINUTES, second, minutes))


def _ended(place: Place, state: str, fields: dict[bytes, bytes]) -> Ended | None:
    record = read(fields.get(RECORD, b""))
    return Ended(place, state, _ms(place.entry), record) if record is not None else None


def _ms(entry: str) -> int:
    return int(entry.partition("-")[0])
