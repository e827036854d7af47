"""The batch in which travels what callers enqueue at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from buraq.broker import BATCH_BYTES, ENQUEUE_BATCH, Broker, Item
from buraq.errors import EnqueueError
from buraq.scripts import Call
from buraq.waiter import Waiter


class _Part(NamedTuple):
    """What one call sends: some of the items that callers have for one queue, `size` of them from the `start`th on."""

    broker: Broker
    waiters: list[Waiter]
    start: int
    size: int
    call: Call

    def share(self, reply: object) -> None:
        """Tell the callers what was not simply accepted."""
        if not reply:
            return
        places = [(waiter, n) for waiter in self.waiters for n in range(len(waiter.items))]
        if isinstance(reply, list):
            for position, verdict in self.broker.verdicts(reply).items():
                waiter, n = places[self.start + position]
                waiter.verdicts = {**(waiter.verdicts or {}), n: verdict}
        elif isinstance(reply, Exception):
            for waiter, n in places[self.start : self.start + self.size]:
                waiter.error = waiter.error or EnqueueError(waiter.items[n].id, str(reply))


class Batch:
    """What travels together, under one number: for each queue one call or, of many items, several."""

    def __init__(self, number: int, producer: str, waiters: list[Waiter]) -> None:
        self.waiters = waiters
        self.memo = waiters[0].broker.keys.accepted(producer)
        self.parts: list[_Part] = []
        self.queues: list[str] = []
        for broker, callers in _by_queue(waiters):
            self.queues.append(broker.keys.name)
            items = [item for waiter in callers for item in waiter.items]
            start = 0
            for part, some in enumerate(_cut(items, sum([waiter.size for waiter in callers]))):
                # The server remembers its reply to each part.
                name = f"{producer}:{part}" if part else producer
                self.parts.append(_Part(broker, callers, start, len(some), broker.enqueue(some, name, number)))
                start += len(some)

    def share(self, replies: Sequence[object], leader: Waiter) -> None:
        """Give each caller its part of the replies, and wake all but the leader."""
        for part, reply in zip(self.parts, replies, strict=True):
            part.share(reply)
        for waiter in self.waiters:
            waiter.done = True
            if waiter is not leader:
                waiter.wake()


def _by_queue(waiters: list[Waiter]) -> Iterable[tuple[Broker, list[Waiter]]]:
    first = waiters[0].broker
    if all([waiter.broker is first for waiter in waiters]):
        return ((first, waiters),)
    callers: dict[Broker, list[Waiter]] = {}
    for waiter in waiters:
        callers.setdefault(waiter.broker, []).append(waiter)
    return callers.items()


def _cut(items: list[Item], size: int) -> Iterator[list[Item]]:
    """Cut items, of `size` bytes together, into parts that a script may take."""
    if len(items) <= ENQUEUE_BATCH and size <= BATCH_BYTES:
        yield items
        return
    part: list[Item] = []
    size = 0
    for item in items:
        size += len(item.payload)
        if part and (len(part) >= ENQUEUE_BATCH or size > BATCH_BYTES):
            yield part
            part, size = [], len(item.payload)
        part.append(item)
    yield part
