"""Ends the leases of worker processes that died, from threads of the arbiter, and keeps those apart from its forks."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any

from gevent import monkey
from redis.exceptions import ResponseError

from buraq.backend import Backend
from buraq.config import Config
from buraq.connection import Unreachable
from buraq.shard_inspector import ShardInspector

log = logging.getLogger(__name__)

_allocate_lock = monkey.get_original("_thread", "allocate_lock")
_start_new_thread = monkey.get_original("_thread", "start_new_thread")
_SimpleQueue = monkey.get_original("queue", "SimpleQueue")
MOST = 8  # threads; a server that is away holds each of them up for a while


class Farewells:
    """Ends leases, in OS threads and on connections of their own: the arbiter must go on, whatever the server does.

    A greenlet would go on in a child that the arbiter forks, on the same socket. A thread does not, but what it holds
    at that moment stays held in the child:

        time 0  thread     imports what a first connection needs, holds the lock of that module
        time 1  arbiter    forks the next worker process
        time 2  child      imports the same, and waits for a thread that it does not have

    So whoever forks calls `wait` before. That cannot wait for the very end of a thread, where greenlet takes a lock to
    say that the thread has gone, and takes it again at the end of a process: the child would stop, and never be over.
    So no thread ends. What waits in one makes a hub there, with threads to look names up; that stays as well.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._asked: Any = _SimpleQueue()
        self.threads = 0
        self._under_way: list[Any] = []  # a lock for each farewell, held until it is said

    def end_lease(self, name: str) -> None:
        """End the lease of a dead process on all queues, and say that it is dead: anybody may take its tasks at once.

        When the server does not answer, or refuses, the lease runs out.
        """
        done = _allocate_lock()
        done.acquire()
        self._under_way = [*(one for one in self._under_way if one.locked()), done]
        self._asked.put((name, done))
        if self.threads < min(len(self._under_way), MOST):
            self.threads += 1
            _start_new_thread(self._run, ())

    def wait(self, timeout: float) -> bool:
        """Wait until no thread is at it, at most `timeout` seconds. Returns whether none is."""
        until = time.monotonic() + timeout
        left = [done for done in self._under_way if not done.acquire(timeout=max(0.0, until - time.monotonic()))]
        self._under_way = left
        return not left

    def _run(self) -> None:
        while True:
            name, done = self._asked.get()
            try:
                self._end_lease(name)
            except Exception:
                log.exception("the lease of a dead worker process was not ended: it runs out", extra={"worker": name})
            finally:
                done.release()

    def _end_lease(self, name: str) -> None:
        backend = Backend(self._config)
        for shard in backend.shards:
            with suppress(ResponseError, *Unreachable):
                queues = ShardInspector(shard).queues()
                died = [words for queue in queues for words in shard.broker(queue).died_commands(name)]
                shard.server.shared.commands(died)
        backend.close()
