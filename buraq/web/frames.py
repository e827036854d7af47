"""How events are written as server-sent events, and those as a chunk of an HTTP/1.1 answer."""

from __future__ import annotations

from functools import lru_cache

from buraq.events import GAP, KEPT, Event

RETRY_MS = 3000  # after which a browser connects again
HERE = b": here\n\n"  # says that we are there while nothing happens


def hello(at: int | None) -> bytes:
    """The first frame. Its id, where there is one, lets a client that hears nothing more resume from here."""
    number = "" if at is None else f"id: {at}\n"
    return f'retry: {RETRY_MS}\n{number}data: {{"type":"ping"}}\n\n'.encode()


def frame(event: Event) -> bytes:
    """Write one event as a frame; the data is what was published."""
    if event is GAP:
        return b'event: gap\ndata: {"type":"gap"}\n\n'
    number = "" if event.at is None else f"id: {event.at}\n"
    return f"{number}data: {event.data}\n\n".encode()


def frames(events: list[Event]) -> bytes:
    """Write events as frames in a row."""
    return b"".join(map(frame, events))


@lru_cache(KEPT)
def chunk(written: bytes) -> bytes:
    """Write frames as one chunk. Streams that are at the same place ask for the same one."""
    return b"%X\r\n%b\r\n" % (len(written), written)
