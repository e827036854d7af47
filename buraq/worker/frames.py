"""What a worker process and its children say to each other: JSON objects, each behind four bytes of length."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from buraq.log import printable
from buraq.task import COMPLETED, Completed, Dead, Outcome, Released, Retried

Frame = dict[str, Any]

_LENGTH = struct.Struct("!I")


def pack(frame: Frame) -> bytes:
    """Write a frame. What JSON cannot hold, a fact of somebody's log line, becomes text."""
    body = json.dumps(frame, default=printable).encode()  # ASCII, so that half a surrogate pair passes
    return _LENGTH.pack(len(body)) + body


def receive(sock: socket.socket) -> Iterator[Frame]:
    """Yield what the other end sends, until it closes or is gone."""
    with suppress(OSError), sock.makefile("rb") as stream:
        while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
            (length,) = _LENGTH.unpack(head)
            body = stream.read(length)
            if len(body) < length:
                return  # it died in the middle of a word
            yield json.loads(body)


def text_of(raw: bytes) -> str:
    """Write bytes, whatever they are, as text that `bytes_of` reads."""
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Return the bytes that `text_of` wrote."""
    return text.encode("utf-8", "surrogateescape")


def write_outcome(outcome: Outcome) -> list[Any]:
    """Write what a run ended in."""
    match outcome:
        case Completed(result, ttl_ms):
            return ["completed", None if result is None else text_of(result), ttl_ms]
        case Retried(delay_ms, payload, charged, error):
            return ["retried", delay_ms, text_of(payload), charged, error]
        case Dead(reason, error, traceback):
            return ["dead", reason, error, traceback]
        case _:
            return ["released"]


def read_outcome(written: list[Any]) -> Outcome:
    """Read what `write_outcome` wrote."""
    match written:
        case ["completed", None, _]:
            return COMPLETED
        case ["completed", result, ttl_ms]:
            return Completed(bytes_of(result), ttl_ms)
        case ["retried", delay_ms, payload, charged, error]:
            return Retried(delay_ms, bytes_of(payload), charged, error)
        case ["dead", reason, error, traceback]:
            return Dead(reason, error, traceback)
        case _:
            return Released()
