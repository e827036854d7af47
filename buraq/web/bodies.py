"""The body of a request: JSON, and no object in it with two members of one name."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn

from buraq.web.contract import Unfit

Step = tuple[Any, str | int]  # what leads to an object, None for nothing, and the name or the number behind it


def read(raw: bytes) -> Any:
    """Return the value of a body.

    Raises `ValueError` or `RecursionError` for what is no JSON, and `Unfit` for a member that is there twice. Readers
    of JSON differ in which of the two counts: what was checked in front of us need not be what would run.
    """
    twice: dict[int, tuple[str, dict[str, Any]]] = {}  # by identity, which holds as long as they are kept

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            times = Counter(name for name, _ in pairs)
            twice[id(found)] = next(name for name in found if times[name] > 1), found
        return found

    value = json.loads(raw, parse_constant=_no_constant, object_pairs_hook=members)
    if twice:
        path = _path({of: name for of, (name, _) in twice.items()}, value)
        raise Unfit(path, f"{path if len(path) <= 80 else f'{path[:80]}…'} is there twice: write it once")
    return value


def _path(twice: dict[int, str], whole: Any) -> str:
    """Return where a member is that is there twice. One of them is in the whole: an object that was replaced by another
    of its name is in none, but the one around it is.
    """
    left: list[tuple[Any, Step | None]] = [(whole, None)]
    while True:
        value, step = left.pop()
        if isinstance(value, dict):
            if id(value) in twice:
                return _written((step, twice[id(value)]))
            left += [(item, (step, name)) for name, item in value.items()]
        elif isinstance(value, list):
            left += [(item, (step, number)) for number, item in enumerate(value)]


def _written(step: Step) -> str:
    """Write a path as `payload.items[2].price`."""
    parts: list[str] = []
    at: Step | None = step
    while at is not None:
        at, name = at
        parts.append(f"[{name}]" if isinstance(name, int) else f".{name}")
    return "".join(reversed(parts)).removeprefix(".")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
