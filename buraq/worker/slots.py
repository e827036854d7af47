"""The slots: persistent greenlets that run tasks, one delivery at a time each."""

from __future__ import annotations

import contextvars
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent.queue import SimpleQueue
from redis.exceptions import OutOfMemoryError, ResponseError

from buraq.app import Buraq
from buraq.connection import Unreachable
from buraq.function import TaskFunction
from buraq.keys import SUSPECTS
from buraq.producer import passes
from buraq.task import (
    Dead,
    Delivery,
    Duplicate,
    Outcome,
    Released,
    Task,
    Undecodable,
    decode,
)
from buraq.worker.executor import Executor
from buraq.worker.judge import describe, put_off, unknown_type
from buraq.worker.lease import Lease

log = logging.getLogger(__name__)

RELEASED, DUPLICATE = Released(), Duplicate()
_SLICE = 0.002  # seconds; so long slots may run one task after the other before the hub gets a turn
_COMPUTING = ""  # what all tasks with `pool="process"` go by where tasks are limited by type; no type is empty
_CROWDED_PAUSE = 1.0  # seconds; how long a task waits elsewhere when its type has enough running and waiting here


class Slots:
    """Runs deliveries in greenlets of their own, grown on demand up to `concurrency`.

    A greenlet for each task would cost three times as much as these that stay.
    """

    def __init__(
        self,
        app: Buraq,
        lease: Lease,
        concurrency: int,
        ended: Callable[[Delivery, Outcome, int], None],
        started: Callable[[Delivery, int], None],
        room: Callable[[], None],
        known_elsewhere: Callable[[Delivery], bool],
        panicked: Callable[[], None],
        run_in_child: Callable[[Delivery, Task, TaskFunction[..., Any]], Outcome] | None = None,
        cpu_processes: int = 1,
    ) -> None:
        """`run_in_child` runs suspects, and tasks with `pool="process"`; without it they run here as all others."""
        self.concurrency = concurrency
        self.load = 0  # deliveries dispatched and not yet ended
        self.busy = 0  # tasks running
        self.stopping = False
        self._killed = False
        self._app = app
        self._execute = Executor(app, lambda: self.stopping).run
        self._run_in_child = run_in_child or self._execute
        self._cpu_processes = cpu_processes
        self._lease = lease
        self.leases: Sequence[Lease] = (lease,)  # by shard
        self._ended = ended
        self._started = started
        self._room = room
        self._known_elsewhere = known_elsewhere
        self._panicked = panicked
        self._backlog: deque[Delivery] = deque()  # dispatched, and not taken by a slot yet
        self._bell: SimpleQueue[None] = SimpleQueue()  # slots that have nothing to do wait here
        self._called = False  # whether a slot is on its way to the backlog
        self._names: list[str] = []  # of the slots, as events and logs show them
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        self._running: defaultdict[str, int] = defaultdict(int)  # by task type, those with a limit
        self._held: defaultdict[str, deque[tuple[float, Delivery]]] = defaultdict(deque)

    def share(
        self,
        leases: Sequence[Lease],
        ended: Callable[[Delivery, Outcome, int], None],
        started: Callable[[Delivery, int], None],
        room: Callable[[], None],
    ) -> None:
        """Work for several shards, each with a lease of its own."""
        self.leases, self._ended, self._started, self._room = leases, ended, started, room

    @property
    def free(self) -> int:
        """How many more deliveries can start now."""
        return self.concurrency - self.load

    @property
    def waiting(self) -> int:
        """How many deliveries are here and have not started."""
        return len(self._backlog) + sum(len(held) for held in self._held.values())

    def dispatch(self, deliveries: list[Delivery]) -> None:
        """Have slots run deliveries: no more than are free."""
        self.load += len(deliveries)
        self._backlog.extend(deliveries)
        if deliveries and not self._called:
            self._call_slot()

    def _call_slot(self) -> None:
        """Have one slot come to the backlog.

        One at a time is on its way, and calls the next before it runs anything. So as many slots wake as have tasks
        that wait for something; one alone works off those that wait for nothing, without a switch between them.
        """
        self._called = True
        if len(self._greenlets) < self.load:
            slot = len(self._greenlets)
            self._names.append(f"{self._lease.name}-{slot}")
            self._greenlets.append(gevent.spawn(self._live, slot))
        self._bell.put(None)

    def _live(self, slot: int) -> None:
        """Come when called and run what is there, until killed."""
        while not self._killed:
            try:
                self._bell.get()
            except BaseException as error:  # a timeout that a task did not cancel, a kill that comes after its end
                if not self._killed:
                    log.warning("a task left behind what went off after its end", extra={"error": describe(error)})
                continue
            self._called = False
            try:
                self._work_off(slot)
            except BaseException:  # between two tasks: what happens in one is its outcome
                self._broke(slot)
                if self._backlog and not self._called:
                    self._call_slot()

    def _work_off(self, slot: int) -> None:
        """Run one delivery after the other while there are any."""
        backlog = self._backlog
        turn = time.monotonic() + _SLICE
        while backlog and not self._killed:
            delivery: Delivery | None = backlog.popleft()
            if backlog and not self._called:
                self._call_slot()
            while delivery is not None:
                try:
                    self.work(delivery, slot)
                except BaseException:  # it is handed back, and the slot goes on
                    self._broke(slot)
                    self.end(delivery, RELEASED, slot)
                finally:
                    self.load -= 1
                    self._room()
                delivery = self._next_held(delivery) if self._held and not self._killed else None
            if backlog and time.monotonic() > turn:
                gevent.sleep(0)
                turn = time.monotonic() + _SLICE

    def _broke(self, slot: int) -> None:
        if not self._killed:
            log.exception("slot broke outside of task code", extra={"slot": slot})
            self._panicked()

    def end(self, delivery: Delivery, outcome: Outcome, slot: int) -> None:
        """Give a delivery its outcome, once."""
        if delivery.outcome is not None:
            return
        delivery.outcome = outcome
        try:
            self._ended(delivery, outcome, slot)
        except BaseException:
            delivery.outcome = None  # nobody has it: it can be handed back
            raise

    # -- one delivery

    def work(self, delivery: Delivery, slot: int) -> None:
        """Decode a delivery, see whether it may start, run it and hand its outcome on."""
        begun = time.monotonic()
        try:
            task = delivery.task = decode(delivery.raw) if delivery.raw is not None else None
            if task is None:
                raise Undecodable("the entry has no field 'payload'")
        except Undecodable as error:
            self.end(delivery, Dead("undecodable", str(error)), slot)
            return
        lease, function = self.leases[delivery.queue.shard], self._app.registry.get(task.type)
        outcome: Outcome | None = None
        if self.stopping or delivery.epoch != lease.epoch or begun >= lease.until:
            outcome = RELEASED
        elif function is None:
            outcome = unknown_type(task, self._known_elsewhere(delivery))
        elif task.idempotency_key and not delivery.claimed:
            outcome = self._claim(delivery, task)
            begun = time.monotonic()
        if outcome is not None or function is None:
            self.end(delivery, outcome or RELEASED, slot)
        elif function.plain:
            execute = self._execute if delivery.letter != SUSPECTS else self._run_in_child
            self.end(delivery, self._run(delivery, task, function, slot, begun, execute), slot)
        else:
            self._run_limited(delivery, task, function, slot, begun)

    def _run_limited(
        self, delivery: Delivery, task: Task, function: TaskFunction[..., Any], slot: int, begun: float
    ) -> None:
        """Run a task of a type that has a limit in each process, or hold it here, or put it off."""
        lane, limit = self._limit(function)
        if self._running[lane] >= limit:
            self._hold(delivery, task, lane, limit, slot)
            return
        self._running[lane] += 1
        try:
            here = function.pool is None and delivery.letter != SUSPECTS
            execute = self._execute if here else self._run_in_child
            outcome = self._run(delivery, task, function, slot, begun, execute)
        finally:
            self._running[lane] -= 1
        self.end(delivery, outcome, slot)

    def _limit(self, function: TaskFunction[..., Any]) -> tuple[str, int]:
        """Return what the tasks that share a limit with this function's go by, and the limit."""
        if function.concurrency is not None:
            return function.name, function.concurrency
        return _COMPUTING, self._cpu_processes

    def _claim(self, delivery: Delivery, task: Task) -> Outcome | None:
        """Ask whose idempotency key it is: the task came by a plain XADD, so nobody has asked yet."""
        shard = self._app.backend.shards[delivery.queue.shard]
        call = shard.broker(delivery.queue.name).duplicate(delivery, task)
        gone: Outcome = RELEASED  # what will be found to be no longer ours
        while not self.stopping:
            try:
                said = shard.server.shared.call(call)
            except (*Unreachable, ResponseError) as error:
                if not _may_pass(error):
                    log.warning("idempotency key cannot be asked: the task runs", extra={"error": str(error)})
                    return None
                log.debug("idempotency key not asked", extra={"error": str(error)})
                gone = DUPLICATE  # the answer that was lost may have dropped it
                gevent.sleep(0.1)
                continue
            delivery.claimed = said == b"OWNED"
            return None if delivery.claimed else gone if said == b"GONE" else DUPLICATE
        return RELEASED

    def _hold(self, delivery: Delivery, task: Task, lane: str, limit: int, slot: int) -> None:
        """Keep a delivery whose type has enough running, or put it off when enough of them wait here already."""
        held = self._held[lane]
        if len(held) < limit:
            held.append((time.monotonic(), delivery))
        else:
            self.end(delivery, put_off(task, _CROWDED_PAUSE), slot)

    def _next_held(self, delivery: Delivery) -> Delivery | None:
        """Return a held delivery of the type that has just ended, to run in the same slot."""
        if delivery.task is None or not delivery.outcome or delivery.task.type not in self._app.registry:
            return None
        lane, limit = self._limit(self._app.registry[delivery.task.type])
        held = self._held.get(lane)
        if not held or self._running[lane] >= limit:
            return None
        self.load += 1
        return held.popleft()[1]

    def put_off_held(self) -> None:
        """Put off what has been held for a while: another process may have room. Called now and then."""
        late = time.monotonic() - _CROWDED_PAUSE
        for held in self._held.values():
            while held and held[0][0] < late:
                delivery = held.popleft()[1]
                assert delivery.task is not None
                self.end(delivery, put_off(delivery.task, _CROWDED_PAUSE), 0)

    def _run(
        self,
        delivery: Delivery,
        task: Task,
        function: TaskFunction[..., Any],
        slot: int,
        begun: float,
        execute: Callable[[Delivery, Task, TaskFunction[..., Any]], Outcome],
    ) -> Outcome:
        if task.timeout is None:  # whoever enqueued it did not know the function
            task.timeout = function.timeout
        task.worker_id = self._names[slot]
        delivery.started = begun
        self._started(delivery, slot)
        self.busy += 1
        try:
            # Fresh for each task: what one sets must not be seen by the next one in this slot.
            return contextvars.Context().run(execute, delivery, task, function)
        finally:
            delivery.took = time.monotonic() - begun
            self.busy -= 1

    # -- stopping

    def stop(self) -> None:
        """Start nothing more: what has not started is handed back, by the slots and here."""
        self.stopping = True
        for held in self._held.values():
            while held:
                self.end(held.popleft()[1], RELEASED, 0)

    def kill(self, timeout: float = 1.0) -> None:
        """End what still runs. Its deliveries are handed back, of a task that does not let itself be ended too."""
        self._killed = True
        gevent.killall(self._greenlets, block=False)
        gevent.joinall(self._greenlets, timeout=timeout)


def _may_pass(error: Exception) -> bool:
    """Say whether a server that did not answer, or refused, may answer when it is asked again: a full one, too."""
    if not isinstance(error, ResponseError) or isinstance(error, OutOfMemoryError):
        return True
    return passes(error) or str(error).startswith("MISCONF")
