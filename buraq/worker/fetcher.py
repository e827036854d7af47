"""Asks for work, only as much as free slots can start now, and knows all that this process owns."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link, Server, Unreachable
from buraq.keys import SUSPECTS
from buraq.permissions import is_refused, is_wrong_type
from buraq.scripts import Argument
from buraq.task import Delivery
from buraq.worker.holdings import Company, Holdings
from buraq.worker.lease import Lease
from buraq.worker.levels import LEVELS, Fairness, shares
from buraq.worker.loop import Loop
from buraq.worker.reconciler import Reconciler

log = logging.getLogger(__name__)

_ASK_AGAIN = 1.0  # seconds after which a queue that was left out is asked about again
_SUSPECTS_EVERY = 0.1  # seconds; while walks are full, suspects are not asked for with each of them

Read = tuple[list[tuple[Broker, str]], int]  # streams, and how many entries to take of each


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
        cohort: int = 1,
        company: Company | None = None,
    ) -> None:
        """`room` is set by whoever frees a slot. `cohort` is how many suspects this asks for at once, `company` says
        how many others brought.
        """
        super().__init__()
        self.held_up: Callable[[], bool] = lambda: False  # whether to wait although slots are free
        self.full: Callable[[], frozenset[str]] = frozenset  # queues of which no more outcomes can be kept
        self.room = room or Event()
        self.quiet_walks = 0  # walks in a row that found nothing
        self._server = server
        self._lease = lease
        self._holdings = holdings
        self._free = free
        self._dispatch = dispatch
        self._hand_back = hand_back
        self._batch = batch
        self._block = self.waits = block
        self._cohort = cohort
        self._company = company or Company([holdings], cohort)
        self._link: Link = server.link(block + 5.0)
        self._client_id: int | None = None
        self._reconciler = Reconciler(self._link, lease, holdings, self._admit)
        self._fairness = Fairness()
        self._busy: int | None = (
            None  # the level that gave the last walk all it asked for, while those above had nothing
        )
        self._suspects_at = 0.0  # when suspects were last asked for
        self.brokers: tuple[Broker, ...] = ()  # the queues that this process knows of
        self.open: tuple[Broker, ...] = ()  # those that are fetched from
        self.paused: frozenset[str] | None = frozenset()  # names; None while nobody has looked which there are
        self._seen_paused = self.paused
        self._seen_full: frozenset[str] = frozenset()
        self._turn = 0
        self._broken = False
        self._reconciled = 0.0
        self._ready: set[str] = set()  # queues whose groups were made sure of
        self.overwritten: set[str] = set()  # those of which something else has overwritten a stream
        self._left_out: dict[str, float] = {}  # queues that the server refuses, and when they are asked about again

    # -- one step

    def step(self) -> None:
        """Reconcile if need be, then fetch what free slots can start, or wait for work or for a slot."""
        if not self._lease.valid or not self._lease.covered or self.paused is None:
            self._stopping.wait(0.02)
            return
        if self.brokers != self._lease.covered or self._seen_paused != self.paused:
            self.brokers, self._seen_paused, self.quiet_walks = self._lease.covered, self.paused, 0
            self._choose()
        if self._seen_full != (full := self.full()):
            self._seen_full = full
            self._choose()
        try:
            self._fetch()
        except Unreachable:
            self._broken = True  # entries may be pending under our name that we never saw
            self._client_id = None  # the next connection has another
            raise

    def _choose(self) -> None:
        shut = {*(self.paused or ()), *self._left_out, *self._seen_full}
        self.open = tuple(broker for broker in self.brokers if broker.keys.name not in shut)

    def _fetch(self) -> None:
        for broker in self.brokers:
            name = broker.keys.name
            if name not in self._ready and self._left_out.get(name, 0.0) <= time.monotonic():
                self._make_groups(broker)
        if self._broken or time.monotonic() - self._reconciled > self._lease.ttl:
            self.reconcile()
        self._fill()

    def _fill(self) -> None:
        """Fetch what free slots can start, or wait for work or for a slot."""
        free = self._free()
        if free <= 0 or self.held_up():
            self.room.clear()
            if self._free() <= 0 or self.held_up():
                self.room.wait(1.0)
            return
        found = self.walk(free) if self.open else 0
        self.quiet_walks = 0 if found else self.quiet_walks + 1
        if not found and not self.stopping:
            if self.open:
                self._wait_for_work()
            else:
                self._stopping.wait(0.1)

    def _make_groups(self, broker: Broker) -> None:
        name = broker.keys.name
        for reply in self._link.commands(broker.group_commands()):
            if isinstance(reply, ResponseError) and not str(reply).startswith("BUSYGROUP"):
                if not is_refused(reply):
                    raise reply
                self._leave_out(name, reply)
                return
        self._ready.add(name)
        self.overwritten.discard(name)
        if self._left_out.pop(name, None) is not None:
            log.info("queue is fetched from again", extra={"queue": name})
            self._choose()

    def _leave_out(self, queue: str, refused: ResponseError) -> None:
        """Fetch nothing from a queue one of whose streams the server refuses: all streams are read at once, and refused
        at once.
        """
        if is_wrong_type(refused):
            self.overwritten.add(queue)
        if queue not in self._left_out:
            remedy = "move away the key that is no stream, or grant what docs/security.md lists"
            log.error("queue left out", extra={"queue": queue, "error": str(refused), "remedy": remedy})
        self._left_out[queue] = time.monotonic() + _ASK_AGAIN
        self._choose()

    def walk(self, free: int) -> int:
        """Take up to `free` deliveries, level by level. Returns how many."""
        epoch = self._lease.epoch
        self._turn += 1
        if self._busy is not None:
            plan = shares(self._busy, len(self.open), min(free, self._batch), self._fairness)
            if plan is not None:
                return self._walk_at_once(plan, self._busy, epoch)
        return self._walk_in_turn(free, epoch)

    def _walk_in_turn(self, free: int, epoch: int) -> int:
        """Ask one level after the other: what the one leaves is the next one's."""
        budget = free
        if self._room_for_suspects:
            self._suspects_at = time.monotonic()
            budget -= self._read(self._streams((SUSPECTS,)), min(budget, self._room_for_suspects), epoch)
        drained: set[int] = set()
        gave: list[int] = []
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
                gave.append(level)
            else:
                self._fairness.empty(level)
        self._busy = gave[0] if budget <= 0 and len(gave) == 1 else None
        return free - budget

    def _walk_at_once(self, plan: list[tuple[int, int]], busy: int, epoch: int) -> int:
        """Ask all levels in one round trip, each for its share."""
        reads: list[Read] = [(self._streams(LEVELS[level]), each) for level, each in plan]
        looking = self._room_for_suspects and time.monotonic() - self._suspects_at > _SUSPECTS_EVERY
        if looking:
            self._suspects_at = time.monotonic()
            most = min(self._room_for_suspects, max(1, self._free() - self._batch))
            reads.append((self._streams((SUSPECTS,))[:1], most))
        found = self._ask(reads, epoch)
        for (level, each), took in zip(plan, found, strict=False):
            got = sum(took.values())
            full = got >= each * len(took)
            if got:
                self._fairness.took(level, got, set() if full else {level})
            else:
                self._fairness.empty(level)
            if (level < busy and got) or (level == busy and not full):
                self._busy = None  # the next walk is strict
        return sum(sum(took.values()) for took in found)

    @property
    def _room_for_suspects(self) -> int:
        """How many more suspects may come."""
        return min(self._company.room, max(0, self._cohort - self._holdings.suspects))

    def _streams(self, letters: Sequence[str]) -> list[tuple[Broker, str]]:
        """Return the streams of these letters, the queues taking turns to come first."""
        start = self._turn % len(self.open)
        turned = self.open[start:] + self.open[:start]
        return [(broker, letter) for letter in letters for broker in turned]

    def _read(self, streams: list[tuple[Broker, str]], budget: int, epoch: int) -> int:
        """Read at most `budget` from streams, without waiting. COUNT is for each stream, so they share it.

        A stream that gave its whole share is asked again while budget is left: what the empty ones leave is its.
        """
        left = budget
        while streams and left > 0:
            part, streams = streams[:left], streams[left:]
            count = min(self._batch, max(1, left // len(part)))
            [took] = self._ask([(part, count)], epoch)
            left -= sum(took.values())
            streams += [(broker, letter) for broker, letter in part if took[broker.keys.streams[letter]] >= count]
        return budget - left

    def _wait_for_work(self) -> None:
        """Block until something comes. A server may answer with one entry of each stream."""
        letters, block = [letter for level in LEVELS for letter in level], self._block
        if self._room_for_suspects:
            letters.insert(0, SUSPECTS)
        else:  # the next suspect may come when one of these has ended, and this read would not hear of that
            block = min(block, _SUSPECTS_EVERY)
        if self._left_out:
            block = min(block, _ASK_AGAIN)
        epoch = self._lease.epoch
        if self._client_id is None:
            self._client_id = int(self._link.command("CLIENT", "ID"))
        if not self.stopping:
            self._ask([(self._streams(letters), 1)], epoch, int(block * 1000))

    def _ask(self, reads: Sequence[Read], epoch: int, block_ms: int | None = None) -> list[dict[str, int]]:
        """Run one XREADGROUP for each read, in one round trip, and dispatch what they bring.

        Returns, for each read, how many entries each of its streams gave. Each stands alone: a group that is missing on
        one stream must not orphan what another gave.
        """
        self._holdings.asking()
        try:
            replies = self._link.commands([self._words(streams, count, block_ms) for streams, count in reads])
            found: list[dict[str, int]] = []
            refused: ResponseError | None = None
            for (streams, _), reply in zip(reads, replies, strict=True):
                took = {broker.keys.streams[letter]: 0 for broker, letter in streams}
                if isinstance(reply, ResponseError):
                    refused = reply
                elif reply:
                    where = dict(zip((name.encode() for name in took), streams, strict=True))
                    took |= {name.decode(): self._receive(*where[name], rows, epoch) for name, rows in reply}
                found.append(took)
            if refused is not None:
                # Streams are gone with their groups, which are made again at the next step, or something else is in
                # the place of one: that is found out there.
                self._ready.clear()
                if not str(refused).startswith(("NOGROUP", "UNBLOCKED")):
                    raise refused
            return found
        finally:
            self._holdings.answered()

    def _words(self, streams: list[tuple[Broker, str]], count: int, block_ms: int | None) -> tuple[Argument, ...]:
        names = [broker.keys.streams[letter] for broker, letter in streams]
        block = () if block_ms is None else ("BLOCK", block_ms)
        head = ("XREADGROUP", "GROUP", streams[0][0].group, self._lease.name, "COUNT", count, *block)
        return (*head, "STREAMS", *names, *([">"] * len(names)))

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
        # A blocking read may bring one of each queue, a look several, and other shards' reads are under way: no more
        # suspects meet than are a cohort.
        crowded = delivery.letter == SUSPECTS and not self._company.takes(delivery)
        if self.stopping or late or crowded or self._free() <= 0:
            self._hand_back(delivery)
        else:
            self._dispatch([delivery])

    # -- reconciling

    def reconcile(self) -> None:
        """Compare what the server holds for us with what we know, and adopt what we never heard of."""
        for broker in self._reconciler.reconcile(self.brokers, self._broken):
            self._ready.discard(broker.keys.name)
        self._broken = False
        self._reconciled = time.monotonic()

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
        handed: list[int] = []

        def leave(broker: Broker) -> None:
            done = False
            while not done:
                count, finished = self._link.call(broker.leave(self._lease.name))
                handed.append(int(count))
                done = bool(finished)

        # A lease may be held where no step has fetched yet, and is not where that is denied.
        self.each(dict.fromkeys((*self.brokers, *self._lease.covered)), leave)
        self._link.close()
        return sum(handed)
