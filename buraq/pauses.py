"""Queues that are paused: worker processes fetch nothing from them, and all that waits there stays."""

from __future__ import annotations

from typing import NamedTuple

import ujson

from buraq.backend import Backend


class Pause(NamedTuple):
    """Since when a queue is paused, in unix ms of the server, and by whom."""

    at_ms: int
    by: str


class Pauses:
    """Pauses queues and resumes them. Raises one of `connection.Unreachable` when the server is away.

    Worker processes look four times a second. What they hold already runs; enqueueing goes on.
    """

    def __init__(self, backend: Backend) -> None:
        self._key = backend.names.paused
        self._link = backend.server.shared

    def all(self) -> dict[str, Pause]:
        """Return the paused queues by name."""
        [rows] = self._link.commands([("HGETALL", self._key)])
        if not isinstance(rows, list):
            return {}
        return {name.decode(): _read(said) for name, said in zip(rows[::2], rows[1::2], strict=True)}

    def pause(self, queue: str, by: str = "") -> bool:
        """Pause a queue. Returns False when it was paused before; then nothing is written."""
        [clock] = self._link.commands([("TIME",)])
        said = ujson.dumps({"at": int(clock[0]) * 1000 + int(clock[1]) // 1000, "by": by})
        [added] = self._link.commands([("HSETNX", self._key, queue, said)])
        if isinstance(added, Exception):
            raise added
        return bool(added)

    def resume(self, queue: str) -> bool:
        """Resume a queue. Returns False when it was not paused."""
        [removed] = self._link.commands([("HDEL", self._key, queue)])
        if isinstance(removed, Exception):
            raise removed
        return bool(removed)


def _read(raw: bytes) -> Pause:
    """Read who paused a queue; one that was written by hand is paused all the same."""
    try:
        said = ujson.loads(raw)
        return Pause(int(said["at"]), str(said["by"]))
    except (ValueError, TypeError, KeyError):
        return Pause(0, "")
