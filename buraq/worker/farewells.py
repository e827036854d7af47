"""Ends the leases of worker processes that died, from threads of the arbiter, and keeps those apart from its forks."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import gevent
from gevent import monkey
from redis.exceptions import ResponseError

from buraq.backend import Backend
from buraq.config import Config
from buraq.connection import Unreachable
from buraq.shard_inspector import ShardInspector

_allocate_lock = monkey.get_original("_thread", "allocate_lock")
_start_new_thread = monkey.get_original("_thread", "start_new_thread")


class Farewells:
    """Ends leases, each in an OS thread on a connection of its own: the arbiter must go on, whatever the server does.

    A greenlet would go on in a child that the arbiter forks, on the same socket. A thread does not, but what it holds
    at that moment stays held in the child:

        time 0  thread     imports what a first connection needs, holds the lock of that module
        time 1  arbiter    forks the next worker process
        time 2  child      imports the same, and waits for a thread that it does not have

    So whoever forks calls `wait` before.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._under_way: list[Any] = []  # a lock for each thread, held until it is done

    def end_lease(self, name: str) -> None:
        """End the lease of a dead process on all queues, and say that it is dead: anybody may take its tasks at once.

        When the server does not answer, or refuses, the lease runs out.
        """
        done = _allocate_lock()
        done.acquire()
        self._under_way.append(done)
        _start_new_thread(self._run, (name, done))

    def wait(self, timeout: float) -> bool:
        """Wait until no thread is at it, at most `timeout` seconds. Returns whether none is."""
        until = time.monotonic() + timeout
        left = [done for done in self._under_way if not done.acquire(timeout=max(0.0, until - time.monotonic()))]
        self._under_way = left
        return not left

    def _run(self, name: str, done: Any) -> None:
        try:
            self._end_lease(name)
        finally:
            try:
                # What waits in a thread makes a hub there, with descriptors and a thread to look names up. Nobody else
                # gives them back, and an arbiter whose processes die for days would have none left to fork with.
                gevent.get_hub().destroy()
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
