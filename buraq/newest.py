"""Reads streams of several queues together, the newest entry first, in chunks and never whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from buraq.connection import SharedLink
from buraq.replies import Broken, checked, unless_broken

CHUNK = 100  # entries that are read of a stream at once


class Place(NamedTuple):
    """An entry of one of the streams: the part of a queue that it belongs to, and its id."""

    part: str
    entry: str

    @property
    def queue(self) -> str:
        """The queue."""
        return self.part.rpartition("/")[2]

    @property
    def marked(self) -> str:
        """The entry, in a cluster with its shard before it."""
        return f"{self.part.rpartition('/')[0]}/{self.entry}" if "/" in self.part else self.entry

    @property
    def order(self) -> tuple[int, int, str]:
        """What to sort by: the newest first, of two that are as new the one whose part's name comes first."""
        ms, _, seq = self.entry.partition("-")
        return -int(ms), -int(seq), self.part


class Entry(NamedTuple):
    """An entry, with its fields."""

    place: Place
    fields: dict[bytes, bytes]
    size: int  # of the fields, in bytes


Streams = Mapping[str, tuple[SharedLink, str]]  # by the names of the parts that they belong to


def newest_first(
    streams: Streams,
    after: Place | None = None,
    first: int = CHUNK,
    broken: Broken | None = None,
    what: str = "dead",
) -> Iterator[Entry]:
    """Go through streams from the newest entry on, or from the one that follows `after`.

    `first` is how many entries are wanted most likely; no more are read at first. What is no stream is added to
    `broken`, as what would say `what`, and is empty then; without that it is an error.
    """
    ends = {part: _below(part, after) for part in streams}
    heads: dict[str, list[Entry]] = {part: [] for part in streams}
    count = max(1, min(CHUNK, -(-first // max(1, len(streams)))))
    while heads:
        empty = [part for part, entries in heads.items() if not entries]
        for part, found in _read(streams, ends, empty, count, broken, what):
            if found:
                heads[part] = found[::-1]
                ends[part] = f"({found[-1].place.entry}"
            else:
                del heads[part]
        count = CHUNK
        if len(heads) == 1:
            [entries] = heads.values()
            while entries:
                yield entries.pop()
        while heads and all(heads.values()):
            part = min(heads, key=lambda name: heads[name][-1].place.order)
            yield heads[part].pop()


def _below(part: str, after: Place | None) -> str:
    if after is None:
        return "+"
    return after.entry if part > after.part else f"({after.entry}"


def _read(
    streams: Streams, ends: Mapping[str, str], parts: list[str], count: int, broken: Broken | None, what: str
) -> Iterator[tuple[str, list[Entry]]]:
    """Yield what comes next of some parts; those on one connection are asked together."""
    together: dict[SharedLink, list[str]] = {}
    for part in parts:
        together.setdefault(streams[part][0], []).append(part)
    for link, names in together.items():
        asked = [("XREVRANGE", streams[part][1], ends[part], "-", "COUNT", count) for part in names]
        for part, reply in zip(names, link.commands(asked), strict=True):
            queue = Place(part, "").queue
            rows = checked(unless_broken(reply, [], queue, streams[part][1], what, broken))
            yield part, [_entry(part, *row) for row in rows]


def _entry(part: str, entry: bytes, words: list[bytes]) -> Entry:
    # The first of a name counts: what cannot be read may have fields that are named like ours.
    fields = dict(zip(reversed(words[::2]), reversed(words[1::2]), strict=False))
    return Entry(Place(part, entry.decode()), fields, sum(map(len, words)))
