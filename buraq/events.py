"""Events of all tasks, heard once for each process and read by any number of listeners, each at its own pace.

A listener that is slow loses the oldest events and is told so; it holds up nobody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import ujson
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from buraq.connection import Server, Unreachable
from buraq.log import RateLimited
from buraq.permissions import explained

RING_SIZE = 10_000
READ_AT_ONCE = 250  # events that an inbox gives at most
KEPT = 8  # views that are kept, for listeners that are at the same place
YIELD_EVERY = 200  # messages between two moments at which others may run

TICK = 1.0  # seconds between two looks at whether to stop
QUIET = 10.0  # seconds of silence after which the server is asked whether it is there
ANSWER_TIMEOUT = 5.0
RECONNECT = 0.5  # seconds between two attempts
LINGER = 300.0  # seconds for which the subscription outlives its last listener, who may come back

_log = RateLimited(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its stamp in µs by the server's clock, and the JSON object as it was published.

    `at` is None for an event without a stamp, which the Go original publishes.
    """

    at: int | None
    data: str
    type: str = field(default="", compare=False)


# What a listener wants of events in a row: itself, a text, those of one kind. The same function for all who want the
# same, because it is called once for all who are at the same place.
View = Callable[[list[Event]], Any]

# Stands where events may have been missed: between two subscriptions, or where a listener was too slow.
GAP: Final = Event(None, "")


def parse(raw: bytes) -> Event | None:
    """Read what was published on the channel, None when it is no event.

    The three members that each event has are always there afterwards, and it is always one line.
    """
    try:
        members = ujson.loads(raw)
        text = raw.decode()
    except ValueError:
        return None
    if type(members) is not dict or type(members.get("type")) is not str:
        return None
    missing = {name: "" for name in ("task_id", "worker_id") if name not in members}
    if missing or "\n" in text or "\r" in text:
        # In ASCII: what a stranger published may hold half a surrogate pair, and no frame can.
        text = ujson.dumps({**members, **missing}, escape_forward_slashes=False)
    at = members.get("at")
    return Event(at if type(at) is int else None, text, members["type"])


class EventRing:
    """The last `size` messages, each numbered from 0 on. What it holds is read when it is asked for: most never is."""

    def __init__(self, size: int = RING_SIZE) -> None:
        self._size = size
        self._slots: list[bytes | None] = [None] * size
        self.end = 0  # number of the next message

    @property
    def start(self) -> int:
        """Number of the oldest message that is still there."""
        return max(0, self.end - self._size)

    def append(self, raw: bytes | None) -> None:
        """Add a message; None says that some may have been missed before the next one."""
        self._slots[self.end % self._size] = raw
        self.end += 1

    def read(self, number: int, limit: int) -> tuple[list[Event], int]:
        """Return the events from `number` on, and the number to go on from."""
        events: list[Event] = []
        if number < self.start:
            events.append(GAP)
            number = self.start
        until = min(self.end, number + limit)
        for place in range(number, until):
            raw = self._slots[place % self._size]
            event = GAP if raw is None else parse(raw)
            if event is not None:
                events.append(event)
        return events, until

    def newest(self) -> int | None:
        """Return the stamp of the newest event that has one, None when the ring knows of none."""
        for number in range(self.end - 1, self.start - 1, -1):
            raw = self._slots[number % self._size]
            if raw is None:
                return None  # what came before was not the newest
            event = parse(raw)
            if event is not None and event.at is not None:
                return event.at
        return None

    def after(self, at: int) -> int | None:
        """Return the number that follows the event with the stamp `at`, None when it is not there."""
        needle = b"%d" % at  # with or without a space before it
        for number in range(self.end - 1, self.start - 1, -1):
            raw = self._slots[number % self._size]
            if raw is not None and needle in raw:
                event = parse(raw)
                if event is not None and event.at == at:
                    return number + 1
        return None

    def later_than(self, at: int) -> int:
        """Return the number of the first event with a later stamp; the end when there is none."""
        for number in range(self.start, self.end):
            raw = self._slots[number % self._size]
            event = parse(raw) if raw is not None else None
            if event is not None and event.at is not None and event.at > at:
                return number
        return self.end


class Inbox:
    """One listener's place in the ring. For one reader; anybody may close it."""

    def __init__(self, feed: Feed, view: View, number: int, since: int | None, gap: bool) -> None:
        self._feed = feed
        self._view = view
        self._number = number
        self._gap = gap
        self.since = since  # stamp of the last event before the first that this inbox gives, where known
        self.closed = False

    def get(self, timeout: float) -> Any:
        """Do as `take` does, but wait `timeout` seconds for the first event."""
        news, ring = self._feed.news, self._feed.ring
        until = time.monotonic() + timeout
        while not (seen := self.take(ring.end)):
            with news:
                if not news.wait_for(lambda: self.closed or ring.end > self._number, until - time.monotonic()):
                    break
            if self.closed:
                break
        return seen

    def take(self, until: int) -> Any:
        """Return the view of the next events, in order, none from message `until` on; of no event when closed.

        `GAP` stands where some are missing.
        """
        if self._gap and not self.closed:
            self._gap = False
            return self._view([GAP])
        while self._number < until and not self.closed:
            seen, self._number = self._feed.look(self._view, self._number, until)
            if seen:  # not all messages are events, and a view need not show all of them
                return seen
        return self._view([])

    def close(self) -> None:
        """Wake the reader for good."""
        with self._feed.news:
            self.closed = True
            self._feed.news.notify_all()


