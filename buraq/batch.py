"""What callers enqueue at the same time: each of them, and the batch in which they travel together."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from buraq.broker import BATCH_BYTES, ENQUEUE_BATCH, Broker, Item, Verdict
from buraq.errors import EnqueueError
from buraq.scripts import Call


class Waiter:
    """A caller's items, and what became of them."""

    __slots__ = ("broker", "done", "error", "gone", "items", "leads", "ready", "verdicts")

    def __init__(self, broker: Broker, items: Sequence[Item]) -> None:
        self.broker = broker
        self.items = items
        self.verdicts: dict[int, Verdict] | None = None
        self.error: Exception | None = None
        self.done = False
        self.leads = False
        self.gone = False  # its caller was told that the answer is not known
        self.ready: threading.Lock | None = None  # locked; the caller waits for it

    def finish(self) -> None:
        """Tell the caller that its answer is there."""
        self.done = True
        self.wake()

    def wake(self) -> None:
        """Let the caller go on, once: one that has run out of time meanwhile takes no notice."""
        if self.ready is not None and self.ready.locked():
            self.ready.release()


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
        by_queue: dict[Broker, list[Waiter]] = {}
        for waiter in waiters:
            by_queue.setdefault(waiter.broker, []).append(waiter)
        self.queues = [broker.keys.name for broker in by_queue]
        for broker, callers in by_queue.items():
            start = 0
            for part, items in enumerate(_cut([item for waiter in callers for item in waiter.items])):
                # The server remembers its reply to each part.
                name = f"{producer}:{part}" if part else producer
                call = broker.enqueue(items, name, number)
                self.parts.append(_Part(broker, callers, start, len(items), call))
                start += len(items)

    def share(self, replies: Sequence[object]) -> None:
        """Give each caller its part of the replies."""
        for part, reply in zip(self.parts, replies, strict=True):
            part.share(reply)
        for waiter in self.waiters:
            waiter.finish()


def _cut(items: list[Item]) -> Iterator[list[Item]]:
    """Cut items into parts that a script may take."""
    if len(items) <= ENQUEUE_BATCH and sum(len(item.payload) for item in items) <= BATCH_BYTES:
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
