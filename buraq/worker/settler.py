"""Writes outcomes to Redis: those of many slots in one pipeline, one pipeline after the other.

Each round has a number, and the server remembers its reply. After a broken connection the same round is sent again, and
the remembered reply decides; without one, what is gone was settled by us or by somebody else: `unknown`, not `lost`.

Events are made only while somebody listens: to write and to send them is a third of what a task costs. Nobody has to
ask for that first. Without notes the scripts refuse a batch when there is a listener; then the round is sent with them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import ujson
from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.broker import BATCH_BYTES, SETTLE_BATCH, Broker, Settled
from buraq.connection import Link, Server, Unreachable
from buraq.keys import DEFAULT_QUEUE
from buraq.scripts import Call
from buraq.task import COMPLETED, Completed, Dead, Delivery, Duplicate, Outcome, Retried
from buraq.worker.holdings import Holdings
from buraq.worker.loop import Loop
from buraq.worker.recorder import Recorder
from buraq.worker.refusals import Lane, Refusals

log = logging.getLogger(__name__)


PARTS = 8  # calls of one kind in a round
# Outcomes in a round: while the server writes them it answers no fetch, and with events it writes three times as long.
ROUND, ROUND_WATCHED = 500, 200


class Group(NamedTuple):
    """What one call settles: outcomes of one kind, of deliveries of one stream. A round has up to `PARTS` of a kind."""

    broker: Broker
    batch: list[Delivery]
    part: int
    lane: Lane
    sums: str = ""  # what its runs add to the statistics


class Round(NamedTuple):
    """What is sent under one number, and how many outcomes are in it."""

    number: int
    groups: list[Group]
    calls: list[Call]
    size: int


_NOTHING = Round(0, [], [], 0)


class Settler(Loop):
    """Settles outcomes, and announces starts on the same connection: no Completed overtakes its Processing."""

    name = "settle"
    waits = 1.0

    def __init__(
        self,
        server: Server,
        worker: str,
        holdings: Holdings,
        broker: Callable[[str], Broker],
        confirmed: Callable[[list[Delivery], frozenset[int], bool], None],
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__()
        self._worker = worker
        self._holdings = holdings
        self._broker = broker
        self._confirmed = confirmed
        self._recorder = recorder or Recorder(worker, 0)
        self._link: Link = server.link()
        self._work = Event()
        self._notes = Notes(worker)
        self._watched = False  # whether somebody was heard to listen
        self._awake = False
        self._started: list[Delivery] = []
        self._ended: deque[Delivery] = deque()
        self.refusals = Refusals(worker)
        self._round = _NOTHING  # sent, and not confirmed
        self._next = _NOTHING  # made ready while the server works on that one
        self._number = 0  # of the round that was made last
        self._resent = False
        self._loaded = False

    def started(self, delivery: Delivery, slot: int = 0) -> None:
        """Announce a start in a slot with the next round."""
        delivery.slot = slot
        if self._watched:
            self._notes.start(delivery)  # here, while the server works on a round
        self._started.append(delivery)
        if not self._awake:
            self._wake()

    def ended(self, delivery: Delivery, outcome: Outcome, slot: int = 0) -> None:
        """Settle an outcome with the next round."""
        delivery.outcome = outcome
        self._ended.append(delivery)
        if not self._awake:
            self._wake()

    def _wake(self) -> None:
        self._awake = True
        self._work.set()

    @property
    def pending(self) -> int:
        """How many outcomes are not confirmed yet."""
        return self.on_their_way + len(self.refusals)

    @property
    def on_their_way(self) -> int:
        """How many outcomes are not confirmed yet, without those that the server has refused."""
        return len(self._ended) + self._round.size + self._next.size

    def step(self) -> None:
        """Settle one round, or wait for something to settle."""
        self._ended.extend(self.refusals.due())
        if not (self._round.groups or self._next.groups or self._ended or self._started):
            self._awake = False
            self._work.clear()
            self._work.wait(self.refusals.wait(self.waits))
            return
        if not self._round.groups:
            self._round, self._next = self._next if self._next.groups else self._make_round(), _NOTHING
            self._resent = False
        started, self._started = self._started, []
        try:
            told, replies = self._send(started)
        except Unreachable:
            self._resent, self._loaded = True, False
            raise
        self._take_in(told, replies)
        if self._round.groups:  # refused, for somebody listens now: what this round has settled ended before that
            self._started[:0] = [delivery for delivery in started if delivery.key in self._holdings.known]
        self.refusals.say(self._link)

    def _send(self, started: list[Delivery]) -> tuple[list[Any], list[Any]]:
        """Send the round, after the announcements of what has started. Return the replies to both."""
        if started and not self._watched and not self._round.groups:
            self._watched = self._somebody_listens()
        announcements = self._announcements(started) if self._watched else []
        if announcements and not self._loaded:
            # Were it missing where the others are not, it would run after them: Completed before Processing.
            self._link.commands([("SCRIPT", "LOAD", self._broker(DEFAULT_QUEUE).script("announce").source)])
            self._loaded = True
        calls = [*announcements, *self._round.calls]
        replies = self._link.calls(calls, self._make_next) if calls else []
        return replies[: len(announcements)], replies[len(announcements) :]

    def _make_next(self) -> None:
        """Make the next round ready, if it is a full one: else more may come into it while the server works."""
        if not self._next.groups and len(self._ended) >= self._most:
            self._next = self._make_round()

    @property
    def _most(self) -> int:
        return ROUND_WATCHED if self._watched else ROUND

    def _make_round(self) -> Round:
        groups = self._cut()
        self._number += 1
        calls = [self._call(group, self._number) for group in groups]
        return Round(self._number, groups, calls, sum(len(group.batch) for group in groups))

    def _somebody_listens(self) -> bool:
        exact, *patterns = self._link.commands(self._broker(DEFAULT_QUEUE).listeners())
        unknown = any(isinstance(reply, ResponseError) for reply in (exact, *patterns))
        return unknown or exact[1] > 0 or any(patterns)

    def _call(self, group: Group, number: int) -> Call:
        for delivery in group.batch:
            delivery.note = self._notes.end(delivery) if self._watched else ""
        return group.broker.settle(group.batch, self._worker, number, group.part, group.sums)

    def _announcements(self, started: list[Delivery]) -> list[Call]:
        pairs = [(delivery.task.id, self._notes.start(delivery)) for delivery in started if delivery.task is not None]
        # Which queue announces makes no difference: the channel is one.
        broker = self._broker(DEFAULT_QUEUE)
        return [broker.announce(pairs[n : n + SETTLE_BATCH]) for n in range(0, len(pairs), SETTLE_BATCH)]

    def _cut(self) -> list[Group]:
        """Cut what has ended into calls, each of one kind and stream and no longer than a script may be."""
        groups: list[Group] = []
        open_groups: dict[tuple[str, str, str], Group] = {}
        sizes: dict[tuple[str, str, str], int] = {}
        stream = ""  # of the last one that simply completed, as most do
        batch: list[Delivery] = []  # what goes with it
        for _ in range(min(len(self._ended), self._most)):
            delivery = self._ended.popleft()
            outcome = delivery.outcome
            if outcome is COMPLETED and delivery.key[0] is stream and len(batch) < SETTLE_BATCH:
                batch.append(delivery)
                continue
            if isinstance(outcome, Duplicate):  # it is gone already
                self._forget([delivery])
                continue
            lane, size = (delivery.queue.name, delivery.letter, _kind(outcome)), _size(delivery)
            if self.refusals.keeps(lane, delivery):
                continue
            group = open_groups.get(lane)
            if group is None or len(group.batch) >= SETTLE_BATCH or sizes[lane] + size > BATCH_BYTES:
                part = 0 if group is None else group.part + 1
                if part == PARTS:
                    self._ended.appendleft(delivery)
                    break
                group = open_groups[lane] = Group(self._broker(delivery.queue.name), [], part, lane)
                groups.append(group)
                sizes[lane] = 0
            group.batch.append(delivery)
            sizes[lane] += size
            if outcome is COMPLETED:
                stream, batch = delivery.key[0], group.batch
        return [group._replace(sums=self._recorder.prepare(group.batch)) for group in groups]

    def _take_in(self, told: list[Any], replies: list[Any]) -> None:
        """Forget what is settled.

        What the server cannot take is put aside, to be sent again with a number of its own; a batch that was refused
        for want of notes stays in the round.
        """
        refused: list[Group] = []
        heard = [reply == 1 for reply in told]
        for group, reply in zip(self._round.groups, replies, strict=True):
            if isinstance(reply, ResponseError):
                self.refusals.add(group.lane, group.broker, group.batch, reply)
                continue
            settled: Settled = group.broker.settled(reply)
            heard.append(settled.heard)
            if settled.refused:
                refused.append(group)
            else:
                self._forget(group.batch, settled.gone, settled.remembered or not self._resent)
                self._ended.extend(self.refusals.taken(group.lane))
        self._watched = any(heard) if heard else self._watched
        number = self._round.number
        calls = [self._call(group, number) for group in refused]
        self._round = Round(number, refused, calls, sum(len(group.batch) for group in refused))

    def _forget(self, batch: list[Delivery], gone: frozenset[int] = frozenset(), sure: bool = True) -> None:
        self._holdings.settled_all(batch)
        self._confirmed(batch, gone, sure)

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


def _size(delivery: Delivery) -> int:
    outcome = delivery.outcome
    if isinstance(outcome, Completed):
        return len(outcome.result or b"")
    if isinstance(outcome, Retried):
        return len(outcome.payload) + len(outcome.traceback)
    if isinstance(outcome, Dead):
        return len(delivery.raw or b"") + len(outcome.traceback)
    return len(delivery.raw or b"")


class Notes:
    """Writes what an event says beside its type and its task's id: members as JSON, without braces."""

    def __init__(self, worker: str) -> None:
        self._worker = _json(worker)[1:-1]  # CONSUMER_NAME is whatever somebody has set
        self._written: dict[tuple[str, str], str] = {}

    def start(self, delivery: Delivery) -> str:
        """Return what ran where; it stays with the delivery, because both of its events say it."""
        if delivery.where:
            return delivery.where
        task_type = delivery.task.type if delivery.task is not None else ""
        attempt = delivery.task.attempt if delivery.task is not None else 0
        key = delivery.queue.name, task_type
        what = self._written.get(key)
        if what is None:
            what = f'"task_type":{_json(task_type)},"queue":{_json(delivery.queue.name)}'
            if len(self._written) < 10_000:  # types come from outside
                self._written[key] = what
        delivery.where = f'"worker_id":"{self._worker}-{delivery.slot}",{what},"attempt":{attempt}'
        return delivery.where

    def end(self, delivery: Delivery) -> str:
        """Return what ran where, for how long, and what went wrong."""
        note, outcome = self.start(delivery), delivery.outcome
        if delivery.started:
            note = f'{note},"duration_ms":{round(delivery.took * 1000)}'
        if isinstance(outcome, Retried | Dead) and outcome.error:
            note = f'{note},"error":{_json(outcome.error)}'
        return note


def _json(text: str) -> str:
    written: str = ujson.dumps(text, escape_forward_slashes=False)
    return written
