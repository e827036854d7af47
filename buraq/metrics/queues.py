"""The gauges of what all processes share: read from the server when Prometheus asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from buraq.connection import Unreachable
from buraq.inspector import Inspector

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class QueueCollector:
    """The gauges of what all processes share, read from the server. For the API alone, or they would count twice.

    `up` may tell beforehand, and sooner than a connection that hangs, that the server is away.
    """

    def __init__(self, inspector: Inspector, up: Callable[[], bool] | None = None, seconds: float = 1.0) -> None:
        self._inspector = inspector
        self._up = up
        self._seconds = seconds
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._found: list[Metric] = []

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges, at most a second old. `buraq_redis_up` is always there."""
        with self._lock:
            if time.monotonic() - self._read_at >= self._seconds:
                self._found = self._read()
                self._read_at = time.monotonic()
            found = self._found
        yield from found

    def _read(self) -> list[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Family

        tasks = Family("buraq_queue_tasks", "Tasks of a queue, by where they are.", labels=["queue", "state"])
        age = Family("buraq_queue_oldest_task_age_seconds", "Age of what waits longest in a queue.", labels=["queue"])
        workers = Family("buraq_workers", "Worker processes whose lease holds.")
        up = Family("buraq_redis_up", "Whether the server answers.")
        try:
            if self._up is not None and not self._up():
                raise RedisError("the server does not answer")
            for queue in self._inspector.queues():
                counts = self._inspector.counts(queue)
                for state in ("waiting", "running", "scheduled", "dead"):
                    tasks.add_metric([queue, state], getattr(counts, state))
                age.add_metric([queue], counts.oldest)
            alive = [one for one in self._inspector.workers() if one.status != "lost"]
            workers.add_metric([], len(alive))
        except (RedisError, *Unreachable):
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        return [tasks, age, workers, up]
