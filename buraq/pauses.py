"""Queues that are paused: worker processes fetch nothing from them, and all that waits there stays."""

from __future__ import annotations

from typing import NamedTuple

import ujson

from buraq.backend import Backend
from buraq.connection import checked, unix_ms


class Pause(NamedTuple):
    """Since when a queue is paused, in unix ms of the server, and by whom."""

    at_ms: int
    by: str


class Pauses:
    """Pauses queues and resumes them. Raises one of `connection.Unreachable` when the server is away.

    Worker processes look four times a second. What they hold already runs; enqueueing goes on.
    """

    def __init__(self, backend: Backend) -> None:
        # At each shard of a cluster, so that workers hear of it from the one that they are about to fetch from.
        self._places = [(shard.server.shared, shard.names.paused) for shard in backend.shards]

    def all(self) -> dict[str, Pause]:
        """Return the paused queues by name, those too that only a part of a cluster has as paused."""
        found: dict[str, Pause] = {}
        for link, key in self._places:
            [rows] = link.commands([("HGETALL", key)])
            pairs = zip(rows[::2], rows[1::2], strict=True) if isinstance(rows, list) else ()
            found = {name.decode(): _read(said) for name, said in pairs} | found
        return found

    def pause(self, queue: str, by: str = "") -> bool:
        """Pause a queue. Returns False when it was paused before; then nothing is written."""
        [clock] = self._places[0][0].commands([("TIME",)])
        said = ujson.dumps({"at": unix_ms(clock), "by": by})
        return self._everywhere("HSETNX", queue, said)

    def resume(self, queue: str) -> bool:
        """Resume a queue. Returns False when it was not paused."""
        return self._everywhere("HDEL", queue)

    def _everywhere(self, command: str, *words: str) -> bool:
        """Change each shard's key. Returns whether that has changed any. To be repeated when one was away."""
        changed = False
        for link, key in self._places:
            [count] = link.commands([(command, key, *words)])
            changed = bool(checked(count)) or changed
        return changed


def _read(raw: bytes) -> Pause:
    """Read who paused a queue; one that was written by hand is paused all the same."""
    try:
        said = ujson.loads(raw)
        return Pause(int(said["at"]), str(said["by"]))
    except (ValueError, TypeError, KeyError):
        return Pause(0, "")
