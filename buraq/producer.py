"""Sends tasks to the server, those of concurrent callers together: the first caller leads, the others wait for its
reply.

It works patched by gevent and unpatched, in a worker, under gunicorn, under `flask run` and in a script. There is no
background thread and nothing to close.

Each batch has a number, and the server remembers its reply to the last one. So a reply that was lost is asked for
again, by the leader or, when it is killed or out of time, by the next one: no task is added twice, none is forgotten.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from redis.exceptions import ResponseError

from buraq.batch import Batch
from buraq.broker import BATCH_BYTES, MEMO_LIFE_MS, Broker, Item, Verdict
from buraq.connection import Link, Server, Unreachable
from buraq.errors import ConfigError, QueueUnavailable
from buraq.scripts import Argument
from buraq.values import Durability
from buraq.waiter import InThread, Waiter

# Error replies of a server that is about to change its role, or is busy: ask again, the number keeps it from being done
# twice. That another server is to be asked (READONLY, MOVED, TRYAGAIN) arrives as `NotHere`, one of `Unreachable`.
_PASSING_WORDS = ("NOREPLICAS", "BUSY ", "UNBLOCKED")
_REPLICA = "cannot be used with replica instances"  # what WAIT and WAITAOF say to one
ROUND = 400  # items that travel together
_ATTEMPTS = 3  # in one ENQUEUE_TIMEOUT, when answers do not come at all
_PAUSE = 0.02  # seconds between attempts when the connection is refused
_LATE = 0.12  # seconds; an idle server looks every 100 ms whether a WAIT is over
_REGISTER_EVERY = 60.0  # seconds; a queue's name must come back after the server lost its data


class Producer:
    """Hands items to the server and returns when it has them."""

    def __init__(self, server: Server, queues_key: str, timeout: float, durability: Durability | None = None) -> None:
        self._of_line = (server, queues_key, timeout, durability or Durability("memory"))
        self._threads = self._begin()
        _producers.add(self)

    def send(self, broker: Broker, items: Sequence[Item]) -> dict[int, Verdict] | None:
        """Send at most `ROUND` items of one queue; return the verdicts on those that were not simply accepted, None
        when all were.

        Raises `QueueUnavailable` when the server did not answer in time: then each of them may have been accepted, and
        sending it again with the same id is safe. Raises `EnqueueError` when the server refused the whole batch, and
        `ConfigError` when it cannot give the DURABILITY that is asked for.
        """
        line: _Line
        try:
            line = self._threads.line
        except AttributeError:
            line = self._threads.line = self._line_in_hub()
        return line.send(broker, items)

    def _line_in_hub(self) -> _Line:
        from buraq.hub_waiter import InHub  # gevent is not imported for those who do not use it

        return _Line(InHub, *self._of_line)

    def _begin(self) -> Any:
        """Return where each thread finds its line. Under gevent that is one of its own, made when it first sends: from
        another thread its greenlets cannot be woken, nor its sockets used. Else all threads stand in one.
        """
        monkey = sys.modules.get("gevent.monkey")
        if monkey is None or not monkey.is_module_patched("threading"):
            return SimpleNamespace(line=_Line(InThread, *self._of_line))
        return monkey.get_original("threading", "local")()

    def _start_afresh(self) -> None:
        """Begin as a new producer: a forked child must share neither connection nor numbers with its parent."""
        if hasattr(self._threads, "line"):
            self._threads.line.orphaned = True
        self._threads = self._begin()


_producers: weakref.WeakSet[Producer] = weakref.WeakSet()


def _after_fork() -> None:
    for producer in _producers:
        producer._start_afresh()


os.register_at_fork(after_in_child=_after_fork)


class _Line:
    """The callers of one process, under gevent of one of its threads, one behind the other; and the connection that
    their leader uses.

    Under gevent to take a lock costs as much as to write a task. So it takes none to stand in line, nor to become the
    leader when there is none: each is one operation of a deque or a dict, which are atomic. `_throne` holds the leader.
    With the lock the leader's place changes hands, once for a batch.
    """

    def __init__(
        self, waiter: type[Waiter], server: Server, queues_key: str, timeout: float, durability: Durability
    ) -> None:
        self.orphaned = False  # a copy in a forked child: its callers' tasks are the parent's to send
        self._queues_key = queues_key
        self._timeout = timeout
        self._durability = durability
        self._id = uuid.uuid4().hex
        self._number = 0
        self._lock = threading.Lock()
        self._waiter = waiter
        self._waiting: deque[Waiter] = deque()
        self._throne: dict[str, Waiter] = {}
        self._batch: Batch | None = None  # sent, or about to be, and not answered yet
        self._callers = 1  # in the last batch
        self._link: Link = server.link(timeout / _ATTEMPTS)
        self._registered: dict[str, float] = {}
        self._trouble: Exception | None = None  # why the last attempt failed

    def send(self, broker: Broker, items: Sequence[Item]) -> dict[int, Verdict] | None:
        waiter = self._waiter(broker, items)
        deadline = time.monotonic() + self._timeout
        # A caller can be killed wherever it waits; in plain threads Ctrl-C can strike anywhere. `_leave` mends it all.
        try:
            self._waiting.append(waiter)
            if self._throne.setdefault("leader", waiter) is waiter:
                waiter.leads = True
            else:
                # Without a timeout, which would cost more than all the rest: a leader gives up at its own deadline,
                # before ours, and hands over to the next one in line.
                waiter.wait()
            while waiter.leads and not waiter.done:
                if not self._deliver(waiter, deadline):
                    break
        finally:
            self._leave(waiter)
        if waiter.error is not None:
            raise waiter.error
        if not waiter.done:
            why = str(self._trouble) if self._trouble is not None else ""
            raise QueueUnavailable([item.id for item in items], self._timeout, why) from self._trouble
        return waiter.verdicts

    def _leave(self, waiter: Waiter) -> None:
        """Go, answered or not; a leader hands over."""
        if waiter.done and self._throne.get("leader") is not waiter:
            return
        with self._lock:
            waiter.gone = not waiter.done  # the next leader passes over it
            if self._throne.get("leader") is not waiter:
                return
            if self._batch is not None:
                # Its reply may still come, and must not be taken for the answer to what is sent next.
                self._link.close()
                # Once nobody waits for it any more its number will be refused, should it still be under way.
                if all(one.gone or one.done for one in self._batch.waiters):
                    self._batch = None
            self._hand_over(waiter)

    def _hand_over(self, leader: Waiter) -> None:
        """Make a caller who still waits the leader, those of a batch in doubt before all others. The lock is held.

            time 0  leader     finds nobody who waits
            time 1  another    stands in line, sees that somebody leads, waits
            time 2  leader     goes

        So who has left the throne looks once more, and takes it again for whoever came meanwhile.
        """
        leader.leads = False
        while True:
            heir = self._next_in_line()
            if heir is not None:
                heir.leads = True
                self._throne["leader"] = heir
                heir.wake()
                return
            self._throne.pop("leader", None)
            if not self._waiting or self._throne.setdefault("leader", leader) is not leader:
                return

    def _next_in_line(self) -> Waiter | None:
        for waiter in self._batch.waiters if self._batch is not None else ():
            if not waiter.gone and not waiter.done:
                return waiter
        while self._waiting:
            if not self._waiting[0].gone:
                return self._waiting[0]
            self._waiting.popleft()
        return None

    def _next_batch(self) -> Batch:
        """Return what to send now: the batch whose reply is in doubt, or what waits. For the leader alone."""
        if self._batch is not None:
            return self._batch
        # Those who were answered together come back one by one: a leader who would not let the others run before it
        # sends would travel alone every second time.
        if len(self._waiting) < self._callers // 2:
            time.sleep(0)
        waiters: list[Waiter] = []
        count = size = 0
        while self._waiting:
            waiter = self._waiting[0]
            count += len(waiter.items)
            size += waiter.size
            if waiters and (count > ROUND or size > 2 * BATCH_BYTES):
                break
            self._waiting.popleft()
            if not waiter.gone:
                waiters.append(waiter)
        self._callers = len(waiters)
        self._number += 1
        self._batch = Batch(self._number, self._id, waiters)
        return self._batch

    def _deliver(self, leader: Waiter, deadline: float) -> bool:
        """Send a batch until it is answered. Returns False when the time is up.

        Where the last batch was answered, the server is well, and what took this caller's time was its own process. It
        tries once all the same: else all who stand behind it, as late as it is, would give up one after the other.
        """
        tried = False
        while not self.orphaned and (time.monotonic() < deadline or not (tried or self._trouble)):
            self._link.deadline = deadline if tried else max(deadline, time.monotonic() + self._timeout / _ATTEMPTS)
            tried = True
            batch = self._next_batch()
            try:
                self._register(batch.queues)
                replies = self._link.calls([part.call for part in batch.parts])
                passing = [reply for reply in replies if reply and passes(reply)]
                if not passing:
                    if self._durability.kind != "memory" and not self._wait_until_durable(
                        batch.memo, self._link.deadline
                    ):
                        self._trouble = TimeoutError(
                            f"accepted, and not as safe in time as DURABILITY={self._durability} asks"
                        )
                        return False
                    self._batch = self._trouble = None
                    try:
                        if leader in batch.waiters:
                            # First, so that the next batch is under way while those of this one go on.
                            with self._lock:
                                self._hand_over(leader)
                    finally:
                        batch.share(replies, leader)
                    return True
                self._trouble = passing[0]
                self._link.close()  # a server that changes its role is looked up again
            except Unreachable as error:
                # What breaks off at the deadline tells less than what was wrong before.
                if self._trouble is None or time.monotonic() < deadline:
                    self._trouble = error
            time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))
        return False

    def _register(self, names: list[str]) -> None:
        """Now and then: write down that the queues exist, and see whether the server can give what DURABILITY asks."""
        now = time.monotonic()
        names = [name for name in names if now - self._registered.get(name, -1e9) > _REGISTER_EVERY]
        if not names:
            return
        self._how_durable(1)
        [reply] = self._link.commands([("SADD", self._queues_key, *names)])
        if not isinstance(reply, Exception):
            self._registered.update(dict.fromkeys(names, now))

    def _how_durable(self, wait_ms: int, before: Sequence[Argument] = ()) -> bool:
        """Ask, after one more command, whether all that this connection wrote is as safe as DURABILITY asks."""
        durability = self._durability
        if durability.kind == "memory":
            return True
        least = max(1, durability.replicas)
        words = ("WAITAOF", 1, 0, wait_ms) if durability.kind == "aof" else ("WAIT", least, wait_ms)
        replies = self._link.commands([before, words] if before else [words])
        # Where the command before was refused nothing was written, and there would be nothing to wait for.
        reply = next((one for one in replies if isinstance(one, Exception)), replies[-1])
        if passes(reply):
            raise ConnectionError(str(reply))
        if isinstance(reply, Exception):
            remedy = f"the server says {str(reply)!r}: set DURABILITY=memory, or a server with appendonly yes"
            raise ConfigError("DURABILITY", str(durability), remedy)
        return int(reply[0] if durability.kind == "aof" else reply) >= least

    def _wait_until_durable(self, memo: str, deadline: float) -> bool:
        """Return whether the batch is as safe as DURABILITY asks before the time is up."""
        # The server waits for the writes of this connection only, and this one may have been answered from memory,
        # with nothing written: so write something that comes after the batch.
        touch: tuple[Argument, ...] = ("PEXPIRE", memo, MEMO_LIFE_MS)
        while True:
            left = min(deadline - time.monotonic(), self._timeout / _ATTEMPTS) - _LATE
            if self._how_durable(max(1, int(left * 1000)), touch):
                return True
            if left <= 0:
                return False
            touch = ()


def passes(reply: object) -> bool:
    """Whether it is an error reply that is soon over."""
    if not isinstance(reply, ResponseError):
        return False
    words = str(reply)
    return words.startswith(_PASSING_WORDS) or _REPLICA in words
