"""What replies of the server mean to several who ask: that it refuses, what time it is, how a consumer group stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import ResponseError

from buraq.permissions import is_wrong_type

# queue -> key -> what it would say ("waiting", "scheduled", "dead", "groups", "past", "rates", "workers", "types",
# "paused", "queues"): keys that hold another type of value than ours. Somebody has overwritten them.
Broken = dict[str, dict[str, str]]


def checked(reply: Any) -> Any:
    """Return a reply as it is. Raises it when it is an error: what cannot be read is not to be taken for nothing."""
    if isinstance(reply, Exception):
        raise reply
    return reply


def unless_broken(reply: Any, empty: Any, queue: str, key: str, what: str, broken: Broken | None) -> Any:
    """Return a reply as it is; `empty` where the key holds another type of value, and that is noted in `broken`."""
    if broken is None or not is_wrong_type(reply):
        return reply
    broken.setdefault(queue, {})[key] = what
    return empty


@contextmanager
def leaving_out(queue: str, key: str, what: str, broken: Broken | None) -> Iterator[None]:
    """Do without a key that holds another type of value: it is noted in `broken`. Without that it is an error."""
    try:
        yield
    except ResponseError as error:
        if broken is None or not is_wrong_type(error):
            raise
        broken.setdefault(queue, {})[key] = what


def put_off(replies: Iterable[Any], errors: list[ResponseError]) -> list[Any]:
    """Return replies, None for each about a key that holds another type of value: that error is added to `errors`.

    Raises any other error reply.
    """
    found = []
    for reply in replies:
        if is_wrong_type(reply):
            errors.append(reply)
        found.append(None if is_wrong_type(reply) else checked(reply))
    return found


def all_checked(replies: list[Any]) -> list[Any]:
    """Return replies as they are. Raises the first that is an error."""
    for reply in replies:
        checked(reply)
    return replies


def unix_ms(clock: Any) -> int:
    """Return the reply to TIME in unix ms. Raises an error reply."""
    seconds, micros = checked(clock)
    return int(seconds) * 1000 + int(micros) // 1000


def group_of(reply: Any, name: str) -> dict[bytes, Any]:
    """Return what XINFO GROUPS says of a group, nothing where there is none: without a stream the reply is an error.

    Raises any other error reply.
    """
    there = not (isinstance(reply, Exception) and "no such key" in str(reply))
    for row in checked(reply) if there else ():
        facts = dict(zip(row[::2], row[1::2], strict=False))
        if facts[b"name"] == name.encode():
            return facts
    return {}


def pending_of(reply: Any) -> list[Any]:
    """Return the rows that XPENDING lists, none where no group reads the stream: the reply is an error then.

    Raises any other error reply: what runs is not to be taken for what waits.
    """
    if isinstance(reply, Exception) and str(reply).startswith("NOGROUP"):
        return []
    return list(checked(reply))
