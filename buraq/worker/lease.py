"""The lease of a worker process, renewed from an OS thread: greenlets stop while a task burns CPU, this does not.

The thread has its own connection, and a hub of its own; it shares nothing with the greenlets but plain attributes. It
also watches the hub: how long it has not run, and which task is to blame.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FrameType

from gevent import monkey
from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link, Server, Unreachable
from buraq.scripts import Argument
from buraq.task import Delivery

log = logging.getLogger(__name__)

RENEWALS = 5  # in one LEASE_TTL
BLOCKED_AFTER = 0.25  # seconds without a turn of the hub before it counts as blocked
CRY_OUT_AFTER = 5.0  # seconds without a turn before the thread writes to stderr itself
_LOOK_EVERY = 0.1
_SAY_EVERY = 5.0  # seconds; an outage is not said with every try


class Lease:
    """Keeps the lease of this process on each of its queues.

    `epoch` grows each time the lease had lapsed: what was fetched before and has not started must be handed back then,
    for others may have taken it.
    """

    def __init__(
        self,
        server: Server,
        name: str,
        ttl: float,
        facts: Callable[[], dict[str, Argument]],
        max_blocked: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.ttl = ttl
        self.brokers: tuple[Broker, ...] = ()  # the queues to hold a lease on
        self.covered: tuple[Broker, ...] = ()  # those that the last renewal was for; only from these may be fetched
        self.epoch = 0
        self.held = 0  # renewals in a row without a lapse
        self.clock_ahead_ms = 0.0  # how far the server's clock is ahead of ours
        self.until = 0.0  # by our own clock; counted from before the last renewal was sent
        self.hub_turned = clock()
        self.blocked = 0.0  # seconds that the hub has been blocked, now or when it last was
        self.reachable = True
        self.watches = True  # whether it says who blocks the hub; one in a process does
        self._said_at = 0.0  # when it was last said that the server is away
        self._facts = facts
        self._max_blocked = max_blocked
        self._clock = clock
        self._stop = False
        self._done = False
        self._reports: deque[tuple[int, str, dict[str, object]]] = deque(maxlen=100)
        self._link: Link = server.link(min(2.0, ttl / 3))
        self._main_thread = 0
        self._blamed: dict[str, float] = {}

    @property
    def valid(self) -> bool:
        """Whether the lease holds."""
        return self._clock() < self.until

    def renew(self) -> bool:
        """Renew the lease on all queues. Returns False when the server did not answer.

        For one caller at a time: the thread, or a test.
        """
        asked = self._clock()
        brokers = self.brokers
        if not brokers:
            return True
        facts = self._facts()
        try:
            sent = time.time()
            replies = self._link.calls([b.lease(self.name, int(self.ttl * 1000), facts) for b in brokers])
            back = time.time()
        except Unreachable as error:
            if self.reachable or self._clock() - self._said_at >= _SAY_EVERY:
                self._said_at = self._clock()
                self._report(logging.WARNING, "lease not renewed", {"error": str(error)})
            self.reachable = False
            return False
        refused = [reply for reply in replies if isinstance(reply, ResponseError)]
        if refused:
            self._report(logging.ERROR, "lease refused", {"error": str(refused[0])})
            return False
        self.reachable = True
        self.clock_ahead_ms = int(replies[0][1]) - (sent + back) * 500
        lapsed = [broker for broker, reply in zip(brokers, replies, strict=True) if int(reply[0])]
        if any(broker in self.covered for broker in lapsed):
            self._report(logging.WARNING, "lease had lapsed", {"worker": self.name})
            self.epoch += 1
        self.held = 1 if lapsed else self.held + 1
        self.covered = brokers
        self.until = asked + self.ttl
        return True

    def _report(self, level: int, event: str, facts: dict[str, object]) -> None:
        """Leave a log line for the hub: the handlers' locks belong to greenlets."""
        self._reports.append((level, event, facts))

    def log_reports(self) -> None:
        """Write the log lines that the thread left. Called from a greenlet."""
        for level, event, facts in self._taken_reports():
            log.log(level, event, extra=facts)

    # -- the thread

    def start(self) -> None:
        """Begin to renew. Called from the hub's thread."""
        self._main_thread = monkey.get_original("_thread", "get_ident")()
        # A hub imports what it looks names up with when it first does, under a lock that several hubs can wait for
        # for ever. So that is done here, before there is a thread with a hub of its own.
        socket.getaddrinfo("127.0.0.1", None)
        self._done = False
        monkey.get_original("_thread", "start_new_thread")(self._run, ())

    def stop(self) -> None:
        """End the thread; the lease itself stays until it runs out or the process leaves."""
        self._stop = True

    @property
    def stopped(self) -> bool:
        """Whether the thread has ended."""
        return self._done

    def _run(self) -> None:
        sleep = monkey.get_original("time", "sleep")
        due = 0.0
        try:
            while not self._stop:
                self.watch_hub()
                # A process that will never run again must let go, or its tasks would wait for ever.
                wedged = self.blocked > self._max_blocked and self._clock() - self.hub_turned > self._max_blocked
                if (self._clock() >= due or self.covered != self.brokers) and not wedged:
                    renewed = self.renew()
                    due = self._clock() + (self.ttl / RENEWALS if renewed else min(0.5, self.ttl / 10))
                sleep(_LOOK_EVERY)
        finally:
            self._link.close()
            self._done = True

    def watch_hub(self) -> None:
        """Measure how long the hub has not turned, and name the task that holds it: once a minute for each type."""
        idle = self._clock() - self.hub_turned
        if idle < BLOCKED_AFTER:
            return
        self.blocked = idle
        if not self.watches:
            return
        if idle > CRY_OUT_AFTER:
            self._cry_out()
        frame = sys._current_frames().get(self._main_thread)
        delivery, where = _culprit(frame)
        task_type = delivery.task.type if delivery is not None and delivery.task is not None else "none"
        if self._clock() - self._blamed.get(task_type, -60.0) < 60.0:
            return
        self._blamed[task_type] = self._clock()
        facts: dict[str, object] = {"task_type": task_type, "at": where, "seconds": round(idle, 2)}
        if delivery is not None and delivery.task is not None:
            facts["task_id"] = delivery.task.id
        self._report(logging.WARNING, "hub blocked: nothing else runs in this process", facts)

    def _cry_out(self) -> None:
        """Write the reports from this thread: the hub may never turn again, and then nobody would know why."""
        for _, event, facts in self._taken_reports():
            tail = " ".join(f"{name}={value}" for name, value in facts.items())
            line = f"{event} {tail} worker={self.name}\n".encode()
            # In a thread of its own: a pipe that nobody empties must not cost us the lease.
            monkey.get_original("_thread", "start_new_thread")(os.write, (2, line))

    def _taken_reports(self) -> Iterator[tuple[int, str, dict[str, object]]]:
        """Take the reports out one by one; the thread and the hub may both be at it."""
        with suppress(IndexError):
            while True:
                yield self._reports.popleft()


def _culprit(frame: FrameType | None) -> tuple[Delivery | None, str]:
    """Return the delivery that runs in a stack, and the line that it is at."""
    where = f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "?"
    while frame is not None:
        delivery = frame.f_locals.get("delivery") if frame.f_code.co_name == "run_task" else None
        if isinstance(delivery, Delivery):
            return delivery, where
        frame = frame.f_back
    return None, where


def leases_of(replies: Sequence[bytes]) -> dict[str, float]:
    """Read ZRANGE … WITHSCORES: worker process to lease expiry in server ms."""
    rows = zip(replies[::2], replies[1::2], strict=True)
    return {name.decode(errors="replace"): float(score) for name, score in rows}
