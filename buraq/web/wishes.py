"""What a client wants of the event stream: which events, how many a second, and the whole once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from redis.exceptions import RedisError

from buraq.connection import Unreachable
from buraq.events import GAP, Event, View
from buraq.log import RateLimited
from buraq.web.frames import frame, frames

STATS = "stats"
EVERY = 1.0  # seconds between two looks at the whole

_log = RateLimited(logging.getLogger(__name__))


class Wishes(NamedTuple):
    """`types` are those of the events to show, None for all; `limit` is how many a second, None for all."""

    types: frozenset[str] | None = None
    limit: int | None = None
    stats: bool = False

    @classmethod
    def of(cls, query: dict[str, Any]) -> Wishes:
        """Return what parameters ask for."""
        named = query.get("types")
        types = None if named is None else frozenset(named) - {STATS}
        return cls(types, query.get("limit"), named is not None and STATS in named)

    @property
    def events(self) -> bool:
        """Whether any event is wanted."""
        return self.types is None or bool(self.types)

    @property
    def view(self) -> View:
        """What an inbox is to give. The same for all who want the same, since it is made once for all of them."""
        return frames if self.types is None and self.limit is None else _view(self.types, self.limit is not None)


@lru_cache(100)
def _view(types: frozenset[str] | None, apart: bool) -> View:
    """Return a view of events of these types: frames in a row, or each apart."""

    def shown(events: list[Event]) -> Any:
        wanted = [event for event in events if event is GAP or types is None or event.type in types]
        return [frame(event) for event in wanted] if apart else frames(wanted)

    return shown


def skipped(count: int) -> bytes:
    """Return the frame that says how many events were left out."""
    return f'event: skipped\ndata: {{"type":"skipped","count":{count}}}\n\n'.encode()


class Quiet:
    """Stands for the inbox of a client that wants no events: for it nobody subscribes."""

    since: int | None = None

    def __init__(self) -> None:
        self.closed = False
        self._over = threading.Event()

    def get(self, timeout: float) -> bytes:
        """Wait."""
        self._over.wait(timeout)
        return b""

    def take(self, until: int) -> bytes:
        """There is never anything."""
        return b""

    def close(self) -> None:
        """Wake who waits."""
        self.closed = True
        self._over.set()


class Whole:
    """The whole, looked at once a second for all who want it, while there are any."""

    def __init__(self, look: Callable[[], str]) -> None:
        """`look` returns it as JSON."""
        self._look = look
        self._lock = threading.Lock()
        self._wanted = 0
        self._running = False
        self._number = 0
        self._frame = b""
        self._at = float("-inf")

    def join(self) -> None:
        """Count one who wants it."""
        with self._lock:
            self._wanted += 1
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="buraq-stats", daemon=True).start()

    def leave(self) -> None:
        """Count one less."""
        with self._lock:
            self._wanted -= 1

    def newer(self, number: int) -> tuple[int, bytes]:
        """Return the last look and its number where it is another than `number`, and is fresh; else nothing."""
        current, shown = self._number, self._frame
        if current == number or time.monotonic() - self._at > 2 * EVERY:
            return number, b""
        return current, shown

    def _run(self) -> None:
        try:
            self._look_while_wanted()
        except BaseException:
            with self._lock:
                self._running = False  # the next who wants it has it begin again
            raise

    def _look_while_wanted(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                if not self._wanted:
                    self._running = False
                    return
            self.step()
            time.sleep(max(0.05, EVERY - (time.monotonic() - began)))

    def step(self) -> None:
        """Look once. While Redis is away there is nothing to see."""
        try:
            text = self._look()
        except (RedisError, *Unreachable) as error:
            _log.warning("no stats for the event streams", extra={"error": str(error)})
            return
        self._frame, self._at = f"event: stats\ndata: {text}\n\n".encode(), time.monotonic()
        self._number += 1
