"""The metrics themselves: names, types, labels, and the one set of them that this process has."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

NAMES: tuple[str, ...] = (
    "buraq_tasks_processed_total",
    "buraq_tasks_failed_total",
    "buraq_tasks_dlq_total",
    "buraq_task_duration_seconds",
    "buraq_worker_panics_total",
    "buraq_channel_depth",
    "buraq_tasks_duplicate_total",
    "buraq_tasks_enqueued_total",
    "buraq_tasks_retried_total",
    "buraq_tasks_reclaimed_total",
    "buraq_tasks_lost_total",
    "buraq_task_wait_seconds",
    "buraq_queue_tasks",
    "buraq_queue_oldest_task_age_seconds",
    "buraq_workers",
    "buraq_worker_slots",
    "buraq_hub_blocked_seconds",
    "buraq_redis_up",
)

# Tasks here wait for others: an hour is a long one, not an impossible one.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)

# From what counts as blocked up to where MAX_BLOCKED may be set.
BLOCKED_BUCKETS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

MOST_TASK_TYPES = 500  # each is a dozen series, for ever; beyond it they count as "other"
OTHER, UNKNOWN = "other", "unknown"
NO_TASK = "none"  # in the place of a task type: what is counted was no task's doing


class Series:
    """The metrics of this process. Gauges come into being when they are first set: an API has no slots to show."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry

        # One of our own: a program that has us in it shows its own metrics elsewhere, without ours.
        self.registry: CollectorRegistry = CollectorRegistry()
        by_type = ["task_type"]
        self.processed = self._counter("tasks_processed", "Attempts that ended.", [*by_type, "status"])
        self.failed = self._counter("tasks_failed", "Attempts that failed.", by_type)
        self.dead = self._counter("tasks_dlq", "Tasks that went to the dead letters.", by_type)
        self.duration = self._histogram("task_duration_seconds", "How long attempts ran.", by_type)
        self.panics = self._counter("worker_panics", "What broke outside task code: a slot, a loop, a process.")
        self.duplicates = self._counter("tasks_duplicate", "Tasks that an idempotency key stopped.")
        self.enqueued = self._counter("tasks_enqueued", "Tasks that the server accepted.", by_type)
        self.retried = self._counter("tasks_retried", "Attempts that are made again.", by_type)
        self.reclaimed = self._counter("tasks_reclaimed", "Tasks taken over from a dead process.")
        self.lost = self._counter("tasks_lost", "Outcomes dropped because the task had been taken over.")
        self.wait = self._histogram("task_wait_seconds", "How long tasks waited before an attempt started.", by_type)
        self.hub_blocked = self._histogram(
            "hub_blocked_seconds", "How long a task let no other run, each time.", by_type, BLOCKED_BUCKETS
        )

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        from prometheus_client import Counter

        return Counter(f"buraq_{name}", text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, labels: Iterable[str], buckets: tuple[float, ...] = BUCKETS
    ) -> Histogram:
        from prometheus_client import Histogram

        return Histogram(f"buraq_{name}", text, labels, registry=self.registry, buckets=buckets)

    def _gauge(self, name: str, text: str, mode: Any, labels: Iterable[str] = ()) -> Gauge:
        from prometheus_client import Gauge

        return Gauge(f"buraq_{name}", text, labels, registry=self.registry, multiprocess_mode=mode)

    @cached_property
    def slots(self) -> Gauge:
        return self._gauge("worker_slots", "Slots of the worker processes here, busy and free.", "livesum", ["state"])

    @cached_property
    def channel_depth(self) -> Gauge:
        return self._gauge("channel_depth", "Tasks that are fetched and not yet started.", "livesum")

    @cached_property
    def redis_up(self) -> Gauge:
        return self._gauge("redis_up", "Whether every process here reaches the server.", "livemin")


@cache
def series() -> Series:
    return Series()


labels_taken: set[str] = set()


def label_of(task_type: str) -> str:
    """Return the label value of a task type; the first MOST_TASK_TYPES have their own."""
    if task_type in labels_taken:
        return task_type
    if len(labels_taken) >= MOST_TASK_TYPES:
        return OTHER
    labels_taken.add(task_type)
    return task_type


def count_enqueued(task_type: str, n: int) -> None:
    """Count tasks that were accepted, at once. For `Buraq.on_enqueued` outside a worker; any thread may call it."""
    series().enqueued.labels(label_of(task_type)).inc(n)
