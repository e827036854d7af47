"""Writes outcomes to Redis: those of many slots in one pipeline, one pipeline after the other.

Each round has a number, and the server remembers its reply. After a broken connection the same round is sent again, and
the remembered reply decides; without one, what is gone was settled by us or by somebody else: `unknown`, not `lost`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import ujson
from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.broker import BATCH_BYTES, SETTLE_BATCH, Broker, Settled, Settlement
from buraq.connection import Link, Server, Unreachable
from buraq.keys import DEFAULT_QUEUE
from buraq.scripts import Call, load
from buraq.task import Completed, Dead, Delivery, Outcome, Retried
from buraq.worker.holdings import Holdings
from buraq.worker.loop import Loop

log = logging.getLogger(__name__)


PARTS = 8  # calls of one kind in a round
ROUND = 1000  # outcomes in a round


class Group(NamedTuple):
    """What one call settles: outcomes of one kind, of deliveries of one stream. A round has up to `PARTS` of a kind."""

    broker: Broker
    batch: list[Settlement]
    part: int


class Settler(Loop):
    """Settles outcomes, and announces starts on the same connection: no Completed overtakes its Processing."""

    name = "settle"

    def __init__(
        self,
        server: Server,
        worker: str,
        holdings: Holdings,
        broker: Callable[[str], Broker],
        confirmed: Callable[[list[Settlement], frozenset[int], bool], None],
    ) -> None:
        super().__init__()
        self._worker = worker
        self._holdings = holdings
        self._broker = broker
        self._confirmed = confirmed
        self._link: Link = server.link()
        self._work = Event()
        self._notes = Notes(worker)
        self._watched = True
        self._awake = False
        self._started: list[Delivery] = []
        self._ended: deque[Settlement] = deque()
        self._number = 0
        self._round: list[Group] = []  # sent, and not confirmed
        self._sent = 0  # outcomes in it
        self._resent = False
        self._loaded = False

    def started(self, delivery: Delivery, slot: int = 0) -> None:
        """Announce a start in a slot with the next round."""
        delivery.slot = slot
        self._started.append(delivery)
        if not self._awake:
            self._wake()

    def ended(self, delivery: Delivery, outcome: Outcome) -> None:
        """Settle an outcome with the next round."""
        self._ended.append(Settlement(delivery, outcome, ""))
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        self._awake = True
        self._work.set()

    @property
    def pending(self) -> int:
        """How many outcomes are not confirmed yet."""
        return len(self._ended) + self._sent

    def step(self) -> None:
        """Settle one round, or wait for something to settle."""
        if not self._round and not self._ended and not self._started:
            self._awake = False
            self._work.clear()
            self._work.wait(1.0)
            return
        if not self._round:
            self._round = self._next_round()
            self._number += 1
            self._resent = False
        try:
            self._see_who_listens()
            calls = [
                group.broker.settle(self._noted(group.batch), self._worker, self._number, group.part)
                for group in self._round
            ]
            announcements = self._announcements()
            if announcements and not self._loaded:
                # Were it missing where the others are not, it would run after them: Completed before Processing.
                self._link.commands([("SCRIPT", "LOAD", load("announce").source)])
                self._loaded = True
            replies = self._link.calls([*announcements, *calls])[len(announcements) :]
        except Unreachable:
            self._resent, self._loaded = True, False
            raise
        self._take_in(replies)

    def _see_who_listens(self) -> None:
        """Ask whether anybody hears the events of this round: making and sending them is a third of what a task costs.

        Asked each time, for what starts after somebody began to listen must be told.
        """
        channel = self._broker(DEFAULT_QUEUE).channel
        exact, patterns = self._link.commands([("PUBSUB", "NUMSUB", channel), ("PUBSUB", "NUMPAT")])
        unknown = isinstance(exact, ResponseError) or isinstance(patterns, ResponseError)
        self._watched = unknown or exact[1] > 0 or patterns > 0

    def _noted(self, batch: list[Settlement]) -> list[Settlement]:
        return [row._replace(note=self._notes.end(*row[:2])) for row in batch] if self._watched else batch

    def _announcements(self) -> list[Call]:
        started, self._started = self._started, []
        if not started or not self._watched:
            return []
        pairs = [(delivery.task.id, self._notes.start(delivery)) for delivery in started if delivery.task is not None]
        # Which queue announces makes no difference: the channel is one.
        broker = self._broker(DEFAULT_QUEUE)
        return [broker.announce(pairs[n : n + SETTLE_BATCH]) for n in range(0, len(pairs), SETTLE_BATCH)]

    def _next_round(self) -> list[Group]:
        """Cut what has ended into calls, each of one kind and stream and no longer than a script may be."""
        groups: list[Group] = []
        open_groups: dict[tuple[str, str, str], Group] = {}
        sizes: dict[tuple[str, str, str], int] = {}
        last: Group | None = None
        for _ in range(min(len(self._ended), ROUND)):
            row = self._ended.popleft()
            # Most tasks end like the one before: completed, nothing kept, of the same stream.
            if last is not None and len(last.batch) < SETTLE_BATCH:
                before = last.batch[-1]
                if row[1] is before[1] and row[0].key[0] is before[0].key[0] and row[1].__class__ is Completed:
                    last.batch.append(row)
                    continue
            lane = (row.delivery.queue.name, row.delivery.letter, _kind(row.outcome))
            group = open_groups.get(lane)
            size = sizes.get(lane, 0) + _size(row)
            if group is None or len(group.batch) >= SETTLE_BATCH or size > BATCH_BYTES:
                part = 0 if group is None else group.part + 1
                if part == PARTS:
                    self._ended.appendleft(row)
                    break
                group = open_groups[lane] = Group(self._broker(row.delivery.queue.name), [], part)
                groups.append(group)
                size = _size(row)
            group.batch.append(row)
            sizes[lane] = size
            last = group
        self._sent = sum(len(group.batch) for group in groups)
        return groups

    def _take_in(self, replies: list[object]) -> None:
        """Forget what is settled. A call that the server refused is kept and sent again, with a number of its own."""
        refused: ResponseError | None = None
        for group, reply in zip(self._round, replies, strict=True):
            if isinstance(reply, ResponseError):
                refused = reply
                self._ended.extendleft(reversed(group.batch))
                continue
            settled: Settled = group.broker.settled(reply)  # type: ignore[arg-type]
            sure = settled.remembered or not self._resent
            self._holdings.settled_all(row[0] for row in group.batch)
            self._confirmed(group.batch, settled.gone, sure)
        self._round = []
        self._sent = 0
        if refused is not None:
            raise refused

    def stop(self) -> None:
        """End the loop, waking it."""
        super().stop()
        self._work.set()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


def _kind(outcome: Outcome) -> str:
    if isinstance(outcome, Retried):
        return "retry" if outcome.charged else "put_off"
    return type(outcome).__name__


def _size(row: Settlement) -> int:
    outcome = row.outcome
    if isinstance(outcome, Completed):
        return len(outcome.result or b"")
    if isinstance(outcome, Retried):
        return len(outcome.payload)
    if isinstance(outcome, Dead):
        return len(row.delivery.raw or b"") + len(outcome.traceback)
    return len(row.delivery.raw or b"")


class Notes:
    """Writes what an event says beside its type and its task's id: members as JSON, without braces."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._written: dict[tuple[str, str], str] = {}

    def start(self, delivery: Delivery) -> str:
        """Return what ran where."""
        task_type = delivery.task.type if delivery.task is not None else ""
        attempt = delivery.task.attempt if delivery.task is not None else 0
        key = delivery.queue.name, task_type
        what = self._written.get(key)
        if what is None:
            what = f'"task_type":{_json(task_type)},"queue":{_json(delivery.queue.name)}'
            if len(self._written) < 10_000:  # types come from outside
                self._written[key] = what
        return f'"worker_id":"{self._worker}-{delivery.slot}",{what},"attempt":{attempt}'

    def end(self, delivery: Delivery, outcome: Outcome) -> str:
        """Return what ran where, for how long, and what went wrong."""
        note = self.start(delivery)
        if delivery.started:
            note = f'{note},"duration_ms":{round(delivery.took * 1000)}'
        if isinstance(outcome, Retried | Dead) and outcome.error:
            note = f'{note},"error":{_json(outcome.error)}'
        return note


def _json(text: str) -> str:
    written: str = ujson.dumps(text, escape_forward_slashes=False)
    return written
