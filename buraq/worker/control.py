"""Keeps a worker process up to date: which queues exist, which task types live, what its figures are."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from buraq.connection import SharedLink, Unreachable
from buraq.keys import QueueKeys
from buraq.worker.loop import Loop

if TYPE_CHECKING:
    from buraq.worker.worker import Worker

_TYPES_EVERY = 5.0
_TYPES_LIVE_MS = 20_000  # without renewal a task type is no longer known to live


class Control(Loop):
    """Once a second: flush the metrics, look for new queues, say which task types this process knows."""

    name = "control"
    interval = 0.25

    def __init__(self, worker: Worker, link: SharedLink) -> None:
        super().__init__()
        self.seen: set[str] = set()  # queues that exist on the server
        self.looked = False  # whether that is known yet
        self._worker = worker
        self._link = link
        self._types_written = 0.0
        self._wakes = 0

    def step(self) -> None:
        """Do what is due."""
        worker = self._worker
        worker.guard.reports.log()
        if worker.lease.stopped:  # nobody else looks after it
            raise RuntimeError("the lease thread ended by itself")
        metrics = worker.metrics
        metrics.slots(worker.slots.busy, worker.slots.concurrency)
        metrics.channel_depth(worker.slots.waiting)
        for task_type, seconds in worker.guard.blocks():
            metrics.hub_blocked(task_type, seconds)
        metrics.redis_up(worker.lease.reachable)
        metrics.flush()
        worker.slots.put_off_held()
        if worker.children is not None:
            worker.children.tend()
        if worker.fetcher.brokers != worker.lease.covered:
            worker.fetcher.wake()  # it waits for work on the queues that it knows
        self._look_for_queues()
        self.tick()
        if time.monotonic() - self._types_written > _TYPES_EVERY:
            self._write_types()

    def _look_for_queues(self) -> None:
        backend = self._worker.app.backend
        names, paused = self._link.commands([("SMEMBERS", backend.names.queues), ("HKEYS", backend.names.paused)])
        self._honour(frozenset(map(bytes.decode, paused)) if isinstance(paused, list) else frozenset())
        if isinstance(names, list | set):
            self.seen = {name.decode(errors="replace") for name in names}
            self.looked = True
        wanted = self._worker.queues_now()
        self._worker.facts.queues = ",".join(wanted)
        if [broker.keys.name for broker in self._worker.lease.brokers] != wanted:
            self._worker.lease.brokers = tuple(backend.broker(name) for name in wanted)

    def _honour(self, paused: frozenset[str]) -> None:
        """Have the fetcher leave paused queues alone. What it waits for on them now is called off."""
        fetcher = self._worker.fetcher
        if fetcher.paused != paused:
            fetcher.paused = paused
            self._wakes = 2  # the first may come just before it begins to wait
        if self._wakes:
            self._wakes -= 1
            fetcher.wake()

    def _write_types(self) -> None:
        """Say which task types live here, on each queue, and that the queues exist."""
        types = list(self._worker.app.registry)
        wanted = self._worker.queues_now()
        expiry = int(time.time() * 1000 + self._worker.lease.clock_ahead_ms) + _TYPES_LIVE_MS
        scored = [word for task_type in types for word in (expiry, task_type)]
        backend = self._worker.app.backend
        commands: list[tuple[str | int, ...]] = [("SADD", backend.names.queues, *wanted)]
        for name in wanted if scored else ():
            key = backend.names.queue(name).types
            commands.append(("ZADD", key, "GT", *scored))
            commands.append(("ZREMRANGEBYSCORE", key, "-inf", expiry - 10 * _TYPES_LIVE_MS))
        self._link.commands(commands)
        self._types_written = time.monotonic()

    def type_lives(self, keys: QueueKeys, task_type: str) -> bool:
        """Say whether a live worker process of a queue knows a task type. True when nobody can be asked."""
        try:
            [score] = self._worker.app.backend.server.shared.commands([("ZSCORE", keys.types, task_type)])
        except Unreachable:
            return True
        now_ms = time.time() * 1000 + self._worker.lease.clock_ahead_ms
        return isinstance(score, bytes) and float(score) > now_ms
