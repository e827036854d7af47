"""Asks for work, only as much as free slots can start now, and knows all that this process owns."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link, Server, Unreachable
from buraq.keys import FRONT, HIGH, LOW, NORMAL, SUSPECTS
from buraq.task import Delivery
from buraq.worker.holdings import Holdings
from buraq.worker.lease import Lease
from buraq.worker.loop import Loop

# Strict priority, level by level; but a level that was passed over for so many starts is asked first, once.
LEVELS = ((FRONT, HIGH), (NORMAL,), (LOW,))
PATIENCE = 16
_PAGE = 100


class Fairness:
    """Strict priority that starves nobody: of every `PATIENCE` + 1 starts, one is offered to each lower level first."""

    def __init__(self) -> None:
        self._passed = [0] * len(LEVELS)

    def order(self, budget: int) -> list[tuple[int, int]]:
        """Return levels and the most to take of each, in the order in which to ask. A level may come twice."""
        owed = [
            (level, min(budget, passed // PATIENCE)) for level, passed in enumerate(self._passed) if passed >= PATIENCE
        ]
        return [*owed, *((level, budget) for level in range(len(LEVELS)))]

    def took(self, level: int, count: int, drained: set[int]) -> None:
        """Note that `count` were taken of a level, and which levels had nothing more in this walk."""
        for lower in range(level + 1, len(LEVELS)):
            if lower not in drained:
                self._passed[lower] += count
        self._passed[level] = 0

    def empty(self, level: int) -> None:
        """Note that a level had nothing: it is owed nothing."""
        self._passed[level] = 0


class Fetcher(Loop):
    """Walks the streams while slots are free, blocks when all are empty, reconciles after a broken fetch."""

    name = "fetch"

    def __init__(
        self,
        server: Server,
        lease: Lease,
        holdings: Holdings,
        free: Callable[[], int],
        dispatch: Callable[[list[Delivery]], None],
        hand_back: Callable[[Delivery], None],
        batch: int = 250,
        block: float = 2.0,
        room: Event | None = None,
    ) -> None:
        """`room` is set by whoever frees a slot."""
        super().__init__()
        self.held_up: Callable[[], bool] = lambda: False  # whether to wait although slots are free
        self.room = room or Event()
        self.quiet_walks = 0  # walks in a row that found nothing
        self._server = server
        self._lease = lease
        self._holdings = holdings
        self._free = free
        self._dispatch = dispatch
        self._hand_back = hand_back
        self._batch = batch
        self._block = block
        self._link: Link = server.link(block + 5.0)
        self._client_id: int | None = None
        self._fairness = Fairness()
        self.brokers: tuple[Broker, ...] = ()  # the queues that are fetched from
        self._turn = 0
        self._broken = False
        self._reconciled = 0.0
        self._ready: set[str] = set()  # queues whose groups were made sure of

    # -- one step

    def step(self) -> None:
        """Reconcile if need be, then fetch what free slots can start, or wait for work or for a slot."""
        if not self._lease.valid or not self._lease.covered:
            self._stopping.wait(0.02)
            return
        if self.brokers != self._lease.covered:
            self.brokers, self.quiet_walks = self._lease.covered, 0
        try:
            self._fetch()
        except Unreachable:
            self._broken = True  # entries may be pending under our name that we never saw
            self._client_id = None  # the next connection has another
            raise

    def _fetch(self) -> None:
        for broker in self.brokers:
            if broker.keys.name not in self._ready:
                self._make_groups(broker)
        if self._broken or time.monotonic() - self._reconciled > self._lease.ttl:
            self.reconcile()
        free = self._free()
        if free <= 0 or self.held_up():
            self.room.clear()
            if self._free() <= 0 or self.held_up():
                self.room.wait(1.0)
            return
        found = self.walk(free)
        self.quiet_walks = 0 if found else self.quiet_walks + 1
        if not found and not self.stopping:
            self._wait_for_work()

    def _make_groups(self, broker: Broker) -> None:
        for reply in self._link.commands(broker.group_commands()):
            if isinstance(reply, ResponseError) and not str(reply).startswith("BUSYGROUP"):
                raise reply
        self._ready.add(broker.keys.name)

    def walk(self, free: int) -> int:
        """Take up to `free` deliveries, level by level. Returns how many."""
        epoch, budget = self._lease.epoch, free
        self._turn += 1
        if not self._holdings.suspects:
            budget -= self._read(self._streams((SUSPECTS,)), 1, epoch)
        drained: set[int] = set()
        for level, most in self._fairness.order(budget):
            if budget <= 0:
                break
            most = min(most, budget)
            got = self._read(self._streams(LEVELS[level]), most, epoch)
            budget -= got
            if got < most:
                drained.add(level)
            if got:
                self._fairness.took(level, got, drained)
            else:
                self._fairness.empty(level)
        return free - budget

    def _streams(self, letters: Sequence[str]) -> list[tuple[Broker, str]]:
        """Return the streams of these letters, the queues taking turns to come first."""
        start = self._turn % len(self.brokers)
        turned = self.brokers[start:] + self.brokers[:start]
        return [(broker, letter) for letter in letters for broker in turned]

    def _read(self, streams: list[tuple[Broker, str]], budget: int, epoch: int) -> int:
        """Read at most `budget` from streams, without waiting. COUNT is for each stream, so they share it.

        A stream that gave its whole share is asked again while budget is left: what the empty ones leave is its.
        """
        left = budget
        while streams and left > 0:
            part, streams = streams[:left], streams[left:]
            count = min(self._batch, max(1, left // len(part)))
            took = self._take(part, epoch, count, None)
            left -= sum(took.values())
            streams += [(broker, letter) for broker, letter in part if took[broker.keys.streams[letter]] >= count]
        return budget - left

    def _wait_for_work(self) -> None:
        """Block until something comes. A server may answer with one entry of each stream."""
        letters = [letter for level in LEVELS for letter in level]
        if not self._holdings.suspects:
            letters.insert(0, SUSPECTS)
        epoch = self._lease.epoch
        if self._client_id is None:
            self._client_id = int(self._link.command("CLIENT", "ID"))
        if not self.stopping:
            self._take(self._streams(letters), epoch, 1, int(self._block * 1000))

    def _take(self, streams: list[tuple[Broker, str]], epoch: int, count: int, block_ms: int | None) -> Counter[str]:
        """Run one XREADGROUP and dispatch what it brings. Returns how many entries of each stream."""
        names = [broker.keys.streams[letter] for broker, letter in streams]
        block = () if block_ms is None else ("BLOCK", block_ms)
        first = streams[0][0]
        words = ("XREADGROUP", "GROUP", first.group, self._lease.name, "COUNT", count, *block, "STREAMS", *names)
        self._holdings.asking()
        try:
            reply = self._link.command(*words, *([">"] * len(names)))
            where = dict(zip((name.encode() for name in names), streams, strict=True))
            return Counter({name.decode(): self._receive(*where[name], rows, epoch) for name, rows in reply or ()})
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            self._ready.clear()  # the groups are gone with their streams: made again at the next step
            return Counter()
        finally:
            self._holdings.answered()

    def _receive(self, broker: Broker, letter: str, rows: list[Any], epoch: int) -> int:
        self.quiet_walks = 0
        keys = broker.keys
        deliveries = [Delivery(keys, letter, entry, fields or [], epoch) for entry, fields in rows]
        usual = letter != SUSPECTS and not self.stopping and epoch == self._lease.epoch and self._lease.valid
        if usual and len(deliveries) <= self._free():
            self._dispatch(self._holdings.adopt_all(deliveries))
        else:
            for delivery in deliveries:
                self._admit(delivery)
        return len(rows)

    def _admit(self, delivery: Delivery) -> None:
        """Own a delivery, and start it if we still may."""
        if not self._holdings.adopt(delivery):
            return
        late = delivery.epoch != self._lease.epoch or not self._lease.valid
        # A blocking read may bring one of each queue, a look several: two suspects must not meet.
        crowded = delivery.letter == SUSPECTS and self._holdings.suspects > 1
        if self.stopping or late or crowded or self._free() <= 0:
            self._hand_back(delivery)
        else:
            self._dispatch([delivery])

    # -- reconciling

    def reconcile(self) -> None:
        """Compare what the server holds for us with what we know, and adopt what we never heard of.

        Counts first: pages are read only where they differ, and after a broken fetch. What somebody took from us
        meanwhile would make up for what we never saw.
        """
        self._holdings.asking()
        try:
            known = self._holdings.by_stream()
            streams = [(broker, letter) for broker in self.brokers for letter in broker.keys.streams]
            summaries = self._link.commands(
                [("XPENDING", broker.keys.streams[letter], broker.group) for broker, letter in streams]
            )
            for (broker, letter), summary in zip(streams, summaries, strict=True):
                if isinstance(summary, ResponseError):
                    self._ready.discard(broker.keys.name)
                    continue
                ours = {name: int(count) for name, count in summary[3] or ()}.get(self._lease.name.encode(), 0)
                if ours and (self._broken or ours != known[broker.keys.streams[letter]]):
                    self._adopt_pending(broker, letter)
        finally:
            self._holdings.answered()
        self._broken = False
        self._reconciled = time.monotonic()

    def _adopt_pending(self, broker: Broker, letter: str) -> None:
        stream, start, epoch = broker.keys.streams[letter], "-", self._lease.epoch
        while True:
            words = ("XPENDING", stream, broker.group, start, "+", _PAGE, self._lease.name)
            rows = self._link.command(*words)
            for row in rows:
                key = (stream, row[0])
                if key in self._holdings.known or self._holdings.recently_settled(key):
                    continue
                body = self._link.command("XRANGE", stream, row[0], row[0])
                if body:
                    self._admit(Delivery(broker.keys, letter, row[0], body[0][1], epoch))
                else:  # somebody deleted the entry: nothing is left to run
                    self._link.command("XACK", stream, broker.group, row[0])
            if len(rows) < _PAGE:
                return
            start = "(" + rows[-1][0].decode()

    # -- stopping

    def wake(self) -> None:
        """End a blocking read now, so that a stop does not wait for it."""
        self.room.set()
        if self._client_id is not None:
            self._server.shared.commands([("CLIENT", "UNBLOCK", self._client_id)])

    def leave(self) -> int:
        """Hand back all that is pending under our name, then forget the process. Returns how many were handed back.

        On the fetch connection: a fetch that is still under way there is answered before.
        """
        handed = 0
        for broker in self.brokers:
            done = False
            while not done:
                count, finished = self._link.call(broker.leave(self._lease.name))
                handed, done = handed + int(count), bool(finished)
        self._link.close()
        return handed
