"""Queues that are paused: worker processes fetch nothing from them, and all that waits there stays."""

from __future__ import annotations

from typing import NamedTuple

import ujson

from buraq.backend import Backend
from buraq.keys import DEFAULT_QUEUE
from buraq.replies import Broken, checked, unix_ms, unless_broken


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

    def all(self, broken: Broken | None = None) -> dict[str, Pause]:
        """Return the paused queues by name, those too that only a part of a cluster has as paused.

        A key that holds another type of value is added to `broken`, as belonging to the default queue; without that it
        is an error.
        """
        found: dict[str, Pause] = {}
        for link, key in self._places:
            [said] = link.commands([("HGETALL", key)])
            rows = checked(unless_broken(said, [], DEFAULT_QUEUE, key, "paused", broken))
            found = {name.decode(): _read(said) for name, said in zip(rows[::2], rows[1::2], strict=True)} | found
        return found

    def pause(self, queue: str, by: str = "") -> bool:
        """Pause a queue. Returns False when it was paused before; then nothing is written."""
        said = ujson.dumps({"at": unix_ms(self._places[0][0].command("TIME")), "by": by})
        return self._everywhere("HSETNX", queue, said)

    def resume(self, queue: str) -> bool:
        """Resume a queue. Returns False when it was not paused."""
        return self._everywhere("HDEL", queue)

    def _everywhere(self, command: str, *words: str) -> bool:
        """Change each shard's key. Returns whether that has changed any. To be repeated when one was away."""
        changed = False
        for link, key in self._places:
            changed = bool(link.command(command, key, *words)) or changed
        return changed


def _read(raw: bytes) -> Pause:
    """Read who paused a queue; one that was written by hand is paused all the same."""
    try:
        said = ujson.loads(raw)
        return Pause(int(said["at"]), str(said["by"]))
    except (ValueError, TypeError, KeyError):
        return Pause(0, "")
