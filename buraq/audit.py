"""The audit list: who did what through the API, and when. The newest 10,000 actions are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ujson

from buraq.backend import Backend
from buraq.connection import checked

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `id` is its entry, which says when it was, by the server's clock."""

    who: str
    action: str
    address: str = ""
    queue: str | None = None
    target: str | None = None
    count: int | None = None
    note: str | None = None
    id: str = ""

    @property
    def at_ms(self) -> int:
        """When it was, in unix ms."""
        return int(self.id.partition("-")[0] or 0)


class Audit:
    """Writes and reads the audit list. Raises one of `connection.Unreachable` when the server is away."""

    def __init__(self, backend: Backend) -> None:
        self._key = backend.names.audit
        self._link = backend.server.shared

    def write(self, action: Action) -> None:
        """Add an action."""
        said = {
            name: value
            for name in ("who", "action", "address", "queue", "target", "count", "note")
            if (value := getattr(action, name)) is not None
        }
        words = ("XADD", self._key, "MAXLEN", "~", MOST, "*", "action", ujson.dumps(said, escape_forward_slashes=False))
        [reply] = self._link.commands([words])
        checked(reply)

    def page(self, before: str | None, limit: int) -> list[Action]:
        """Return at most `limit` actions, the newest first, those before the action with the id `before`."""
        end = f"({before}" if before is not None else "+"
        [rows] = self._link.commands([("XREVRANGE", self._key, end, "-", "COUNT", limit)])
        return [action for entry, words in checked(rows) if (action := _read(entry.decode(), words)) is not None]


def _read(entry: str, words: list[bytes]) -> Action | None:
    try:
        said: dict[str, Any] = ujson.loads(dict(zip(words[::2], words[1::2], strict=False))[b"action"])
        return Action(**said, id=entry)
    except (ValueError, TypeError, KeyError):
        return None