class Feed:
    """The events of one server as one process hears them: one subscription, begun with the first listener.

    It reconnects by itself and marks the gap. It ends with `close()`, or some minutes after its last listener: while
    anybody hears events, publishing them costs every worker.
    """

    def __init__(self, server: Server, channel: str, size: int = RING_SIZE, linger: float = LINGER) -> None:
        self.ring = EventRing(size)
        self.news = threading.Condition()  # guards all that follows, and the ring
        self._server = server
        self._channel = channel
        self._linger = linger
        self._thread: threading.Thread | None = None
        self._live = False  # whether the subscription stands
        self._broken = False  # whether one stood before, so that events may have been missed
        self._inboxes: set[Inbox] = set()
        self._left_at = 0.0
        self._closed = False
        self.look = lru_cache(KEPT)(self._look)  # what it returns is shared: nobody may change it

    @contextmanager
    def subscribe(self, after: int | None = None, timeout: float = 1.5, view: View = list) -> Iterator[Inbox]:
        """Listen from now on, or from the event with the stamp `after` on; `GAP` comes first where that is not known.

        The inbox gives what `view` makes of the events.

        Raises one of `connection.Unreachable` when there is no subscription within `timeout` seconds.
        """
        with self.news:
            if self._thread is None:
                self._closed = False
                self._thread = threading.Thread(target=self._run, name="buraq-events", daemon=True)
                self._thread.start()
            if not self.news.wait_for(lambda: self._live or self._closed, timeout) or self._closed:
                raise RedisTimeoutError(f"no subscription to {self._channel} within {timeout:g}s")
            inbox = self._inbox(view, after)
            self._inboxes.add(inbox)
        try:
            yield inbox
        finally:
            with self.news:
                self._inboxes.discard(inbox)
                self._left_at = time.monotonic()

    def _inbox(self, view: View, after: int | None) -> Inbox:
        ring = self.ring
        if after is None:
            return Inbox(self, view, ring.end, ring.newest(), gap=False)
        number = ring.after(after)
        if number is not None:
            return Inbox(self, view, number, after, gap=False)
        return Inbox(self, view, ring.later_than(after), after, gap=True)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._inboxes)

    @property
    def live(self) -> bool:
        """Whether the subscription stands."""
        return self._live

    def close(self) -> None:
        """End the subscription and close every inbox. It begins anew with the next listener."""
        with self.news:
            self._closed = True
            for inbox in self._inboxes:
                inbox.closed = True
            self.news.notify_all()

    def wait(self, number: int, timeout: float) -> int:
        """Wait for message `number`, `timeout` seconds at most, and return the number of the one that comes next."""
        with self.news:
            self.news.wait_for(lambda: self.ring.end > number, timeout)
            return self.ring.end

    def _look(self, view: View, number: int, until: int) -> tuple[Any, int]:
        """Return the view of the events from `number` on, and the number to go on from."""
        with self.news:
            events, until = self.ring.read(number, min(READ_AT_ONCE, until - number))
        return view(events), until

    # -- the thread that listens

    def _done(self) -> bool:
        return self._closed or (not self._inboxes and time.monotonic() - self._left_at > self._linger)

    def _run(self) -> None:
        with self.news:
            self._left_at = time.monotonic()  # the first listener is about to be counted
        while True:
            try:
                self._listen()
            except (RedisError, *Unreachable) as error:
                if not self._closed:
                    said = str(explained(error, ("SUBSCRIBE",)))
                    _log.warning("event subscription lost", extra={"error": said})
            with self.news:
                self._broken = self._broken or self._live
                self._live = False
                if self._done():
                    self._thread = None
                    return
                if not self._closed:
                    self.news.wait_for(lambda: self._closed, RECONNECT)

    def _listen(self) -> None:
        """Subscribe and take in messages until it is over. Raises when the connection breaks."""
        connection = self._server.connection(ANSWER_TIMEOUT)
        try:
            connection.send_command("SUBSCRIBE", self._channel)
            connection.read_response()
            with self.news:
                if self._broken:
                    self.ring.append(None)
                self._live = True
                self.news.notify_all()
            self._take_in(connection)
        finally:
            connection.disconnect()

    def _take_in(self, connection: Any) -> None:
        heard_at = time.monotonic()
        asked = False
        taken = 0
        while True:
            try:
                reply = connection.read_response(timeout=TICK, disconnect_on_error=False)
            except RedisTimeoutError:
                if self._done():
                    return
                silent = time.monotonic() - heard_at
                if silent > QUIET + ANSWER_TIMEOUT:
                    raise
                if silent > QUIET and not asked:
                    # A peer that vanished without a word would be silent, too.
                    connection.send_command("PING")
                    asked = True
                continue
            heard_at, asked = time.monotonic(), False
            if reply[0] != b"message":
                continue
            with self.news:
                if self._closed:
                    return
                self.ring.append(reply[2])
                self.news.notify_all()
            taken += 1
            if taken % YIELD_EVERY == 0:
                if self._done():
                    return
                # Where messages come faster than they are read, no read ever waits, and no greenlet would run.
                time.sleep(0)
