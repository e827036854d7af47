"""Keeps a worker process up to date: which queues exist, which task types live, what its figures are."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from redis.exceptions import ResponseError

from buraq.connection import Unreachable
from buraq.keys import QueueKeys
from buraq.replies import checked
from buraq.worker.loop import Loop

if TYPE_CHECKING:
    from buraq.worker.lane import Lane
    from buraq.worker.worker import Worker

_TYPES_EVERY = 5.0
_TYPES_LIVE_MS = 20_000  # without renewal a task type is no longer known to live


class Control(Loop):
    """Once a second: flush the metrics, look for new queues, say which task types this process knows."""

    name = "control"
    interval = 0.25

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self.seen: set[str] = set()  # queues that exist on the server
        self.looked = False  # whether that is known yet
        self._worker = worker
        self._types_written = 0.0

    def step(self) -> None:
        """Do what is due."""
        worker = self._worker
        worker.guard.reports.log()
        if any(lane.lease.stopped for lane in worker.lanes):  # nobody else looks after it
            raise RuntimeError("the lease thread ended by itself")
        metrics = worker.metrics
        metrics.slots(worker.slots.busy, worker.slots.concurrency)
        metrics.channel_depth(worker.slots.waiting)
        for task_type, seconds in worker.guard.blocks():
            metrics.hub_blocked(task_type, seconds)
        metrics.redis_up(worker.standing.reachable)
        metrics.flush()
        worker.slots.put_off_held()
        if worker.children is not None:
            worker.children.tend()
        for lane in worker.lanes:
            if lane.fetcher.brokers != lane.lease.covered:
                lane.fetcher.wake()  # it waits for work on the queues that it knows
        try:
            self._look_for_queues()
        finally:  # where a part of a cluster is away, the rest is to know
            if time.monotonic() - self._types_written > _TYPES_EVERY:
                self._write_types()

    def _each_shard(self, do: Callable[[Lane], None]) -> None:
        """Do something at each shard; one that is away must not keep the others from it. Raises its error at last."""
        self.each(self._worker.lanes, do, (*Unreachable, ResponseError))

    def _look_for_queues(self) -> None:
        seen: set[str] = set()
        answered: list[Lane] = []

        def look(lane: Lane) -> None:
            keys = lane.shard.names
            names, paused = lane.controlling.commands([("SMEMBERS", keys.queues), ("HKEYS", keys.paused)])
            if isinstance(paused, list):  # else what was known holds: a busy server resumes no queue
                lane.honour(frozenset(name.decode(errors="replace") for name in paused))
            if isinstance(names, list | set):
                seen.update(name.decode(errors="replace") for name in names)
                answered.append(lane)
            for reply in (names, paused):
                checked(reply)  # what was refused is said

        try:
            self._each_shard(look)
        finally:
            self.looked = self.looked or len(answered) == len(self._worker.lanes)
            # What is known stays known: a queue is not given up because a shard is away.
            self._cover(seen if len(answered) == len(self._worker.lanes) else seen | self.seen)

    def _cover(self, seen: set[str]) -> None:
        """Hold leases on the queues that exist."""
        self.seen = seen
        wanted = self._worker.queues_now()
        self._worker.facts.queues = ",".join(wanted)
        for lane in self._worker.lanes:
            if [broker.keys.name for broker in lane.lease.brokers] != wanted:
                lane.lease.brokers = tuple(lane.shard.broker(name) for name in wanted)

    def _write_types(self) -> None:
        """Say which task types live here, on each queue, and that the queues exist."""
        types = list(self._worker.app.registry)
        wanted = self._worker.queues_now()

        def write(lane: Lane) -> None:
            expiry = int(time.time() * 1000 + lane.lease.clock_ahead_ms) + _TYPES_LIVE_MS
            scored = [word for task_type in types for word in (expiry, task_type)]
            names = lane.shard.names
            commands: list[tuple[str | int, ...]] = [("SADD", names.queues, *wanted)]
            for name in wanted if scored else ():
                key = names.queue(name).types
                commands.append(("ZADD", key, "GT", *scored))
                commands.append(("ZREMRANGEBYSCORE", key, "-inf", expiry - 10 * _TYPES_LIVE_MS))
            lane.controlling.commands(commands)

        self._each_shard(write)
        self._types_written = time.monotonic()

    def type_lives(self, keys: QueueKeys, task_type: str) -> bool:
        """Say whether a live worker process of a queue knows a task type. True when nobody can be asked."""
        lane = self._worker.lanes[keys.shard]
        try:
            [reply] = lane.shard.server.shared.commands([("ZSCORE", keys.types, task_type)])
            score = checked(reply)
        except (*Unreachable, ResponseError):
            return True
        now_ms = time.time() * 1000 + lane.lease.clock_ahead_ms
        return isinstance(score, bytes) and float(score) > now_ms
