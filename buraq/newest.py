"""Reads streams of several queues together, the newest entry first, in chunks and never whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from buraq.backend import Backend

CHUNK = 200  # entries that are read of a stream at once


class Place(NamedTuple):
    """An entry of one of the streams: the queue it belongs to, and its id."""

    queue: str
    entry: str

    @property
    def order(self) -> tuple[int, int, str]:
        """What to sort by: the newest first, of two that are as new the one whose queue's name comes first."""
        ms, _, seq = self.entry.partition("-")
        return -int(ms), -int(seq), self.queue


class Entry(NamedTuple):
    """An entry, with its fields."""

    place: Place
    fields: dict[bytes, bytes]
    size: int  # of the fields, in bytes


def newest_first(
    backend: Backend, streams: Mapping[str, str], after: Place | None = None, first: int = CHUNK
) -> Iterator[Entry]:
    """Go through streams, by the names of their queues, from the newest entry on, or from the one that follows `after`.

    `first` is how many entries are wanted most likely; no more are read at first.
    """
    ends = {queue: _below(queue, after) for queue in streams}
    heads: dict[str, list[Entry]] = {queue: [] for queue in streams}
    count = max(1, min(CHUNK, -(-first // max(1, len(streams)))))
    while heads:
        empty = [queue for queue, entries in heads.items() if not entries]
        for queue, found in zip(empty, _read(backend, streams, ends, empty, count), strict=True):
            if found:
                heads[queue] = found[::-1]
                ends[queue] = f"({found[-1].place.entry}"
            else:
                del heads[queue]
        count = CHUNK
        if len(heads) == 1:
            [entries] = heads.values()
            while entries:
                yield entries.pop()
        while heads and all(heads.values()):
            queue = min(heads, key=lambda name: heads[name][-1].place.order)
            yield heads[queue].pop()


def _below(queue: str, after: Place | None) -> str:
    if after is None:
        return "+"
    return after.entry if queue > after.queue else f"({after.entry}"


def _read(
    backend: Backend, streams: Mapping[str, str], ends: Mapping[str, str], queues: list[str], count: int
) -> list[list[Entry]]:
    commands = [("XREVRANGE", streams[queue], ends[queue], "-", "COUNT", count) for queue in queues]
    replies = backend.server.shared.commands(commands) if commands else []
    return [[_entry(queue, *row) for row in _rows(reply)] for queue, reply in zip(queues, replies, strict=True)]


def _rows(reply: Any) -> list[Any]:
    if isinstance(reply, Exception):
        raise reply
    return list(reply)


def _entry(queue: str, entry: bytes, words: list[bytes]) -> Entry:
    # The first of a name counts: what cannot be read may have fields that are named like ours.
    fields = dict(zip(reversed(words[::2]), reversed(words[1::2]), strict=False))
    return Entry(Place(queue, entry.decode()), fields, sum(map(len, words)))
