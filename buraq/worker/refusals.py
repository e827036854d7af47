"""Outcomes that the server refuses, as when something else has overwritten a key: they wait apart, and nothing else
waits for them.

The tasks stay where they are, pending under this process's name, until the server takes their outcomes. Whoever takes
this process's place runs them again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link
from buraq.log import RateLimited
from buraq.permissions import is_wrong_type
from buraq.task import Delivery
from buraq.worker.loop import FIRST_PAUSE, LONGEST_PAUSE

MOST = 250  # refused outcomes of a queue from which on nothing more is fetched from it: all of them are in memory
_SAID_EVERY = 30.0  # seconds between two lines about the same outcomes

Lane = tuple[str, str, str]  # queue, letter of the stream, kind of outcome: what is settled by one call

_rare = RateLimited(logging.getLogger(__name__), seconds=_SAID_EVERY)


class _Refused:
    """The outcomes of one lane: every now and then one of them is tried."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.waiting: deque[Delivery] = deque()
        self.tried: Delivery | None = None
        self.pause = FIRST_PAUSE
        self.due = 0.0
        self.error: ResponseError | None = None  # that is still to be said
        self.keys: list[str] = []  # that hold another type of value, as was said last


class Refusals:
    """What is refused, by lane. One at a time is tried: when it is taken, all others of its lane follow."""

    def __init__(self, worker: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._worker = worker
        self._clock = clock
        self._lanes: dict[Lane, _Refused] = {}

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def add(self, name: Lane, broker: Broker, batch: Iterable[Delivery], error: ResponseError) -> None:
        """Put aside what was refused. Its lane is tried again after a pause, which grows up to a second."""
        lane = self._lanes.get(name)
        if lane is None:
            lane = self._lanes[name] = _Refused(broker)
        else:
            lane.pause = min(LONGEST_PAUSE, lane.pause * 2)
        lane.waiting.extend(batch)  # at the end: should it be the one outcome that is refused, others are tried before
        lane.tried, lane.error = None, error
        lane.due = self._clock() + lane.pause

    def keeps(self, name: Lane, delivery: Delivery) -> bool:
        """Put an outcome aside that would be refused as those before it. Returns False for one that is to be sent."""
        lane = self._lanes.get(name)
        if lane is None or delivery is lane.tried:
            return False
        lane.waiting.append(delivery)
        return True

    def taken(self, name: Lane) -> Iterable[Delivery]:
        """Note that the server has taken outcomes of a lane. Returns those that waited for that."""
        lane = self._lanes.pop(name, None)
        return lane.waiting if lane is not None else ()

    def due(self) -> list[Delivery]:
        """Return what is to be tried now: one outcome of each lane whose pause is over."""
        if not self._lanes:
            return []
        now, found = self._clock(), []
        for lane in self._lanes.values():
            if lane.tried is None and lane.due <= now:
                lane.tried = lane.waiting.popleft()
                found.append(lane.tried)
        return found

    def wait(self, most: float) -> float:
        """Return in how many seconds, `most` at most, something is to be tried."""
        return min((max(0.0, lane.due - self._clock()) for lane in self._lanes.values()), default=most)

    @property
    def full(self) -> frozenset[str]:
        """The queues of which so many outcomes are refused that nothing more is to be fetched from them."""
        counted: Counter[str] = Counter()
        for (queue, _, _), lane in self._lanes.items():
            counted[queue] += len(lane.waiting)
        return frozenset(queue for queue, count in counted.items() if count >= MOST)

    @property
    def by_queue(self) -> Counter[str]:
        """How many outcomes are refused, by queue, with those that are tried just now."""
        counted: Counter[str] = Counter()
        for (queue, _, _), lane in self._lanes.items():
            counted[queue] += len(lane.waiting) + (lane.tried is not None)
        return counted

    @property
    def keys(self) -> set[str]:
        """The keys that are the cause, as far as was said."""
        return {key for lane in self._lanes.values() for key in lane.keys}

    def say(self, link: Link) -> None:
        """Log what was refused since the last time, now and then, with the keys that are the cause."""
        for (queue, _, kind), lane in self._lanes.items():
            error, lane.error = lane.error, None
            if error is None or not lane.waiting:
                continue
            told: dict[str, object] = {"queue": queue, "outcome": kind, "waiting": len(lane.waiting)}
            if is_wrong_type(error) and (keys := self._overwritten(lane, link)):
                told["broken_keys"], lane.keys = ",".join(keys), keys
            remedy = "the tasks stay pending and are settled when the server takes it: move away a key that is not ours"
            _rare.error("outcomes refused", key=(queue, kind), extra={**told, "error": str(error), "remedy": remedy})

    def _overwritten(self, lane: _Refused, link: Link) -> list[str]:
        """Return the keys that hold another type of value: the error of a script does not name them."""
        keys = lane.broker.keys
        streams = [*keys.streams.values(), keys.dlq]
        hashes = [keys.index, keys.tasks, keys.groups, keys.settled(self._worker)]
        asked = [*(("XLEN", key) for key in streams), *(("HLEN", key) for key in hashes), ("ZCARD", keys.scheduled)]
        replies = link.commands(asked)
        return [key for (_, key), reply in zip(asked, replies, strict=True) if is_wrong_type(reply)]
