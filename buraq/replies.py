"""What replies of the server mean to several who ask: that it refuses, what time it is, how a consumer group stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def checked(replies: list[Any]) -> list[Any]:
    """Return replies as they are. Raises the first error reply: what cannot be read is not to be shown as nothing."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def unix_ms(clock: Sequence[bytes]) -> int:
    """Return the reply to TIME in unix ms."""
    return int(clock[0]) * 1000 + int(clock[1]) // 1000


def group_of(reply: Any, name: str) -> dict[bytes, Any]:
    """Return what XINFO GROUPS says of a group, nothing where there is none: without a stream the reply is an error."""
    for row in reply if isinstance(reply, list) else ():
        facts = dict(zip(row[::2], row[1::2], strict=False))
        if facts[b"name"] == name.encode():
            return facts
    return {}
