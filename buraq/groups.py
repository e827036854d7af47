"""Which dead letters belong together: those of one task type, buried for one reason, with errors that look alike."""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

import ujson

from buraq.task import Dead

ERROR_CHARS = 300

# What differs from one error of a kind to the next: quoted texts, numbers, and what has digits in it.
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b0x[0-9a-fA-F]+\b|\b(?=[a-zA-Z_-]*\d)[\w-]+\b|\d+")


class LetterGroup(NamedTuple):
    """A group of dead letters: its id, and what its letters have in common with the newest one's error, as JSON."""

    id: str
    facts: str

    @classmethod
    def of(cls, task_type: str | None, dead: Dead) -> LetterGroup:
        """Return the group of a task that is buried; `task_type` is None for what cannot be read."""
        kind = _VARIES.sub("#", dead.error[:ERROR_CHARS])
        digest = hashlib.sha1(f"{task_type}\0{dead.reason}\0{kind}".encode(), usedforsecurity=False)
        facts = {"type": task_type, "reason": dead.reason, "error": dead.error[:ERROR_CHARS] or None}
        return cls(digest.hexdigest()[:12], ujson.dumps(facts, ensure_ascii=False, escape_forward_slashes=False))
