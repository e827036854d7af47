"""The lease of a worker process, renewed from an OS thread: greenlets stop while a task burns CPU, this does not.

The thread has its own connection, and a hub of its own; it shares nothing with the greenlets but plain attributes.
Between two renewals the `Guard` looks from it at the hub and at the loops.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Sequence

from gevent import monkey
from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link, Server, Unreachable
from buraq.permissions import is_wrong_type
from buraq.replies import checked
from buraq.scripts import Argument
from buraq.worker.guard import Follower, Guard
from buraq.worker.reports import Reports
from buraq.worker.rights import Rights

RENEWALS = 5  # in one LEASE_TTL
_SAY_EVERY = 5.0  # seconds; why there is no lease is not said with every try


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
        guard: Guard | Follower | None = None,
        clock: Callable[[], float] = time.monotonic,
        rights: Rights | None = None,
    ) -> None:
        """`guard` looks from the thread, and says when to give up: somebody has to call its `turn`. `rights` are asked
        for by each connection before the first lease on a queue: while one is missing there is no lease.
        """
        self.name = name
        self.ttl = ttl
        self.brokers: tuple[Broker, ...] = ()  # the queues to hold a lease on
        self.covered: tuple[Broker, ...] = ()  # those that the last renewal was for; only from these may be fetched
        self._asked_for: tuple[Broker, ...] = ()  # those that there were then; some may not be covered
        self._at_start: tuple[Broker, ...] = ()  # those without which the process must not begin
        self.epoch = 0
        self.held = 0  # renewals in a row without a lapse
        self.clock_ahead_ms = 0.0  # how far the server's clock is ahead of ours
        self.until = 0.0  # by our own clock; counted from before the last renewal was sent
        self.reachable = True
        self.overwritten: frozenset[str] = frozenset()  # queues that a lease cannot be held on: their key is another's
        self.denied = ""  # what the user of the server may not, of what is to be done with the queues
        self._said_at = -_SAY_EVERY  # when it was last said why there is none
        self._facts = facts
        self._clock = clock
        self._rights = rights
        self._permitted: set[Broker] = set()  # queues for which the open connection may do all
        self._stop = False
        self._done = False
        self.guard: Guard | Follower = guard or Guard(Reports(name))
        self.reports = self.guard.reports
        self._link: Link = server.link(min(2.0, ttl / 3))

    @property
    def valid(self) -> bool:
        """Whether the lease holds."""
        return self._clock() < self.until

    @property
    def complete(self) -> bool:
        """Whether the last renewal was for all queues that there are now, but for those that it cannot be held on."""
        return self._asked_for == self.brokers

    def renew(self) -> bool:
        """Renew the lease on all queues. Returns False when the server did not answer, or refused.

        For one caller at a time: the thread, or a test.
        """
        asked = self._clock()
        wanted = self.brokers
        if not wanted:
            return True
        facts = self._facts()
        try:
            brokers = self._permitted_of(wanted)
            if not brokers:
                return False
            sent = time.time()
            calls = [b.lease(self.name, int(self.ttl * 1000), facts) for b in brokers]
            said = dict(zip(brokers, self._link.calls(calls), strict=True))
            back = time.time()
            refused = {broker.keys.name: str(reply) for broker, reply in said.items() if is_wrong_type(reply)}
            if len(refused) < len(said):  # the leases on the others are written, and hold
                self.overwritten = frozenset(refused)
                brokers = tuple(broker for broker in brokers if broker.keys.name not in refused)
            for queue, error in refused.items():
                self._say(logging.ERROR, "lease refused", {"queue": queue, "error": error})
            replies = [checked(said[broker]) for broker in brokers]
        except Unreachable as error:
            self._say(logging.WARNING, "lease not renewed", {"error": str(error)}, at_once=self.reachable)
            self.reachable = False
            self._permitted.clear()  # the next connection may come to another server, or be another user's
            return False
        except ResponseError as error:  # a connection may be refused as well: it has no such database, or is busy
            self._say(logging.ERROR, "lease refused", {"error": str(error)})
            return False
        self.reachable = True
        self.clock_ahead_ms = int(replies[0][1]) - (sent + back) * 500
        lapsed = [broker for broker, reply in zip(brokers, replies, strict=True) if int(reply[0])]
        if any(broker in self.covered for broker in lapsed):
            self.reports.add(logging.WARNING, "lease had lapsed", {})
            self.epoch += 1
        self.held = 1 if lapsed else self.held + 1
        self.covered, self._asked_for = brokers, wanted
        self.until = asked + self.ttl
        return True

    def _permitted_of(self, brokers: tuple[Broker, ...]) -> tuple[Broker, ...]:
        """Return those of these queues with which the user of the server may do all that is done.

        None where that is missing for one of the start, or one that a lease is held on. But a queue that turned up
        later is left out, and asked about again: whoever enqueues makes queues, and must not end the work on others.

        Raises the error reply of a server that does not say it, as a busy one.
        """
        new = [broker for broker in brokers if broker not in self._permitted]
        if self._rights is None or not new:
            return brokers
        left_out: set[Broker] = set()
        replies = self._link.calls([self._rights.question(broker) for broker in new])
        for broker, reply in zip(new, replies, strict=True):
            missing = self._rights.refused(broker, reply)
            if not missing:
                self._permitted.add(broker)
                continue
            self._say(logging.ERROR, "no permission (docs/security.md)", {"missing": missing})
            if broker in self._at_start or broker in self.covered:
                self.denied = missing
                return ()
            left_out.add(broker)
        self.denied = ""
        return tuple(broker for broker in brokers if broker not in left_out)

    def _say(self, level: int, event: str, facts: dict[str, object], at_once: bool = False) -> None:
        """Report why there is no lease, which each try would say again: now and then, or `at_once`."""
        if at_once or self._clock() - self._said_at >= _SAY_EVERY:
            self._said_at = self._clock()
            self.reports.add(level, event, facts)

    # -- the thread

    def start(self) -> None:
        """Begin to renew, on the queues that there are now and those that turn up. Called from the hub's thread."""
        self._at_start = self.brokers
        # A hub imports what it looks names up with when it first does, under a lock that several hubs can wait for
        # for ever. So that is done here, before there is a thread with a hub of its own.
        socket.getaddrinfo("127.0.0.1", None)
        self.guard.begin()
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
                self.guard.look()
                if (self._clock() >= due or not self.complete) and not self.guard.gives_up:
                    renewed = self.renew()
                    self.guard.renewed(self.until, self.reachable)
                    due = self._clock() + (self.ttl / RENEWALS if renewed else min(0.5, self.ttl / 10))
                sleep(self.guard.pause())
        finally:
            self._link.close()
            self._done = True


def leases_of(replies: Sequence[bytes]) -> dict[str, float]:
    """Read ZRANGE … WITHSCORES: worker process to lease expiry in server ms."""
    rows = zip(replies[::2], replies[1::2], strict=True)
    return {name.decode(errors="replace"): float(score) for name, score in rows}
