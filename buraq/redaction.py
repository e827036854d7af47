"""Hides what looks like a secret in what people see of payloads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

HIDDEN = "[redacted]"
TOO_DEEP = "[too deep to be shown]"
DEEPEST = 100  # objects and lists in each other that are shown; ten times as many can be enqueued
_MOST = 200  # paths that are named


class Redaction:
    """Hides the values of members whose name contains one of some words; case, `_` and `-` make no difference."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [_plain(word) for word in words if _plain(word)]
        self._known: dict[str, bool] = {}

    def secret(self, name: str) -> bool:
        """Whether a member's name looks like that of a secret."""
        found = self._known.get(name)
        if found is None:
            plain = _plain(name)
            found = any(word in plain for word in self._words)
            if len(self._known) < 10_000:  # names come from outside
                self._known[name] = found
        return found

    def hide(self, value: Any) -> tuple[Any, list[str]]:
        """Return a value without its secrets, and the paths to them."""
        paths: list[str] = []
        return self._hidden(value, "", paths, 0), paths

    def _hidden(self, value: Any, path: str, paths: list[str], depth: int) -> Any:
        # Whoever enqueues chooses how deep: one such task would leave no list that it is in to be looked at.
        if depth == DEEPEST and type(value) in (dict, list):
            return TOO_DEEP
        if type(value) is dict:
            shown = {}
            for name, item in value.items():
                under = f"{path}.{name}" if path else name
                if self.secret(name) and item not in (None, "", [], {}):
                    if len(paths) < _MOST:
                        paths.append(under)
                    shown[name] = HIDDEN
                else:
                    shown[name] = self._hidden(item, under, paths, depth + 1) if type(item) in (dict, list) else item
            return shown
        if type(value) is list:
            return [self._hidden(item, f"{path}[{n}]", paths, depth + 1) for n, item in enumerate(value)]
        return value

    def restore(self, edited: Any, stored: Any, depth: int = 0) -> Any:
        """Return an edited value in which what still reads as hidden, or as too deep, is what is stored.

        What belongs to nothing that is stored stays hidden: in a list from which some were taken an item has the
        secrets of the one that reads the same, and never those of another one that had its place.
        """
        if depth == DEEPEST:
            return stored if edited == TOO_DEEP and type(stored) in (dict, list) else edited
        if type(edited) is dict and type(stored) is dict:
            return {
                name: stored[name]
                if item == HIDDEN and name in stored and self.secret(name)
                else self.restore(item, stored.get(name), depth + 1)
                for name, item in edited.items()
            }
        if type(edited) is list and type(stored) is list:
            shown = [self._hidden(item, "", [], depth + 1) for item in stored]
            like = [_counterpart(n, item, edited, stored, shown) for n, item in enumerate(edited)]
            return [self.restore(item, its, depth + 1) for item, its in zip(edited, like, strict=True)]
        return edited


def _counterpart(n: int, item: Any, edited: list[Any], stored: list[Any], shown: list[Any]) -> Any:
    """Return the stored item that an edited one was: the one that reads the same, else the one in its place."""
    if n < len(shown) and item == shown[n]:
        return stored[n]
    if item in shown:
        return stored[shown.index(item)]
    return stored[n] if len(edited) == len(stored) else None


def _plain(name: str) -> str:
    return re.sub(r"[_\-\s]", "", name).lower()
