"""Prometheus metrics: what is counted, how a worker process counts it cheaply, and how several processes answer as one.

prometheus-client decides at its import whether processes share their figures through files, so this module imports it
only when the first figure is needed: call `prepare_multiprocess()` before that.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import RedisError

from buraq.connection import Unreachable
from buraq.inspector import Inspector

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector

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

MOST_TASK_TYPES = 500  # each is a dozen series, for ever; beyond it they count as "other"
OTHER, UNKNOWN = "other", "unknown"

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


# --- Several processes behind one port ----------------------------------------------------------


def prepare_multiprocess() -> str:
    """Have all processes that are forked from this one share their figures; return the folder that they share.

    Call it once, in the parent, before user code is imported. Uses PROMETHEUS_MULTIPROC_DIR when it is set, and forgets
    what processes left there that no longer live; else makes a folder that goes away with this process. Raises
    RuntimeError when prometheus_client was imported before: its figures would stay apart.
    """
    given = os.environ.get(FOLDER)
    if "prometheus_client" in sys.modules and not given:
        raise RuntimeError(
            f"prometheus_client was imported before prepare_multiprocess(): set {FOLDER} to an empty folder, "
            "or import what needs it later"
        )
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        _forget_the_dead(Path(given))
        return given
    folder = tempfile.mkdtemp(prefix="buraq-metrics-")
    os.environ[FOLDER] = folder
    owner = os.getpid()

    def remove() -> None:
        # Forked children inherit this function, and the folder is still their parent's.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _forget_the_dead(folder: Path) -> None:
    """Remove the files of earlier runs: their counters would never start at 0 again."""
    for path in folder.glob("*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdecimal() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that ended. Its counters stay: they happened. For gunicorn's `child_exit`."""
    if os.environ.get(FOLDER):
        from prometheus_client.multiprocess import mark_process_dead

        with contextlib.suppress(FileNotFoundError):
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


# --- What is counted ----------------------------------------------------------------------------


