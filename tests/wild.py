"""Requests that no client writes, on a bare socket, and the parts that they are made up of."""

import socket
import time
from typing import NamedTuple
from urllib.parse import quote, quote_from_bytes

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.servers import PATIENCE

# The same requests in each run.
tried = settings(
    max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

_APART = b"\r\n\0 "  # what ends a part of a request


def raw(size: int = 30) -> st.SearchStrategy[bytes]:
    """Bytes as they are."""
    return st.binary(max_size=size).map(lambda text: bytes(byte for byte in text if byte not in _APART))


def quoted(size: int = 30) -> st.SearchStrategy[bytes]:
    """Text or bytes as they are written into an address."""
    text = st.text(st.characters(codec="utf-8"), max_size=size).map(lambda text: quote(text, safe="").encode())
    return text | st.binary(max_size=size).map(lambda text: quote_from_bytes(text, safe="").encode())


class Answer(NamedTuple):
    """What came back, as far as it was read."""

    status: int
    head: bytes
    body: bytes


def ask(port: int, method: bytes, target: bytes, *headers: bytes, until: bytes | None = None) -> Answer:
    """Send a request, and read to the end of the answer, or until something was in it. Raises TimeoutError where
    neither comes.
    """
    last = time.monotonic() + PATIENCE
    first = b"%b %b HTTP/1.1" % (method, target)
    request = b"\r\n".join((first, b"Host: here", b"Connection: close", *headers, b"", b""))
    data = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(request)
        while not (until and until in data) and (part := client.recv(65536)):
            data += part
            if time.monotonic() > last:
                raise TimeoutError(f"{request!r} is still being answered: {data[-200:]!r}")
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), head, body)
