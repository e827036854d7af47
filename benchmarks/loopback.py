"""Connections to the API from many addresses of the loopback net, because it limits the rate of each."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator


def addresses() -> Iterator[str]:
    """Return one loopback address after the other."""
    for number in itertools.count(256):
        yield f"127.{1 + (number >> 16) % 250}.{(number >> 8) & 255}.{1 + number % 254}"


_addresses = addresses()


def connect(port: int) -> socket.socket:
    """Connect from an address that nobody has used for a while."""
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(next(_addresses), 0))


def head(method: str, path: str, key: str = "") -> bytes:
    """Write a request without a body."""
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Length: 0\r\n\r\n".encode()
