"""Cursors: a place in a list, as the text that a client sends back to go on from there.

A client can send what it likes: what a list cannot be gone on with from is refused before anything is asked for.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

import ujson

from buraq.chosen import Bound
from buraq.keys import is_entry
from buraq.web.v1.call import refuse

_COUNTED = ["counted dead letters"]
_SCORE = re.compile(r"-?(inf|[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)", re.ASCII)  # as the server writes it


def write_cursor(place: list[Any], of: list[Any]) -> str:
    """Return a place in a list as text; `of` says which list."""
    return base64.urlsafe_b64encode(ujson.dumps([of, place]).encode()).decode().rstrip("=")


def read_cursor(text: str | None, of: list[Any], fits: Callable[[list[Any]], bool]) -> list[Any] | None:
    """Return the place that a cursor names. Raises 422 for one that is not of this list, or of no such place."""
    if text is None:
        return None
    place = _read(text, of)
    if place is not None and fits(place):
        return place
    refuse(422, "cursor: it is this version's `next` of the page before, with the same other parameters", "cursor")


def write_until(bounds: Mapping[str, Bound]) -> str:
    """Return how far dead letters were counted, by part of a queue, as text."""
    return write_cursor([[name, *bound] for name, bound in bounds.items()], _COUNTED)


def read_until(text: str | None) -> dict[str, Bound] | None:
    """Return how far dead letters were counted. Raises 422 for what no answer has said."""
    if text is None:
        return None
    place = _read(text, _COUNTED)
    if place is not None and all(_is_bound(one) for one in place):
        return {name: Bound(entry, letters) for name, entry, letters in place}
    refuse(422, "until: it is this version's `until` of the groups that were counted", "until")


def _read(text: str, of: list[Any]) -> list[Any] | None:
    """Return what a text of ours says, when it is about what is asked for."""
    try:
        said, place = ujson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError):
        return None
    return place if said == of and isinstance(place, list) else None


def _is_bound(one: Any) -> bool:
    if not isinstance(one, list) or len(one) != 3:
        return False
    name, entry, letters = one
    return isinstance(name, str) and _is_entry(entry) and type(letters) is int and 0 <= letters < 10**15


def in_records(place: list[Any]) -> bool:
    """Whether a place is one among records of queues, the newest first: part of a queue, entry."""
    return len(place) == 2 and isinstance(place[0], str) and _is_entry(place[1])


def in_streams(place: list[Any]) -> bool:
    """Whether a place is one among tasks that wait or run: part of a queue, letter of the stream, entry."""
    return len(place) == 3 and isinstance(place[0], str) and isinstance(place[1], str) and _is_entry(place[2])


def in_schedule(place: list[Any]) -> bool:
    """Whether a place is one among scheduled tasks: part of a queue, letter, and due time, how many of it, last id."""
    if len(place) != 3 or not isinstance(place[0], str) or not isinstance(place[1], str):
        return False
    at = place[2]
    return (
        isinstance(at, list)
        and len(at) == 3
        and isinstance(at[0], str)
        and _SCORE.fullmatch(at[0]) is not None
        and type(at[1]) is int
        and 0 <= at[1] < 10**9
        and isinstance(at[2], str)
    )


def _is_entry(written: Any) -> bool:
    return isinstance(written, str) and is_entry(written)