class _Series:
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

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        from prometheus_client import Counter

        return Counter(f"buraq_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: Iterable[str]) -> Histogram:
        from prometheus_client import Histogram

        return Histogram(f"buraq_{name}", text, labels, registry=self.registry, buckets=BUCKETS)

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
    def hub_blocked(self) -> Gauge:
        return self._gauge("hub_blocked_seconds", "How long one greenlet has let no other run.", "livemax")

    @cached_property
    def redis_up(self) -> Gauge:
        return self._gauge("redis_up", "Whether every process here reaches the server.", "livemin")


@cache
def _series() -> _Series:
    return _Series()


_labels: set[str] = set()


def _label(task_type: str) -> str:
    """Return the label value of a task type; the first MOST_TASK_TYPES have their own."""
    if task_type in _labels:
        return task_type
    if len(_labels) >= MOST_TASK_TYPES:
        return OTHER
    _labels.add(task_type)
    return task_type


def count_enqueued(task_type: str, n: int) -> None:
    """Count tasks that were accepted, at once. For `Buraq.on_enqueued` outside a worker; any thread may call it."""
    _series().enqueued.labels(_label(task_type)).inc(n)


# --- Counting in a worker process ---------------------------------------------------------------


class _Tally(Protocol):
    def add(self, value: float) -> None: ...

    def pour(self, histogram: Any) -> None: ...


class Buckets:
    """Values counted into BUCKETS, then poured into a histogram in one go: `observe` costs four times as much."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.total += value

    def pour(self, histogram: Any) -> None:
        for place, count in enumerate(self.counts):
            if count:
                histogram._buckets[place].inc(count)
        histogram._sum.inc(self.total)

    @staticmethod
    def fit(histogram: Any) -> bool:
        """Whether the histogram is made as `pour` expects: it reaches into what prometheus-client keeps private."""
        buckets = getattr(histogram, "_buckets", None)
        parts = [*buckets, getattr(histogram, "_sum", None)] if isinstance(buckets, list) else []
        return len(parts) == len(BUCKETS) + 2 and all(hasattr(part, "inc") for part in parts)


class Values:
    """Values kept as they are and observed one by one, for a prometheus-client that `Buckets` does not fit."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, value: float) -> None:
        self.values.append(value)

    def pour(self, histogram: Any) -> None:
        for value in self.values:
            histogram.observe(value)


class _Row:
    """What was counted of one task type since the last flush."""

    __slots__ = ("dead", "duration", "enqueued", "error", "retried", "success", "wait")

    def __init__(self, tally: Callable[[], _Tally]) -> None:
        self.success = self.error = self.dead = self.retried = self.enqueued = 0
        self.duration = tally()
        self.wait = tally()


class TaskMetrics:
    """What one worker process counts: kept here, and handed to prometheus-client by `flush`, once a batch.

    `known` holds the task types that are registered; others count as "unknown", for whoever can enqueue can invent
    names. For one thread, or the greenlets of one. What is rare, and all gauges, take effect at once.
    """

    def __init__(self, known: Container[str] | None = None) -> None:
        self._series = _series()
        self._known = known
        self._rows: dict[str, _Row] = {}
        self._duplicates = 0
        fits = Buckets.fit(self._series.duration.labels(UNKNOWN))
        self._series.duration.remove(UNKNOWN)
        self._tally: Callable[[], _Tally] = Buckets if fits else Values

    def _row(self, task_type: str) -> _Row:
        row = self._rows.get(task_type)
        if row is None:
            row = self._rows[task_type] = _Row(self._tally)
        return row

    def completed(self, task_type: str, duration_s: float, wait_s: float | None = None) -> None:
        """Count an attempt that returned. `wait_s` is None where it says nothing, as after a reclaim."""
        row = self._rows.get(task_type) or self._row(task_type)
        row.success += 1
        row.duration.add(duration_s)
        if wait_s is not None:
            row.wait.add(wait_s if wait_s > 0 else 0.0)

    def failed(self, task_type: str, duration_s: float, wait_s: float | None = None) -> None:
        """Count an attempt that failed."""
        row = self._row(task_type)
        row.error += 1
        row.duration.add(duration_s)
        if wait_s is not None:
            row.wait.add(wait_s if wait_s > 0 else 0.0)

    def retried(self, task_type: str) -> None:
        """Count an attempt that will be made again."""
        self._row(task_type).retried += 1

    def dead(self, task_type: str) -> None:
        """Count a task that went to the dead letters."""
        self._row(task_type).dead += 1

    def enqueued(self, task_type: str, n: int = 1) -> None:
        """Count tasks that a task enqueued. Its names are the program's own, registered here or not."""
        self._row(task_type).enqueued += n

    def duplicate(self) -> None:
        """Count a task that an idempotency key stopped."""
        self._duplicates += 1

    def reclaimed(self, n: int) -> None:
        """Count tasks taken over from a dead process."""
        self._series.reclaimed.inc(n)

    def lost(self, n: int) -> None:
        """Count outcomes that came too late."""
        self._series.lost.inc(n)

    def panic(self) -> None:
        """Count something that broke outside task code."""
        self._series.panics.inc()

    def slots(self, busy: int, total: int) -> None:
        """Show how many slots of this process run a task."""
        self._series.slots.labels("busy").set(busy)
        self._series.slots.labels("free").set(total - busy)

    def channel_depth(self, n: int) -> None:
        """Show how many tasks are fetched and not yet started."""
        self._series.channel_depth.set(n)

    def hub_blocked(self, seconds: float) -> None:
        """Show how long the hub of this process has not run."""
        self._series.hub_blocked.set(seconds)

    def redis_up(self, up: bool) -> None:
        """Show whether this process reaches the server."""
        self._series.redis_up.set(1 if up else 0)

    def flush(self) -> None:
        """Hand over what was counted since the last flush."""
        rows, self._rows = self._rows, {}
        for task_type, row in rows.items():
            self._pour(task_type, row)
        if self._duplicates:
            duplicates, self._duplicates = self._duplicates, 0
            self._series.duplicates.inc(duplicates)

    def _pour(self, task_type: str, row: _Row) -> None:
        series = self._series
        known = self._known is None or task_type in self._known
        label = _label(task_type) if known else UNKNOWN
        if row.success:
            series.processed.labels(label, "success").inc(row.success)
        if row.error:
            series.processed.labels(label, "error").inc(row.error)
            series.failed.labels(label).inc(row.error)
        if row.success or row.error:
            row.duration.pour(series.duration.labels(label))
            row.wait.pour(series.wait.labels(label))
        if row.retried:
            series.retried.labels(label).inc(row.retried)
        if row.dead:
            series.dead.labels(label).inc(row.dead)
        if row.enqueued:
            series.enqueued.labels(_label(task_type)).inc(row.enqueued)


# --- What the server holds ----------------------------------------------------------------------


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


# --- Answering ----------------------------------------------------------------------------------


class _Ours:
    """Our metrics out of a collector's, which may hold those of the program around us, without what is in `taken`."""

    def __init__(self, source: Any, taken: Container[str]) -> None:
        self._source = source
        self._taken = taken

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            if name in NAMES and name not in self._taken:
                # When a series began is of no use to anybody, and doubles their number.
                metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
                yield metric


class _Found:
    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def render(extra_collectors: Iterable[Collector | QueueCollector] = ()) -> tuple[bytes, str]:
    """Return the metrics as Prometheus reads them, and their content type.

    Adds up all processes that share a folder, see `prepare_multiprocess`. What `extra_collectors` yield wins over a
    metric of the same name.
    """
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.multiprocess import MultiProcessCollector

    own: Any = _series().registry  # made first: a process that has counted nothing still shows its zeros
    extra = [metric for collector in extra_collectors for metric in collector.collect()]
    folder = os.environ.get(FOLDER)
    if folder and Path(folder).is_dir():
        own = MultiProcessCollector(None, folder)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    registry.register(_Ours(own, {metric.name for metric in extra}))
    if extra:
        registry.register(_Found(extra))
    return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
