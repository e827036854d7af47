"""Server-sent events: one stream, and what serves all open ones.

A stream holds a connection for as long as its client wants. So there is a limit on them, a client that went or that
reads nothing is noticed without its help, and all of them end when the process is to stop.

Under gunicorn's gevent worker we write to the sockets ourselves. The greenlet of a stream would have to run for each
write, and with thousands of them nothing that it touches is in the processor's caches any more: it cost four times as
much as the write itself.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from flask import Response
from gevent import monkey
from werkzeug.exceptions import ServiceUnavailable

from buraq.events import GAP, Feed, Inbox
from buraq.web.frames import HERE, chunk, frame, hello
from buraq.web.wishes import Quiet, Whole, Wishes, skipped

HEARTBEAT = 15.0  # seconds; Heroku cuts a silent connection after 55
TICK = 0.2  # seconds between two looks at all streams
AT_ONCE = 25  # streams that are pushed to between two moments at which others may run
WRITE_TIMEOUT = 10.0  # seconds that a client has to take what is written to it
FAREWELL = 0.5  # seconds that streams have to end by themselves when the process stops
ROOM = 100  # streams where the web server does not say how many connections it takes

HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)  # the other side sends nothing more


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


class Streams:
    """All open streams of this process, served by one thread that lives while there are any."""

    def __init__(self, feed: Feed, look: Callable[[], str] = lambda: "{}") -> None:
        """`look` returns what `event: stats` shows, as JSON."""
        self.feed = feed
        self.whole = Whole(look)
        self._lock = threading.Lock()
        self._open: set[Stream] = set()
        self._taken = 0  # places, those of streams that are about to open included
        self._serving = False
        self._stop_seen_at: float | None = None

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._taken

    def answer(self, environ: dict[str, Any], last_id: str | None, wishes: Wishes = Wishes()) -> EventStream:  # noqa: B008
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
        stream = Stream(environ.get("gunicorn.socket") or environ.get("werkzeug.socket"), wishes)
        chunks = self._chunks(stream, last_id)
        first = next(chunks)  # raises what hinders, while the answer can still say so
        answer = EventStream(itertools.chain([first], chunks), stream)
        answer.headers.update({"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        answer.call_on_close(chunks.close)
        return answer

    def _chunks(self, stream: Stream, last_id: str | None) -> Generator[bytes, None, None]:
        """Yield what the web server is to write. Everything that this takes is given back when it is closed."""
        after = int(last_id) if last_id and last_id.isascii() and last_id.isdecimal() and len(last_id) < 19 else None
        try:
            with self._inbox(after, stream.wishes) as stream.inbox:
                self._enter(stream)
                try:
                    yield hello(None if last_id else stream.inbox.since)
                    if last_id and after is None:
                        yield frame(GAP)  # not an id of ours, so nobody knows what it missed
                    if stream.pushable():
                        stream.be_pushed(self.feed.ring.end)
                    else:
                        yield from stream.chunks()
                finally:
                    self._leave(stream)
        finally:
            with self._lock:
                self._taken -= 1

    @contextlib.contextmanager
    def _inbox(self, after: int | None, wishes: Wishes) -> Iterator[Inbox | Quiet]:
        """Open an inbox: of the one subscription, and of none for who wants no events."""
        if not wishes.events:
            yield Quiet()
            return
        with self.feed.subscribe(after, view=wishes.view) as inbox:
            yield inbox

    def _enter(self, stream: Stream) -> None:
        if stream.wishes.stats:
            self.whole.join()
        with self._lock:
            self._open.add(stream)
            if not self._serving:
                self._serving = True
                threading.Thread(target=self._serve, name="buraq-streams", daemon=True).start()

    def _leave(self, stream: Stream) -> None:
        if stream.wishes.stats:
            self.whole.leave()
        with self._lock:
            self._open.discard(stream)

    def _serve(self) -> None:
        """Push events as they come, then rest for as long as that took.

        A few streams take no time worth mentioning, so each event is pushed at once. Thousands take a while: the rest
        lets events gather for the next write, and leaves half of the time to everything else in this process.
        """
        number, look_at = 0, 0.0
        while True:
            number = self.feed.wait(number, TICK)
            with self._lock:
                streams = list(self._open)
                if not streams:
                    self._serving = False
                    return
            now = time.monotonic()
            if now >= look_at:
                self._look(streams, now)
                look_at = now + TICK
            for stream in streams:
                if stream.wishes.stats or stream.wishes.limit:
                    stream.tell(now, self.whole)
            self._push(streams, number, now)
            time.sleep(min(time.monotonic() - now, TICK))

    def _push(self, streams: list[Stream], until: int, now: float) -> None:
        """Push to all that are pushed to. All up to the same event, so that they stay together and share what is
        written.
        """
        for count, stream in enumerate(streams, 1):
            if stream.pushed:
                stream.push(until, now)
            if count % AT_ONCE == 0:
                time.sleep(0)

    def _look(self, streams: list[Stream], now: float) -> None:
        """End the streams that are to end. Never waits for any of them."""
        stopping = is_stopping()
        if stopping and self._stop_seen_at is None:
            self._stop_seen_at = now
        late = self._stop_seen_at is not None and now - self._stop_seen_at > FAREWELL
        deserted = gone(streams)
        for stream in streams:
            stuck = stream.stuck(now)
            if stopping or stuck or stream.inbox.closed or stream in deserted:
                stream.end()
            if stuck or late:
                stream.cut()
            stream.stay(now)

    def end(self) -> None:
        """End all streams and the subscription."""
        self.feed.close()


def gone(streams: Iterable[Stream]) -> set[Stream]:
    """Return the streams whose client closed its side. A write would notice only at the second try."""
    poll = monkey.get_original("select", "poll")()  # gevent's own would look at each in turn
    shown = {stream.sock.fileno(): stream for stream in streams if stream.sock is not None}
    shown.pop(-1, None)  # closed already
    for number in shown:
        poll.register(number, HANGUP)
    return {shown[number] for number, _ in poll.poll(0)}


# --- The process around us ----------------------------------------------------------------------


def greenlets() -> bool:
    """Whether threads are greenlets here, of which one runs until it waits."""
    return bool(monkey.is_module_patched("threading") and monkey.is_module_patched("socket"))


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
