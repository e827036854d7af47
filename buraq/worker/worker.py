"""One worker process's life: starts the loops, watches over them, and stops so that nothing is lost or charged."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence

import gevent
from gevent.event import Event

from buraq.app import Buraq
from buraq.broker import Broker
from buraq.connection import SharedLink
from buraq.deadletters import DeadLetters
from buraq.keys import DEFAULT_QUEUE
from buraq.metrics import TaskMetrics
from buraq.task import Delivery
from buraq.worker.accounts import Accounts
from buraq.worker.board import Row
from buraq.worker.children import Children, cohort_of
from buraq.worker.control import Control
from buraq.worker.facts import Facts
from buraq.worker.fetcher import Fetcher
from buraq.worker.guard import Guard
from buraq.worker.holdings import Holdings
from buraq.worker.lease import Lease
from buraq.worker.loop import Loop
from buraq.worker.promoter import Promoter
from buraq.worker.reclaimer import Reclaimer
from buraq.worker.recorder import Recorder
from buraq.worker.reports import Reports
from buraq.worker.sandbox import Origin
from buraq.worker.settler import Settler
from buraq.worker.slots import RELEASED, Slots

log = logging.getLogger(__name__)

SETTLE_GRACE = 2.0  # seconds at the end of a stop for writing the last outcomes
UNSETTLED_MOST = 1000  # outcomes that are not written yet
_BURST_BLOCK = 0.05
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
        self._room = Event()  # set when a slot frees, and when outcomes are written
        self.holdings = Holdings()
        self.facts = Facts(concurrency or config.worker_count, self._in_flight, config.lease_ttl)
        self.guard = Guard(Reports(self.name), config.max_blocked, loops=lambda: self.loops, row=row)
        self.lease = Lease(backend.server, self.name, config.lease_ttl, self.facts.read, self.guard)
        processes = cpu_processes or config.cpu_processes
        self.children = Children(app, origin, processes, lambda: self.slots.stopping) if origin else None
        self._accounts = Accounts(self.metrics, app.registry, self.facts.done)
        recorder = Recorder(self.name, config.history_length, lambda: self.lease.clock_ahead_ms)
        self.settler = Settler(backend.server, self.name, self.holdings, backend.broker, self._confirmed, recorder)
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
        self.fetcher = Fetcher(
            backend.server,
            self.lease,
            self.holdings,
            free=lambda: self.slots.free,
            dispatch=self.slots.dispatch,
            hand_back=lambda delivery: self.slots.end(delivery, RELEASED, 0),
            room=self._room,
            batch=config.fetch_batch_size,
            block=_BURST_BLOCK if burst else config.block_timeout,
            cohort=cohort_of(self.slots.concurrency) if self.children else 1,
        )
        # What has run and is not written runs again after a crash: not too much of that.
        self.fetcher.paused = None  # the control looks which queues are
        self.fetcher.held_up = lambda: self.settler.pending >= UNSETTLED_MOST
        # One each: on one they all share, a server that hangs would have each wait for the others' timeouts too, and
        # the health answer would take loops that wait for loops that have died.
        self._links = [SharedLink(backend.server) for _ in range(3)]
        self.promoter = Promoter(self._links[0], self._covered, self._look_again)
        self.reclaimer = Reclaimer(
            self._links[1],
            self.lease,
            self._covered,
            reclaimed=lambda again, buried: self.metrics.reclaimed(again + buried),
            letters=lambda queue: DeadLetters(backend, queue),
            config=config,
        )
        self.control = Control(self, self._links[2])
        self.loops: tuple[Loop, ...] = (self.fetcher, self.settler, self.promoter, self.reclaimer, self.control)

    # -- what the parts tell each other

    def _covered(self) -> tuple[Broker, ...]:
        return self.lease.covered

    def _in_flight(self) -> int:
        return self.slots.load

    def _look_again(self) -> None:
        """Have a burst look twice more before it is done."""
        self.fetcher.quiet_walks = 0

    def _confirmed(self, batch: list[Delivery], gone: frozenset[int], sure: bool) -> None:
        if batch[0].started:
            self.worked += len(batch)
        self._room.set()
        self._look_again()  # what they enqueued may be waiting since
        self._accounts.confirmed(batch, gone, sure)

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
        """Start the loops and the lease thread. Does not block."""
        self.lease.brokers = tuple(self.app.backend.broker(name) for name in self.queues_now())
        self.lease.start()
        self._greenlets = [gevent.spawn(self._turn)]
        for loop in self.loops:
            self._greenlets.append(gevent.spawn(self._supervised, loop))

    def _turn(self) -> None:
        """Show the lease thread that the hub turns."""
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
    def done(self) -> bool:
        """Whether a burst has worked off all that there was."""
        return (
            self.burst
            and self.control.looked
            and self.fetcher.brokers == self.promoter.brokers == self.lease.brokers
            and self.fetcher.quiet_walks >= 2
            and self.promoter.quiet_rounds >= 1
            and not len(self.holdings)
            and not self.settler.pending
        )

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
        for loop in (self.fetcher, self.promoter, self.reclaimer):
            loop.stop()
        self.slots.stop()
        self._quietly(self.fetcher.wake)
        while self.slots.load and time.monotonic() < deadline and not hurry():
            tick()
            gevent.sleep(0.02)
        running = self.slots.busy
        if self.slots.load:
            self.slots.kill()
        if self.children is not None:
            self.children.close()
        for delivery in list(self.holdings.known.values()):
            self.slots.end(delivery, RELEASED, 0)
        settled_by = time.monotonic() + SETTLE_GRACE
        while self.settler.pending and time.monotonic() < settled_by:
            tick()
            gevent.sleep(0.01)
        self.settler.stop()
        self.control.stop()
        self.lease.stop()
        # Fetcher and settler: their connections must be at rest. A read that was on its way is woken again.
        while not all(one.ready() for one in self._greenlets[1:3]) and time.monotonic() < settled_by:
            self._quietly(self.fetcher.wake)
            gevent.joinall(self._greenlets[1:3], timeout=0.1)
        while not self.lease.stopped and time.monotonic() < settled_by:
            gevent.sleep(0.01)
        self.left = self._quietly(self.fetcher.leave)
        gevent.killall(self._greenlets, timeout=1.0)
        self.settler.close()
        for link in self._links:
            link.close()
        self.metrics.flush()
        return running

    def _quietly(self, farewell: Callable[[], object]) -> bool:
        """Take a last step that nobody depends on: when Redis is away the lease runs out instead.

        Returns whether it was taken.
        """
        try:
            with gevent.Timeout(SETTLE_GRACE):
                farewell()
        except (Exception, gevent.Timeout) as error:
            log.warning("stop: Redis did not answer", extra={"error": str(error)})
            return False
        return True
