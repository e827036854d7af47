"""What the Go original leaves behind: it acks entries and never deletes them.

They take memory, they count as waiting, and should the consumer group be lost they would all run again. So a worker
says that they are there, and `buraq tidy` deletes them when it is asked to. The original knows no shards, yet whatever
else acks in the streams of one without deleting leaves the same behind: all shards are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

from buraq.backend import Backend, Part
from buraq.keys import HIGH, LOW, NORMAL
from buraq.replies import Broken, group_of, unless_broken

_PAGE = 500


class Leftovers:
    """Entries of one queue that were acked and are still in its streams, at all shards."""

    def __init__(self, backend: Backend, queue: str) -> None:
        self._parts = [_Part(part, backend.config.group_name) for part in backend.parts([queue]).values()]

    def count(self, broken: Broken | None = None) -> dict[str, int]:
        """Return how many there are, by stream; streams without any, or where it cannot be told, are left out.

        What holds another type of value is added to `broken`; without that it is an error.
        """
        return {stream: left for part in self._parts for stream, left in part.count(broken).items()}

    def delete(self, broken: Broken | None = None) -> int:
        """Delete them. Returns how many.

        Safe beside running workers: what the group has delivered and is not pending was acked, and is never delivered
        again.
        """
        return sum(part.delete(broken) for part in self._parts)


class _Part:
    """Those at one shard."""

    def __init__(self, part: Part, group: str) -> None:
        self._link = part.link
        self._group = group
        self._queue = part.keys.name
        self._streams = [part.keys.streams[letter] for letter in (HIGH, NORMAL, LOW)]

    def count(self, broken: Broken | None) -> dict[str, int]:
        found = {}
        for stream in self._streams:
            length, groups = self._link.commands([("XLEN", stream), ("XINFO", "GROUPS", stream)])
            group = group_of(unless_broken(groups, [], self._queue, stream, "waiting", broken), self._group)
            if isinstance(length, int) and isinstance(group.get(b"lag"), int):
                left = length - int(group[b"pending"]) - group[b"lag"]
                if left > 0:
                    found[stream] = left
        return found

    def delete(self, broken: Broken | None) -> int:
        deleted = 0
        for stream in self.count(broken):
            for acked in self._acked(stream):
                deleted += self._link.command("XDEL", stream, *acked)
        return deleted

    def _acked(self, stream: str) -> Iterator[list[bytes]]:
        """Yield pages of entry ids that were delivered and are not pending."""
        last = self._last_delivered(stream)
        start = b"-"
        while True:
            rows = self._link.command("XRANGE", stream, start, last, "COUNT", _PAGE)
            if not rows:
                return
            ids = [row[0] for row in rows]
            # Asked after the page was read: what is not pending now, though delivered, was acked.
            pending = self._pending(stream, ids[0], ids[-1])
            acked = [entry for entry in ids if entry not in pending]
            if acked:
                yield acked
            start = b"(" + ids[-1]

    def _pending(self, stream: str, first: bytes, last: bytes) -> set[bytes]:
        """Return all that is pending from one entry to another: more than a page where bodies were deleted."""
        found: set[bytes] = set()
        while True:
            rows = self._link.command("XPENDING", stream, self._group, first, last, _PAGE)
            found.update(row[0] for row in rows)
            if len(rows) < _PAGE:
                return found
            first = b"(" + rows[-1][0]

    def _last_delivered(self, stream: str) -> bytes:
        [groups] = self._link.commands([("XINFO", "GROUPS", stream)])
        return bytes(group_of(groups, self._group).get(b"last-delivered-id", b"0-0"))
