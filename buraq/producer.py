"""Sends tasks to the server, those of concurrent callers together: the first caller leads, the others wait for its
reply.

Built on plain `threading` primitives, so that it works patched by gevent and unpatched, in a worker, under gunicorn,
under `flask run` and in a script. There is no background thread and nothing to close.

Each batch has a number, and the server remembers its reply to the last one. So a reply that was lost is asked for
again, by the leader or, when it is killed or out of time, by the next one: no task is added twice, none is forgotten.
"""

from __future__ import annotations

import os
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Sequence

from redis.exceptions import ResponseError

from buraq.broker import BATCH_BYTES, ENQUEUE_BATCH, Broker, Item, Verdict
from buraq.config import Durability
from buraq.connection import Link, Server, Unreachable
from buraq.errors import EnqueueError, QueueUnavailable
from buraq.scripts import Argument

# Error replies of a server that is about to change its role: ask again, the number keeps it from being done twice.
_PASSING = ("READONLY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN")
_ATTEMPTS = 3  # in one ENQUEUE_TIMEOUT, when answers do not come at all
_PAUSE = 0.02  # seconds between attempts when the connection is refused
_REGISTER_EVERY = 60.0  # seconds; a queue's name must come back after the server lost its data


class _Waiter:
    """A caller's items, and what became of them."""

    __slots__ = ("broker", "done", "error", "gone", "items", "leads", "ready", "verdicts")

    def __init__(self, broker: Broker, items: Sequence[Item]) -> None:
        self.broker = broker
        self.items = items
        self.verdicts: dict[int, Verdict] = {}
        self.error: Exception | None = None
        self.done = False
        self.leads = False
        self.gone = False  # its caller was told that the answer is not known
        self.ready: threading.Lock | None = None

    def finish(self) -> None:
        self.done = True
        self.wake()

    def wake(self) -> None:
        """Let the caller go on, once: one that has run out of time meanwhile takes no notice."""
        if self.ready is not None and self.ready.locked():
            self.ready.release()


class _Batch:
    """What travels together, under one number."""

    __slots__ = ("number", "waiters")

    def __init__(self, number: int, waiters: list[_Waiter]) -> None:
        self.number = number
        self.waiters = waiters


_producers: weakref.WeakSet[Producer] = weakref.WeakSet()


