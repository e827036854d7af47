"""Looks for tasks in a server, whatever system put them there: by their names, in all keys of all types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from redis import Redis

NAME = re.compile(rb"t\d{6}z")


def held(client: Redis, keys: Iterable[str] | None = None) -> set[str]:
    """Return the tasks that the server could still have run: not those of stream entries that are acknowledged."""
    return _names(client, keys, settled=False)


def kept(client: Redis, history: str = "") -> set[str]:
    """Return the tasks that the server has any trace of, but for keys that begin as `history` does."""
    keys = [key.decode() for key in client.scan_iter(count=1000)]
    return _names(client, [key for key in keys if not (history and key.startswith(history))], settled=True)


def _names(client: Redis, keys: Iterable[str] | None, settled: bool) -> set[str]:
    found: set[bytes] = set()
    for key in client.scan_iter(count=1000) if keys is None else [key.encode() for key in keys]:
        found.update(NAME.findall(key))
        for text in _texts(client, key, settled):
            found.update(NAME.findall(text))
    return {name.decode() for name in found}


def _texts(client: Any, key: bytes, settled: bool) -> Iterator[bytes]:
    kind = client.type(key)
    if kind == b"string":
        yield client.get(key) or b""
    elif kind == b"hash":
        for pair in client.hgetall(key).items():
            yield from pair
    elif kind == b"list":
        yield from client.lrange(key, 0, -1)
    elif kind == b"set":
        yield from client.smembers(key)
    elif kind == b"zset":
        yield from client.zrange(key, 0, -1)
    elif kind == b"stream":
        wanted = None if settled else _unsettled(client, key)
        for entry, fields in client.xrange(key):
            if wanted is None or wanted(entry):
                yield from fields.values()


def _unsettled(client: Any, key: bytes) -> Any:
    """Return whether an entry is pending in a group or was never delivered to it. A stream without groups holds all."""
    groups = client.xinfo_groups(key)
    if not groups:
        return None
    pending = {
        row["message_id"] for group in groups for row in client.xpending_range(key, group["name"], "-", "+", 1_000_000)
    }
    last = min(_place(group["last-delivered-id"]) for group in groups)
    return lambda entry: entry in pending or _place(entry) > last


def _place(entry: bytes) -> tuple[int, ...]:
    return tuple(map(int, entry.split(b"-")))
