"""Which dead letters are meant: those that fit a filter, as far as they were counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from buraq.backend import Part
from buraq.deadletters import DeadLetter
from buraq.replies import Broken, checked, unless_broken


class Bound(NamedTuple):
    """How far a part of a queue was counted: its newest dead letter then, and how many there were."""

    entry: str
    letters: int

    @classmethod
    def of(cls, part: Part, broken: Broken | None = None) -> Bound | None:
        """Return how far a part goes now; None where it has no dead letters. What dies later is beyond it."""
        keys = part.keys
        # A whole letter for its id: what else knows the newest one's, XINFO STREAM, reads two of them.
        replies = part.link.commands([("XREVRANGE", keys.dlq, "+", "-", "COUNT", 1), ("XLEN", keys.dlq)])
        newest, length = (checked(unless_broken(reply, [], keys.name, keys.dlq, "dead", broken)) for reply in replies)
        return cls(newest[0][0].decode(), int(length)) if newest else None

    def within(self, other: Bound) -> Bound:
        """Return what is inside of both. Of the letters it is a most: some may be gone meanwhile."""
        return Bound(min(self.entry, other.entry, key=_order), min(self.letters, other.letters))


class Filter(NamedTuple):
    """Which dead letters; what is None does not matter."""

    type: str | None = None
    reason: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, said: Mapping[str, str]) -> Filter:
        """Return the filter that parameters or a body name."""
        return cls(said.get("type"), said.get("reason"), said.get("group"))

    def fits(self, dead: DeadLetter) -> bool:
        """Whether a dead letter is one of them."""
        return (
            (self.type is None or (dead.task is not None and dead.task.type == self.type))
            and (self.reason is None or dead.reason == self.reason)
            and (self.group is None or dead.group == self.group)
        )


def _order(entry: str) -> tuple[int, int]:
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq)