class Producer:
    """Hands items to the server and returns when it has them."""

    def __init__(self, server: Server, queues_key: str, timeout: float, durability: Durability | None = None) -> None:
        self._server = server
        self._queues_key = queues_key
        self._timeout = timeout
        self._durability = durability
        self._start_afresh()
        _producers.add(self)

    def _start_afresh(self) -> None:
        """Begin as a new producer: a forked child must share neither connection nor numbers with its parent."""
        self._id = uuid.uuid4().hex
        self._number = 0
        self._lock = threading.Lock()
        self._waiting: deque[_Waiter] = deque()
        self._leading = False
        self._doubt: _Batch | None = None
        self._link: Link = self._server.link(self._timeout / _ATTEMPTS)
        self._registered: dict[str, float] = {}

    def send(self, broker: Broker, items: Sequence[Item]) -> dict[int, Verdict]:
        """Send at most `ENQUEUE_BATCH` items of one queue; return the verdict on each that was not simply accepted.

        Raises `QueueUnavailable` when the server did not answer in time: then each of them may have been accepted, and
        sending it again with the same id is safe. Raises `EnqueueError` when the server refused the whole batch.
        """
        waiter = _Waiter(broker, items)
        deadline = time.monotonic() + self._timeout
        with self._lock:
            self._waiting.append(waiter)
            if self._leading:
                waiter.ready = threading.Lock()
                waiter.ready.acquire()
            else:
                self._leading = waiter.leads = True
        if waiter.ready is not None:
            self._wait(waiter, deadline)
        if waiter.leads:
            self._lead(waiter, deadline)
        if waiter.error is not None:
            raise waiter.error
        if not waiter.done:
            raise self._unavailable(waiter)
        return waiter.verdicts

    def _unavailable(self, waiter: _Waiter) -> QueueUnavailable:
        return QueueUnavailable([item.id for item in waiter.items], self._timeout)

    def _wait(self, waiter: _Waiter, deadline: float) -> None:
        """Wait until the items are settled or this caller has to lead."""
        assert waiter.ready is not None
        answered = False
        try:
            answered = waiter.ready.acquire(timeout=max(0.0, deadline - time.monotonic()))
        finally:
            if not answered:  # out of time, or this greenlet is being killed
                with self._lock:
                    waiter.gone = True
                    if waiter in self._waiting:
                        self._waiting.remove(waiter)
                    if waiter.leads:
                        waiter.leads = False
                        self._hand_over()

    def _lead(self, waiter: _Waiter, deadline: float) -> None:
        """Send batches until this caller's own items are settled, then let the next one lead."""
        batch: _Batch | None = None
        try:
            while not waiter.done:
                batch = self._next_batch()
                if not self._deliver(batch, deadline):
                    break
                batch = None
        finally:
            with self._lock:
                if not waiter.done:
                    waiter.gone = True
                    if waiter in self._waiting:
                        self._waiting.remove(waiter)
                if batch is not None:
                    self._link.close()
                    self._doubt = batch
                self._hand_over()

    def _next_batch(self) -> _Batch:
        """Return what to send now: the batch whose reply is in doubt, or what waits."""
        with self._lock:
            batch, self._doubt = self._doubt, None
            if batch is not None:
                return batch
            waiters: list[_Waiter] = []
            count = size = 0
            while self._waiting:
                items = self._waiting[0].items
                count += len(items)
                size += sum(len(item.payload) for item in items)
                if waiters and (count > ENQUEUE_BATCH or size > BATCH_BYTES):
                    break
                waiters.append(self._waiting.popleft())
            self._number += 1
            return _Batch(self._number, waiters)

    def _hand_over(self) -> None:
        """Make a caller who still waits the leader. The lock is held."""
        # Once nobody waits for it any more its number will be refused, should it still be under way.
        if self._doubt is not None and all(waiter.gone or waiter.done for waiter in self._doubt.waiters):
            self._doubt = None
        waiting = [w for w in (self._doubt.waiters if self._doubt else ()) if not w.gone and not w.done]
        heir = waiting[0] if waiting else (self._waiting[0] if self._waiting else None)
        if heir is None:
            self._leading = False
            return
        heir.leads = True
        heir.wake()

    def _deliver(self, batch: _Batch, deadline: float) -> bool:
        """Send a batch until it is answered. Returns False when the time is up."""
        groups: dict[Broker, list[_Waiter]] = {}
        for waiter in batch.waiters:
            groups.setdefault(waiter.broker, []).append(waiter)
        calls = [
            broker.enqueue([item for waiter in waiters for item in waiter.items], self._id, batch.number)
            for broker, waiters in groups.items()
        ]
        while True:
            try:
                self._register(groups)
                replies = self._link.calls(calls)
                if not any(isinstance(r, ResponseError) and str(r).startswith(_PASSING) for r in replies):
                    durable = self._make_durable(deadline)
                    break
                self._link.close()  # a server that changes its role is looked up again
            except Unreachable:
                pass
            if time.monotonic() + _PAUSE >= deadline:
                return False
            time.sleep(_PAUSE)
        for (broker, waiters), reply in zip(groups.items(), replies, strict=True):
            self._share(broker, waiters, reply, durable)
        return True

    def _share(self, broker: Broker, waiters: list[_Waiter], reply: object, durable: bool) -> None:
        """Give each caller its part of the reply."""
        verdicts = broker.verdicts(reply) if isinstance(reply, list) else {}
        start = 0
        for waiter in waiters:
            if isinstance(reply, Exception):
                waiter.error = EnqueueError(waiter.items[0].id, str(reply))
            elif not durable:
                waiter.error = self._unavailable(waiter)
            elif verdicts:
                for n in range(len(waiter.items)):
                    if start + n in verdicts:
                        waiter.verdicts[n] = verdicts[start + n]
            start += len(waiter.items)
            waiter.finish()

    def _register(self, brokers: dict[Broker, list[_Waiter]]) -> None:
        """Write down that the queues exist, now and then."""
        now = time.monotonic()
        names = [b.keys.name for b in brokers if now - self._registered.get(b.keys.name, -1e9) > _REGISTER_EVERY]
        if names:
            self._link.commands([("SADD", self._queues_key, *names)])
            self._registered.update(dict.fromkeys(names, now))

    def _make_durable(self, deadline: float) -> bool:
        """Wait until the batch is as safe as DURABILITY asks. Counts the writes of its own connection only."""
        if self._durability is None or self._durability.kind == "memory":
            return True
        left = max(1, int((min(deadline - time.monotonic(), self._timeout / _ATTEMPTS) - _PAUSE) * 1000))
        if self._durability.kind == "aof":
            words: tuple[Argument, ...] = ("WAITAOF", 1, 0, left)
            return int(self._link.command(*words)[0]) >= 1
        return int(self._link.command("WAIT", self._durability.replicas, left)) >= self._durability.replicas


def _after_fork() -> None:
    for producer in _producers:
        producer._start_afresh()


os.register_at_fork(after_in_child=_after_fork)
