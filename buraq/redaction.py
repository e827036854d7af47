"""Hides what looks like a secret in what people see of payloads."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

HIDDEN = "[redacted]"
TOO_DEEP = "[too deep to be shown]"
DEEPEST = 100  # objects and lists in each other that are shown; ten times as many can be enqueued
_MOST = 200  # paths that are named
_COMPARED = 200  # items of one list that were edited, each of them compared with all: of more, none keeps its secret

# In what is no JSON: a name in quotes before a colon, also where that stands in a JSON text once more, and what may be
# its value. A list or an object takes all that follows along, and so does a text that does not end.
_NAME = re.compile(r"""\\?(["'])([^"'\\]{1,200})\\?\1\s*:\s*""")
_VALUE = re.compile(
    r"""
    \\"[^"\\]++\\" | \\?"(?:[^"\\]++|\\.)++"? | \\?'(?:[^'\\]++|\\.)++'?
    | [\[{](?!\s*[\]}]).* | (?!null\b|None\b)[^\s,"'\[\]{}\\]+
    """,
    re.DOTALL | re.VERBOSE,
)


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

    def hide_text(self, text: str) -> str:
        """Return a text that should have been JSON without its secrets; as it is where it has none.

        In JSON they are hidden as `hide` does it, and the text is written anew. In what is no JSON, and in JSON within
        a text, it goes by sight: hidden is what follows a name in quotes and a colon.
        """
        try:
            value = json.loads(text)
            shown = self.hide(value)[0]
            if shown != value:
                text = json.dumps(shown, separators=(",", ":"))
        except (ValueError, RecursionError):
            pass  # no JSON, or nested too deep for any
        parts, done = [], 0
        for found in _NAME.finditer(text):
            if found.start() < done or not self.secret(found[2]):
                continue
            secret = _VALUE.match(text, found.end())
            if secret is not None:
                parts += [text[done : found.end()], f'"{HIDDEN}"']
                done = secret.end()
        return "".join([*parts, text[done:]])

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

    def restore(self, edited: Any, stored: Any) -> tuple[Any, list[str]]:
        """Return an edited value in which what still reads as hidden, or as too deep, is what is stored.

        And the paths where nothing that is stored belongs: in a list from which some were taken an item has the secrets
        of the one that reads the same, and never those of another one that had its place.
        """
        lost: list[str] = []
        was = _Was(stored, self.hide(stored)[0])
        return self._restored(edited, self.hide(edited)[0], was, "", lost, 0), lost

    def _restored(self, edited: Any, looks: Any, was: _Was, path: str, lost: list[str], depth: int) -> Any:
        if depth == DEEPEST and edited == TOO_DEEP and type(was.stored) in (dict, list):
            return was.stored
        if edited in (HIDDEN, TOO_DEEP) and edited != was.stored:
            lost.append(path)
        if depth == DEEPEST:
            return edited
        if type(edited) is dict:
            own = was.stored if type(was.stored) is dict else {}
            restored = {}
            for name, item in edited.items():
                secret, under = self.secret(name), f"{path}.{name}" if path else name
                if item == HIDDEN and name in own and secret:
                    restored[name] = own[name]
                else:  # what is in a secret was not shown, so nothing in it can be what was
                    its = _Was(own[name], was.shown[name]) if name in own and not secret else _NOTHING
                    look = looks[name] if its is not _NOTHING else None
                    restored[name] = self._restored(item, look, its, under, lost, depth + 1)
            return restored
        if type(edited) is list:
            items = [_Was(*pair) for pair in zip(*was, strict=True)] if type(was.stored) is list else []
            were = _counterparts(looks, items) if items else [_NOTHING] * len(edited)
            return [
                self._restored(item, looks[n] if items else None, were[n], f"{path}[{n}]", lost, depth + 1)
                for n, item in enumerate(edited)
            ]
        return edited


class _Was(NamedTuple):
    """A value as it is stored, and as it is shown."""

    stored: Any
    shown: Any


_NOTHING = _Was(None, None)


def _counterparts(looks: list[Any], items: list[_Was]) -> list[_Was]:
    """Return for each item of an edited list, as it looks, which one it was; nothing where it may be several."""
    texts, shown = [_text(look) for look in looks], [_text(item.shown) for item in items]
    places: dict[str, list[int]] = {}
    for n, text in enumerate(shown):
        places.setdefault(text, []).append(n)
    alike = {text: all(items[n].stored == items[there[0]].stored for n in there) for text, there in places.items()}
    count, met, in_place = Counter(texts), Counter[str](), len(looks) == len(items)
    found: list[int | None] = []
    for n, text in enumerate(texts):
        there = places.get(text, [])
        if len(there) == count[text]:  # those that look the same have kept their order
            found.append(there[met[text]])
        elif in_place and text == shown[n]:
            found.append(n)
        else:
            found.append(there[0] if there and alike[text] else None)
        met[text] += 1
    left = set(range(len(items))).difference(found) if in_place else set()
    for n in left:  # what reads as none that is stored was edited
        if texts[n] not in places and _stayed(looks[n], n, left, items):
            found[n] = n
    return [items[n] if n is not None else _NOTHING for n in found]


def _stayed(look: Any, n: int, left: set[int], items: list[_Was]) -> bool:
    """Whether an edited item is the one that had its place, and none of the others that are `left`.

    A place alone says little: items are moved and edited at once, or one is put in the place of another. Among
    several what can be seen has to say so, too.
    """
    if len(left) == 1:
        return True
    if len(left) > _COMPARED:
        return False
    shared = _shared(look, items[n].shown)
    return all(shared > _shared(look, items[other].shown) for other in left if other != n)


def _shared(look: Any, shown: Any) -> int:
    """Return how many members that can be seen are the same in both."""
    if type(look) is not dict or type(shown) is not dict:
        return 0
    return sum(item != HIDDEN and name in shown and shown[name] == item for name, item in look.items())


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _plain(name: str) -> str:
    return re.sub(r"[_\-\s]", "", name).lower()
