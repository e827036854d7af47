"""The gauges of what all processes share: read from the server when Prometheus asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from redis.exceptions import RedisError, ResponseError

from buraq.connection import Unreachable
from buraq.inspector import Broken, Inspector, say_broken
from buraq.log import RateLimited

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_rare = RateLimited(logging.getLogger(__name__))


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

        up = Family("buraq_redis_up", "Whether the server answers.")
        try:
            if self._up is not None and not self._up():
                raise RedisError("the server does not answer")
            found = self._figures()
            up.add_metric([], 1)
            return [*found, up]
        except ResponseError as error:  # it answers, if only to refuse: it is up, and nothing is known of the queues
            _rare.warning("redis refused", extra={"error": str(error)})
            up.add_metric([], 1)
        except (RedisError, *Unreachable):
            up.add_metric([], 0)
        return [up]

    def _figures(self) -> list[Metric]:
        from prometheus_client.metrics_core import GaugeMetricFamily as Family

        tasks = Family("buraq_queue_tasks", "Tasks of a queue, by where they are.", labels=["queue", "state"])
        age = Family("buraq_queue_oldest_task_age_seconds", "Age of what waits longest in a queue.", labels=["queue"])
        workers = Family("buraq_workers", "Worker processes whose lease holds.")
        broken: Broken = {}
        for queue in self._inspector.queues(broken):
            counts = self._inspector.counts(queue, broken)
            unread = set(broken.get(queue, {}).values())  # left out: a 0 would say that there are none
            for state in ("waiting", "running", "scheduled", "dead"):
                if ("waiting" if state == "running" else state) not in unread:
                    tasks.add_metric([queue, state], getattr(counts, state))
            if "waiting" not in unread:
                age.add_metric([queue], counts.oldest)
        alive = [one for one in self._inspector.workers(broken) if one.status != "lost"]
        workers.add_metric([], len(alive))
        say_broken(broken)
        return [tasks, age, workers]
