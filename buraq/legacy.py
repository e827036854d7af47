"""What the Go original leaves behind: it acks entries and never deletes them.

They take memory, they count as waiting, and should the consumer group be lost they would all run again. So a worker
says that they are there, and `buraq tidy` deletes them when it is asked to.
"""

from __future__ import annotations

from collections.abc import Iterator

from buraq.backend import Backend
from buraq.keys import HIGH, LOW, NORMAL

_PAGE = 500


class Leftovers:
    """Entries of one queue that were acked and are still in its streams."""

    def __init__(self, backend: Backend, queue: str) -> None:
        self._link = backend.server.shared
        self._group = backend.config.group_name
        keys = backend.names.queue(queue)
        self._streams = [keys.streams[letter] for letter in (HIGH, NORMAL, LOW)]

    def count(self) -> dict[str, int]:
        """Return how many there are, by stream; streams without any, or where it cannot be told, are left out."""
        found = {}
        for stream in self._streams:
            length, groups = self._link.commands([("XLEN", stream), ("XINFO", "GROUPS", stream)])
            for row in groups if isinstance(groups, list) else ():
                facts = dict(zip(row[::2], row[1::2], strict=False))
                lag = facts.get(b"lag")
                if facts[b"name"] == self._group.encode() and isinstance(lag, int):
                    left = length - int(facts[b"pending"]) - lag
                    if left > 0:
                        found[stream] = left
        return found

    def delete(self) -> int:
        """Delete them. Returns how many.

        Safe beside running workers: what the group has delivered and is not pending was acked, and is never delivered
        again.
        """
        deleted = 0
        for stream in self.count():
            for acked in self._acked(stream):
                [count] = self._link.commands([("XDEL", stream, *acked)])
                deleted += count if isinstance(count, int) else 0
        return deleted

    def _acked(self, stream: str) -> Iterator[list[bytes]]:
        """Yield pages of entry ids that were delivered and are not pending."""
        last = self._last_delivered(stream)
        start = b"-"
        while True:
            [rows] = self._link.commands([("XRANGE", stream, start, last, "COUNT", _PAGE)])
            if not isinstance(rows, list) or not rows:
                return
            ids = [row[0] for row in rows]
            # Asked after the page was read: what is not pending now, though delivered, was acked.
            pending = self._pending(stream, ids[0], ids[-1])
            acked = [entry for entry in ids if entry not in pending]
            if acked:
                yield acked
            start = b"(" + ids[-1]

    def _pending(self, stream: str, first: bytes, last: bytes) -> set[bytes]:
        [rows] = self._link.commands([("XPENDING", stream, self._group, first, last, _PAGE)])
        return {row[0] for row in rows} if isinstance(rows, list) else set()

    def _last_delivered(self, stream: str) -> bytes:
        [groups] = self._link.commands([("XINFO", "GROUPS", stream)])
        for row in groups:
            facts = dict(zip(row[::2], row[1::2], strict=False))
            if facts[b"name"] == self._group.encode():
                return bytes(facts[b"last-delivered-id"])
        return b"0-0"
