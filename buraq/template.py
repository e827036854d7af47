"""Writes new tasks as the wire format has them: their ids, their time, and payloads that are plain JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from random import Random
from typing import Any

import ujson

from buraq.errors import PayloadError, PayloadTooLarge

_SCALARS = frozenset({str, int, bool, type(None)})


def _check(value: Any, path: str) -> None:
    """Raise `PayloadError` naming `path` where a value is not plain JSON.

    ujson would write a Decimal as a float, a tuple key as text and call `toDict` of strangers; all of that is refused.
    """
    kind = type(value)
    if kind in _SCALARS:
        return
    if kind is float:
        if value - value != 0.0:
            raise PayloadError(path, f"{value} is not a finite number: send a finite number or None")
    elif kind is dict:
        for key, item in value.items():
            if type(key) is not str:
                raise PayloadError(path, f"the key {key!r} is not a text: JSON objects need texts, use str(key)")
            if type(item) not in _SCALARS:
                _check(item, f"{path}.{key}")
    elif kind is list or kind is tuple:
        for position, item in enumerate(value):
            if type(item) not in _SCALARS:
                _check(item, f"{path}[{position}]")
    elif isinstance(value, str | int | float | dict | list | tuple):
        # A subclass (an enum, a namedtuple) that behaves as its plain type is written as that type.
        plain: Any = next(kind for kind in (str, int, float, dict, list, tuple) if isinstance(value, kind))
        _check(plain(value), path)
    else:
        remedy = "send texts, numbers, booleans, None, lists and objects (a date as isoformat())"
        raise PayloadError(path, f"{kind.__name__} is not JSON: {remedy}")


def _dumps(value: Any) -> str:
    text: str = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
    return text


class Template:
    """Writes new tasks of one type as JSON: what they have in common is written once."""

    def __init__(self, task_type: str, more: Mapping[str, Any], limit: int) -> None:
        """`more` are members that all of them have. No task may be longer than `limit` bytes."""
        self._type = f',"type":{_dumps(task_type)},"payload":'
        self._rest = f",{_dumps(more)[1:]}" if more else "}"
        self._limit = limit

    def write(self, task_id: str, payload: Mapping[str, Any], created_at: str) -> bytes:
        """Return a task's JSON. Raises `PayloadError` naming the argument that is not JSON, and `PayloadTooLarge`."""
        try:
            for name, value in payload.items():
                if type(value) not in _SCALARS:
                    _check(value, name)
            quoted = f'"{task_id}"' if task_id.isalnum() else _dumps(task_id)
            text = f'{{"id":{quoted}{self._type}{_dumps(payload)},"created_at":"{created_at}"{self._rest}'
            raw = text.encode()
        except (OverflowError, RecursionError, TypeError) as error:
            raise PayloadError("payload", f"{error}: send a flatter payload") from None
        except UnicodeEncodeError:
            raise PayloadError("payload", "a text holds half a surrogate pair: clean it first") from None
        except PayloadError:
            raise
        except ValueError:
            raise PayloadError("payload", "an integer has more digits than Python reads: send it as text") from None
        if len(raw) > self._limit:
            raise PayloadTooLarge(len(raw), self._limit)
        return raw


class Ids:
    """Makes task ids: 32 hex digits, the time first, so that they sort by age."""

    def __init__(self) -> None:
        self.reseed()

    def reseed(self) -> None:
        """Draw new randomness; a forked child must not repeat its parent's ids."""
        self._random = Random()  # seeded by the system, whatever the program does to `random.seed`

    def new(self) -> str:
        """Return a new task id."""
        return f"{time.time_ns() // 1_000_000:012x}{self._random.randbytes(10).hex()}"

    def some(self, count: int) -> list[str]:
        """Return so many new ids, of the same moment."""
        begin, ends = f"{time.time_ns() // 1_000_000:012x}", self._random.randbytes(10 * count).hex()
        return [begin + ends[n : n + 20] for n in range(0, 20 * count, 20)]


_second: tuple[int, str] = (0, "")  # the last one that was written


def timestamp() -> str:
    """Return now as the wire format has it: RFC 3339 in UTC, with microseconds."""
    global _second
    now = time.time_ns()
    second = now // 1_000_000_000
    last = _second
    if last[0] != second:
        last = _second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
    return f"{last[1]}.{now // 1000 % 1_000_000:06d}Z"
