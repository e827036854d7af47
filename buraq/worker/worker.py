"""One worker process's life: starts the loops, watches over them, and stops so that nothing is lost or charged."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.keys import DEFAULT_QUEUE
from buraq.metrics import TaskMetrics
from buraq.task import Delivery
from buraq.worker.board import Row
from buraq.worker.children import Children, cohort_of
from buraq.worker.control import Control
from buraq.worker.facts import Facts
from buraq.worker.fetcher import Fetcher
from buraq.worker.guard import Guard
from buraq.worker.holdings import Company
from buraq.worker.lane import Lane, Standing, guards_of
from buraq.worker.lease import Lease
from buraq.worker.loop import Loop
from buraq.worker.reports import Reports
from buraq.worker.sandbox import Origin
from buraq.worker.settler import Settler
from buraq.worker.sharing import Budget
from buraq.worker.slots import RELEASED, Slots

log = logging.getLogger(__name__)

SETTLE_GRACE = 2.0  # seconds at the end of a stop for writing the last outcomes
_TURN = 0.05  # seconds between two signs of the hub


def process_name(consumer_name: str) -> str:
    """Return a name for this boot of a worker process. Never used twice, or a dead one's tasks would be taken for
    ours.
    """
    return f"{consumer_name}~{secrets.token_hex(4)}"


class Worker:
    """Fetches, runs and settles tasks of some queues, in this process."""

    def __init__(
        self,
        app: Buraq,
        *,
        queues: Sequence[str] = (),
        concurrency: int | None = None,
        burst: bool = False,
        name: str | None = None,
        row: Row | None = None,
        metrics: TaskMetrics | None = None,
        on_death: Callable[[str], None] | None = None,
        origin: Origin | None = None,
        cpu_processes: int | None = None,
    ) -> None:
        """`queues` empty means: all that exist. `on_death` is called with the name of a loop that broke. `origin` says
        how a child process makes the same queue; without it nothing runs in children.
        """
        config, backend = app.config, app.backend
        self.app = app
        self.name = name or process_name(config.consumer_name)
        self.burst = burst
        self.metrics = metrics or TaskMetrics()
        self.row = row
        self.broken: str | None = None
        self.left = False  # whether a stop has handed back all there was, and given up the lease
        self.worked = 0  # attempts that ran here and have been settled
        self._queues = tuple(queues)
        self._on_death = on_death
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._talking: list[gevent.Greenlet[..., None]] = []  # those of the fetchers and settlers
        self._room = Event()  # set when a slot frees, and when outcomes are written
        self.facts = Facts(concurrency or config.worker_count, self._in_flight, config.lease_ttl)
        self.guard = Guard(Reports(self.name), config.max_blocked, loops=lambda: self.loops, row=row)
        processes = cpu_processes or config.cpu_processes
        self.children = Children(app, origin, processes, lambda: self.slots.stopping) if origin else None
        self.lanes = tuple(
            Lane(self, shard, self.facts.read if not shard.number else dict, guard)
            for shard, guard in zip(backend.shards, guards_of(self.guard, len(backend.shards)), strict=True)
        )
        # Of the first shard, which on one server is the only one.
        first = self.lanes[0]
        self.lease, self.holdings, self.settler = first.lease, first.holdings, first.settler
        self.standing: Lease | Standing = self.lease
        self.slots = Slots(
            app,
            self.lease,
            concurrency or config.worker_count,
            ended=self.settler.ended,
            started=self.settler.started,
            room=self._room.set,
            known_elsewhere=self._known_elsewhere,
            panicked=self.metrics.panic,
            run_in_child=self.children.run if self.children else None,
            cpu_processes=processes,
        )
        cohort = cohort_of(self.slots.concurrency) if self.children else 1
        self.company = Company([lane.holdings for lane in self.lanes], cohort)
        if len(self.lanes) == 1:
            first.fetch(self._room, None)
        else:
            self._share_slots()
        self.fetcher, self.promoter, self.reclaimer = first.fetcher, first.promoter, first.reclaimer
        self.control = Control(self)
        self.loops: tuple[Loop, ...] = (*(loop for lane in self.lanes for loop in lane.loops), self.control)

    def _share_slots(self) -> None:
        """Have the slots work for several shards."""
        leases, settlers = [lane.lease for lane in self.lanes], [lane.settler for lane in self.lanes]
        self.standing = Standing(leases)
        budget = Budget(lambda: self.slots.free, self.slots.concurrency, len(self.lanes))
        self.slots.share(
            leases,
            ended=lambda delivery, outcome, slot: settlers[delivery.queue.shard].ended(delivery, outcome, slot),
            started=lambda delivery, slot: settlers[delivery.queue.shard].started(delivery, slot),
            room=budget.room,
        )
        for lane in self.lanes:
            lane.fetch(Event(), budget)

    # -- what the parts tell each other

    def _in_flight(self) -> int:
        return self.slots.load

    def look_again(self) -> None:
        """Have a burst look twice more before it is done."""
        for lane in self.lanes:
            lane.fetcher.quiet_walks = 0

    def _known_elsewhere(self, delivery: Delivery) -> bool:
        """Say whether a live worker process knows the type of a task that this one does not."""
        return delivery.task is not None and self.control.type_lives(delivery.queue, delivery.task.type)

    # -- life

    def queues_now(self) -> list[str]:
        """Return the queues to consume: those asked for, or all that exist."""
        if self._queues:
            return list(self._queues)
        declared = {task.queue for task in self.app.registry.values()}
        return [DEFAULT_QUEUE, *sorted((declared | self.control.seen) - {DEFAULT_QUEUE})]

    def start(self) -> None:
        """Start the loops and the lease threads. Does not block."""
        for lane in self.lanes:
            lane.lease.brokers = tuple(lane.shard.broker(name) for name in self.queues_now())
            lane.lease.start()
        self._greenlets = [gevent.spawn(self._turn)]
        for loop in self.loops:
            greenlet = gevent.spawn(self._supervised, loop)
            self._greenlets.append(greenlet)
            if isinstance(loop, Fetcher | Settler):
                self._talking.append(greenlet)

    def _turn(self) -> None:
        """Show the lease threads that the hub turns."""
        while True:
            now = time.monotonic()
            self.facts.lag.note(now, max(0.0, now - self.guard.turned - _TURN))
            self.guard.turn()
            gevent.sleep(_TURN)

    def _supervised(self, loop: Loop) -> None:
        try:
            loop.run()
        except gevent.GreenletExit:
            raise
        except BaseException:
            log.critical("loop broke", exc_info=True, extra={"loop": loop.name})
            self.broken = loop.name
            self.metrics.panic()
            if self._on_death is not None:
                self._on_death(loop.name)

    @property
    def denied(self) -> str:
        """What the user of the server may not that this process does; while it has not begun, or "" for nothing."""
        return next((lane.lease.denied for lane in self.lanes if lane.lease.denied and not lane.lease.covered), "")

    @property
    def done(self) -> bool:
        """Whether a burst has worked off all that there was."""
        return self.burst and self.control.looked and all(lane.done for lane in self.lanes)

    def stop(
        self, grace: float, hurry: Callable[[], bool] = lambda: False, tick: Callable[[], None] = lambda: None
    ) -> int:
        """Stop fetching, let what runs finish for `grace` seconds, hand the rest back. Returns how many were handed
        back.

        Blocks. `hurry` is asked whether to hand back at once, `tick` is called while waiting. Charges no attempt and
        no death.
        """
        deadline = time.monotonic() + grace
        self.facts.status = "draining"
        for lane in self.lanes:
            for loop in (lane.fetcher, lane.promoter, lane.reclaimer):
                loop.stop()
        self.slots.stop()
        self._quietly(*(lane.fetcher.wake for lane in self.lanes))
        while self.slots.load and time.monotonic() < deadline and not hurry():
            tick()
            gevent.sleep(0.02)
        running = self.slots.busy
        self._hand_back()
        settled_by = time.monotonic() + SETTLE_GRACE
        while any(lane.settler.pending for lane in self.lanes) and time.monotonic() < settled_by:
            tick()
            gevent.sleep(0.01)
        self._end_loops(settled_by)
        self.left = self._quietly(*(lane.fetcher.leave for lane in self.lanes))
        self._close()
        return running

    def _hand_back(self) -> None:
        """End what still runs, and give all that has no outcome the one of being handed back."""
        if self.slots.load:
            self.slots.kill()
        if self.children is not None:
            self.children.close()
        for lane in self.lanes:
            for delivery in list(lane.holdings.known.values()):
                self.slots.end(delivery, RELEASED, 0)

    def _end_loops(self, by: float) -> None:
        """End the loops that a stop still needed, and the lease threads, and wait for them until `by`, monotonic."""
        for lane in self.lanes:
            lane.settler.stop()
            lane.lease.stop()
        self.control.stop()
        # Their connections must be at rest. A read that was on its way is woken again.
        while not all(one.ready() for one in self._talking) and time.monotonic() < by:
            self._quietly(*(lane.fetcher.wake for lane in self.lanes))
            gevent.joinall(self._talking, timeout=0.1)
        while not all(lane.lease.stopped for lane in self.lanes) and time.monotonic() < by:
            gevent.sleep(0.01)

    def _close(self) -> None:
        gevent.killall(self._greenlets, timeout=1.0)
        for lane in self.lanes:
            lane.settler.close()
            for link in lane.links:
                link.close()
        self.metrics.flush()

    def _quietly(self, *farewells: Callable[[], object]) -> bool:
        """Take last steps that nobody depends on, side by side: when Redis is away the lease runs out instead.

        Returns whether all were taken.
        """
        leaving = [gevent.spawn(self._take_leave, farewell) for farewell in farewells]
        gevent.joinall(leaving)
        return all(one.value for one in leaving)

    def _take_leave(self, farewell: Callable[[], object]) -> bool:
        try:
            with gevent.Timeout(SETTLE_GRACE):
                farewell()
        except ResponseError as error:  # it answers, and says what is wrong
            log.warning("stop: Redis refused", extra={"error": str(error)})
            return False
        except (Exception, gevent.Timeout) as error:
            log.warning("stop: Redis did not answer", extra={"error": str(error)})
            return False
        return True
