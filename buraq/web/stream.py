"""One open event stream: what it is to say next, and how that gets into its socket.

Under gunicorn's gevent worker we write to the sockets ourselves. The greenlet of a stream would have to run for each
write, and with thousands of them nothing that it touches is in the processor's caches any more: it cost four times as
much as the write itself.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Response

from buraq.events import Inbox
from buraq.web.frames import HERE, chunk
from buraq.web.hosting import greenlets
from buraq.web.wishes import Quiet, Whole, Wishes, skipped

HEARTBEAT = 15.0  # seconds; Heroku cuts a silent connection after 55
TICK = 0.2  # seconds between two looks at all streams
WRITE_TIMEOUT = 10.0  # seconds that a client has to take what is written to it


class EventStream(Response):
    """The answer that carries a stream. Its connection serves nothing afterwards."""

    default_mimetype = "text/event-stream"

    def __init__(self, chunks: Iterable[bytes] = (), stream: Stream | None = None) -> None:
        super().__init__(chunks)
        self._stream = stream

    def __call__(self, environ: Any, start_response: Any) -> Any:
        # Gunicorn's own object, where nobody stands between it and us.
        answer = getattr(start_response, "__self__", None)
        # A WSGI application may not send `Connection: close`, and gunicorn drops it. Without it the connection would
        # outlive the stream by the keep-alive, and hold up the stop for as long.
        force_close = getattr(answer, "force_close", None)
        if force_close is not None:
            force_close()
        if self._stream is not None:
            self._stream.answer = answer
        return super().__call__(environ, start_response)


class Stream:
    """One open stream: its inbox, its socket where the web server shows it, and what its client has not taken yet.

    Either the web server writes what `chunks` yields, or whoever calls `push` writes while `be_pushed` waits.
    """

    inbox: Inbox | Quiet

    def __init__(self, sock: Any, wishes: Wishes = Wishes()) -> None:  # noqa: B008  a tuple
        self.sock = sock
        self.wishes = wishes
        self.seen_whole = 0  # number of the last look at the whole that it was given
        self._left = wishes.limit or 0  # events that it may have in this second
        self._skipped = 0
        self._second = time.monotonic()
        self._told: deque[bytes] = deque(maxlen=10)  # frames that are no events, to be sent first
        self.answer: Any = None  # what the web server writes it with, where it shows that
        self.pushed = False  # whether `push` may be called
        self.wrote_at = time.monotonic()
        self.writing_since: float | None = None
        self._rest = b""  # of what is being pushed
        self._over = threading.Event()

    def chunks(self) -> Iterator[bytes]:
        """Yield events as they come, until the stream is to end."""
        patience = TICK if self.wishes.stats or self.wishes.limit else HEARTBEAT
        while True:
            written = self._next() or self._within(self.inbox.get(patience))
            if self.inbox.closed:
                return
            now = time.monotonic()
            if written or now - self.wrote_at >= HEARTBEAT or patience == HEARTBEAT:
                self.writing_since = now
                yield written or HERE
                self.wrote_at, self.writing_since = time.monotonic(), None

    def _next(self) -> bytes:
        """Return what is to be told beside events."""
        return self._told.popleft() if self._told else b""

    def _within(self, seen: Any) -> bytes:
        """Return frames as far as the limit allows them, and count the others."""
        if self.wishes.limit is None:
            return seen or b""
        kept = seen[: self._left] if seen else []
        self._left -= len(kept)
        self._skipped += len(seen or ()) - len(kept)
        return b"".join(kept)

    def _take(self, until: int) -> bytes:
        """Return what is to be pushed next."""
        if self._told:
            return self._next()
        if self.wishes.limit is None:
            return self.inbox.take(until) or b""
        while seen := self.inbox.take(until):
            if kept := self._within(seen):
                return kept
        return b""

    def tell(self, now: float, whole: Whole) -> None:
        """Have it told what is new of the whole, and once a second how many events were left out."""
        if self.wishes.stats:
            self.seen_whole, shown = whole.newer(self.seen_whole)
            if shown:
                self._told.append(shown)
        if self.wishes.limit is not None and now - self._second >= 1.0:
            self._second, self._left = now, self.wishes.limit
            if self._skipped:
                count, self._skipped = self._skipped, 0
                self._told.append(skipped(count))

    def pushable(self) -> bool:
        """Whether we may write to the socket: it carries a plain HTTP/1 answer, and greenlets take turns at it."""
        from gunicorn.http.wsgi import Response as Answer

        return type(self.answer) is Answer and type(self.sock) is socket.socket and greenlets()

    def be_pushed(self, until: int) -> None:
        """Push what there is before message `until`, then have others push until the stream is to end."""
        self.sock.setblocking(False)
        self.pushed = True
        try:
            self.push(until, time.monotonic())
            self._over.wait()
        finally:
            self.pushed = False
            self.sock.setblocking(True)
        if self._rest:
            self.writing_since = self.writing_since or time.monotonic()
            self.sock.sendall(self._rest)  # the web server goes on after it

    def push(self, until: int, now: float) -> None:
        """Write the events before message `until`, as far as the client takes them. Never waits."""
        while written := self._rest or self._framed(self._take(until)):
            try:
                sent = self.sock.send(written)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.end()
                return
            self._rest = written[sent:]
            if self._rest:
                self.writing_since = self.writing_since or now
                return
            self.wrote_at, self.writing_since = now, None

    def _framed(self, written: bytes) -> bytes:
        return chunk(written) if written and self.answer.chunked else written

    def stay(self, now: float) -> None:
        """Have a heartbeat pushed when nothing was written for long."""
        if self.pushed and not self._rest and now - self.wrote_at > HEARTBEAT:
            self._rest = self._framed(HERE)

    def stuck(self, now: float) -> bool:
        """Whether the client has taken nothing for too long."""
        return self.writing_since is not None and now - self.writing_since > WRITE_TIMEOUT

    def end(self) -> None:
        """Let the stream end after what is being written."""
        self.inbox.close()
        self._over.set()

    def cut(self) -> None:
        """Break the connection, which ends a write that is under way."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                # Of the plain socket, also for a TLS one, whose own would have the rest go out unencrypted.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
