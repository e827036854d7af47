"""All open event streams of this process, and what serves them.

A stream holds a connection for as long as its client wants. So there is a limit on them, a client that went or that
reads nothing is noticed without its help, and all of them end when the process is to stop.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from gevent import monkey
from werkzeug.exceptions import ServiceUnavailable

from buraq.events import GAP, Feed, Inbox
from buraq.web.frames import frame, hello
from buraq.web.hosting import is_stopping, most_streams
from buraq.web.stream import TICK, EventStream, Stream
from buraq.web.wishes import Quiet, Whole, Wishes

AT_ONCE = 25  # streams that are pushed to between two moments at which others may run
FAREWELL = 0.5  # seconds that streams have to end by themselves when the process stops

HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)  # the other side sends nothing more


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
        try:
            self._serve_all()
        except BaseException:
            with self._lock:
                self._serving = False  # the next stream that opens has all of them served again
            raise

    def _serve_all(self) -> None:
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
