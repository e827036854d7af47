"""Server-sent events: the frames of one stream, and the watch over all open ones.

A stream holds a connection for as long as its client wants. So there is a limit on them, a client that went or that
reads nothing is noticed without its help, and all of them end when the process is to stop.
"""

from __future__ import annotations

import _socket
import contextlib
import itertools
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any

from flask import Response
from werkzeug.exceptions import ServiceUnavailable

from buraq.events import GAP, Event, Feed, Inbox

HEARTBEAT = 15.0  # seconds; Heroku cuts a silent connection after 55
RETRY_MS = 3000  # after which a browser connects again
TICK = 0.2  # seconds between two looks at all streams
WRITE_TIMEOUT = 10.0  # seconds that a client has to take what is written to it
FAREWELL = 0.5  # seconds that streams have to end by themselves when the process stops
ROOM = 100  # streams where the web server does not say how many connections it takes


class EventStream(Response):
    """The answer that carries a stream. Its connection serves nothing afterwards."""

    default_mimetype = "text/event-stream"

    def __call__(self, environ: Any, start_response: Any) -> Any:
        # A WSGI application may not send `Connection: close`, and gunicorn drops it. Without it the connection would
        # outlive the stream by the keep-alive, and hold up the stop for as long.
        force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
        if force_close is not None:
            force_close()
        return super().__call__(environ, start_response)


class Stream:
    """One open stream: its inbox, its socket where the web server shows it, and since when it has been writing."""

    def __init__(self, inbox: Inbox, sock: Any) -> None:
        self.inbox = inbox
        self.sock = sock
        self.writing_since: float | None = None

    def gone(self) -> bool:
        """Whether the client closed its side. A write would notice only at the second try."""
        if self.sock is None:
            return False
        raw = None
        try:
            # Not the socket's own `recv`: under gevent that waits, whatever the flags say.
            raw = _socket.socket(self.sock.family, self.sock.type, self.sock.proto, self.sock.fileno())
            return raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except (OSError, ValueError):  # it is closed already
            return True
        finally:
            if raw is not None:
                raw.detach()  # the number is the web server's to close

    def stuck(self) -> bool:
        """Whether the client has taken nothing for too long."""
        since = self.writing_since
        return since is not None and time.monotonic() - since > WRITE_TIMEOUT

    def cut(self) -> None:
        """Break the connection, which ends a write that is under way."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                # Of the plain socket, also for a TLS one, whose own would have the rest go out unencrypted.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class Streams:
    """All open streams of this process, watched together by one thread that lives while there are any."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._lock = threading.Lock()
        self._open: set[Stream] = set()
        self._taken = 0  # places, those of streams that are about to open included
        self._watching = False
        self._stop_seen_at: float | None = None

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    def answer(self, environ: dict[str, Any], last_id: str | None) -> EventStream:
        """Return the answer to a client that asks for events, those after `last_id` where it names one.

        Raises `ServiceUnavailable` when there is no room, and one of `connection.Unreachable` without a subscription.
        """
        limit = most_streams()
        with self._lock:
            if self._taken >= limit:
                raise ServiceUnavailable(
                    f"{self._taken} streams are open, and there is no room for more", retry_after=5
                )
            self._taken += 1
        frames = self._frames(environ, last_id)
        first = next(frames)  # raises what hinders, while the answer can still say so
        answer = EventStream(itertools.chain([first], frames))
        answer.headers.update({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        answer.call_on_close(frames.close)
        return answer

    def _frames(self, environ: dict[str, Any], last_id: str | None) -> Generator[bytes, None, None]:
        """Yield what the client gets. Everything that this takes is given back when it is closed."""
        after = int(last_id) if last_id and last_id.isascii() and last_id.isdecimal() and len(last_id) < 19 else None
        try:
            with self.feed.subscribe(after) as inbox:
                stream = Stream(inbox, environ.get("gunicorn.socket") or environ.get("werkzeug.socket"))
                self._enter(stream)
                try:
                    yield hello(None if last_id else inbox.since)
                    if last_id and after is None:
                        yield frame(GAP)  # not an id of ours, so nobody knows what it missed
                    yield from self._events(stream)
                finally:
                    self._leave(stream)
        finally:
            with self._lock:
                self._taken -= 1

    def _events(self, stream: Stream) -> Iterator[bytes]:
        while not stream.inbox.closed:
            events = stream.inbox.get(HEARTBEAT)
            if stream.inbox.closed:
                return
            chunk = b"".join(map(frame, events)) or b": here\n\n"
            stream.writing_since = time.monotonic()
            yield chunk
            stream.writing_since = None

    def _enter(self, stream: Stream) -> None:
        with self._lock:
            self._open.add(stream)
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._watch, name="buraq-streams", daemon=True).start()

    def _leave(self, stream: Stream) -> None:
        with self._lock:
            self._open.discard(stream)

    def _watch(self) -> None:
        while True:
            time.sleep(TICK)
            with self._lock:
                streams = list(self._open)
                if not streams:
                    self._watching = False
                    return
            self._look(streams)

    def _look(self, streams: list[Stream]) -> None:
        """End the streams that are to end. Never waits for any of them."""
        now = time.monotonic()
        stopping = is_stopping()
        if stopping and self._stop_seen_at is None:
            self._stop_seen_at = now
        late = self._stop_seen_at is not None and now - self._stop_seen_at > FAREWELL
        for stream in streams:
            if stopping or stream.gone() or stream.stuck():
                stream.inbox.close()
            if stream.stuck() or late:
                stream.cut()

    def end(self) -> None:
        """End all streams and the subscription."""
        self.feed.close()


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


# --- The process around us ----------------------------------------------------------------------


def web_worker() -> Any:
    """Return the gunicorn worker that this process is, None when it is none.

    In any app under gunicorn, without a hook in its configuration: SIGTERM calls a method of the worker.
    """
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if hasattr(owner, "alive") and hasattr(owner, "cfg") else None


def is_stopping() -> bool:
    """Whether this process was told to stop."""
    worker = web_worker()
    return worker is not None and not worker.alive


def most_streams() -> int:
    """How many streams may be open at once: a quarter of the connections stays free for everything else."""
    worker = web_worker()
    if worker is None:
        return ROOM
    from gunicorn.workers.base_async import AsyncWorker

    at_once: int = worker.worker_connections if isinstance(worker, AsyncWorker) else worker.cfg.threads
    return at_once - max(1, at_once // 4)
