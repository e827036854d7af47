"""What a worker process does at one shard: it holds a lease there, fetches, settles, promotes and reclaims.

On one server there is one lane. In a cluster there is one for each shard, and none waits for another: while one node is
away the shards of the others are worked on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gevent.event import Event

from buraq.backend import Shard
from buraq.broker import Broker
from buraq.config import Config
from buraq.deadletters import ShardLetters
from buraq.records import COMPLETED_A_SECOND
from buraq.scripts import Argument
from buraq.task import Delivery
from buraq.worker.accounts import Accounts
from buraq.worker.fetcher import Fetcher
from buraq.worker.guard import Follower, Guard
from buraq.worker.holdings import Holdings
from buraq.worker.lease import Lease
from buraq.worker.loop import Loop
from buraq.worker.promoter import Promoter
from buraq.worker.reclaimer import Reclaimer
from buraq.worker.recorder import Recorder
from buraq.worker.rights import Rights
from buraq.worker.settler import Settler
from buraq.worker.sharing import Budget
from buraq.worker.slots import RELEASED

if TYPE_CHECKING:
    from buraq.worker.worker import Worker

UNSETTLED_MOST = 1000  # outcomes that are not written yet
_BURST_BLOCK = 0.05


class Lane:
    """The parts of a worker process that belong to one shard. `budget` shares out the slots where there are several."""

    def __init__(
        self, worker: Worker, shard: Shard, facts: Callable[[], dict[str, Argument]], guard: Guard | Follower
    ) -> None:
        config = worker.app.config
        self._worker = worker
        self._lanes = len(worker.app.backend.shards)
        self.shard = shard
        self.holdings = Holdings()
        rights = Rights(shard.names)
        self.lease = lease = Lease(shard.server, worker.name, config.lease_ttl, facts, guard, rights=rights)
        self._accounts = Accounts(worker.metrics, worker.app.registry, worker.facts.done)
        recorder = Recorder(
            worker.name,
            config.history_length,
            lambda: lease.clock_ahead_ms,
            completed_a_second=-(-COMPLETED_A_SECOND // self._lanes),
        )
        self.settler = Settler(shard.server, worker.name, self.holdings, shard.broker, self._confirmed, recorder)
        # One each: on one they all share, a server that hangs would have each wait for the others' timeouts too, and
        # the health answer would take loops that wait for loops that have died.
        purposes = ("promote", "reclaim", "control")
        self.links = promoting, reclaiming, self.controlling = [shard.server.shared_link(one) for one in purposes]
        self.promoter = Promoter(promoting, self._covered, self._look_again)
        self.reclaimer = Reclaimer(
            reclaiming,
            self.lease,
            self._covered,
            reclaimed=lambda again, buried: worker.metrics.reclaimed(again + buried),
            letters=lambda queue: ShardLetters(shard, queue),
            config=_part_of(config, self._lanes),
        )
        self.fetcher: Fetcher
        self._wakes = 0  # how often the fetcher is still to be woken for what is paused

    def fetch(self, room: Event, budget: Budget | None) -> None:
        """Make the fetcher, once the worker has its slots."""
        slots, config = self._worker.slots, self._worker.app.config
        make = Fetcher if budget is None else budget.fetcher
        self.fetcher = make(
            self.shard.server,
            self.lease,
            self.holdings,
            free=lambda: slots.free,
            dispatch=slots.dispatch,
            hand_back=lambda delivery: slots.end(delivery, RELEASED, 0),
            room=room,
            batch=config.fetch_batch_size,
            block=_BURST_BLOCK if self._worker.burst else config.block_timeout,
            cohort=max(1, self._worker.company.most // self._lanes),
            company=self._worker.company,
        )
        self.fetcher.paused = None  # the control looks which queues are
        # What has run and is not written runs again after a crash: not too much of that.
        self.fetcher.held_up = lambda: self.settler.on_their_way >= UNSETTLED_MOST
        self.fetcher.full = lambda: self.settler.refusals.full

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What runs for this shard."""
        return (self.fetcher, self.settler, self.promoter, self.reclaimer)

    def honour(self, paused: frozenset[str]) -> None:
        """Have the fetcher leave paused queues alone. What it waits for on them now is called off."""
        if self.fetcher.paused != paused:
            self.fetcher.paused = paused
            self._wakes = 2  # the first may come just before it begins to wait
        if self._wakes:
            self._wakes -= 1
            self.fetcher.wake()

    def _covered(self) -> tuple[Broker, ...]:
        return self.lease.covered

    def _look_again(self) -> None:
        """Have a burst look twice more before it is done."""
        self._worker.look_again()

    def _confirmed(self, batch: list[Delivery], gone: frozenset[int], sure: bool) -> None:
        if batch[0].started:
            self._worker.worked += len(batch)
        self.fetcher.room.set()
        self._worker.look_again()  # what they enqueued may be waiting since
        self._accounts.confirmed(batch, gone, sure)

    @property
    def done(self) -> bool:
        """Whether a burst has worked off all that there was."""
        return (
            self.lease.complete
            and self.fetcher.brokers == self.promoter.brokers == self.lease.covered
            and self.fetcher.quiet_walks >= 2
            and self.promoter.quiet_rounds >= 1
            and not len(self.holdings)
            and not self.settler.pending
        )


class Standing:
    """How a worker process stands with all its shards, seen as one lease."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        self._leases = leases
        self.ttl = leases[0].ttl

    @property
    def valid(self) -> bool:
        """Whether all leases hold."""
        return all(lease.valid for lease in self._leases)

    @property
    def reachable(self) -> bool:
        """Whether all shards answered when they were last asked."""
        return all(lease.reachable for lease in self._leases)


def guards_of(guard: Guard, lanes: int) -> Sequence[Guard | Follower]:
    """Return what the lease of each lane is guarded by: where there are several, one looks for all."""
    ends = [(0.0, False)] * lanes
    return [guard] if lanes == 1 else [Follower(guard, number, ends) for number in range(lanes)]


def _part_of(config: Config, shards: int) -> Config:
    """Return the settings with the part of DLQ_MAX_LENGTH that is one shard's."""
    if config.dlq_max_length is None or shards == 1:
        return config
    return replace(config, dlq_max_length=max(1, config.dlq_max_length // shards))
