"""Counting in a worker process, cheaply enough to do it for each task."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container
from typing import Any, Protocol

from buraq.metrics.series import BUCKETS, NO_TASK, UNKNOWN, label_of, series


class _Tally(Protocol):
    def add(self, value: float) -> None: ...

    def add_all(self, values: list[float]) -> None: ...

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

    def add_all(self, values: list[float]) -> None:
        """Count values, and sort them: where each bucket ends is asked once, not for each value."""
        values.sort()
        before = 0
        for place, bound in enumerate(BUCKETS):
            end = bisect_right(values, bound, before)
            self.counts[place] += end - before
            before = end
            if end == len(values):
                break
        self.counts[-1] += len(values) - before
        self.total += sum(values)

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

    def add_all(self, values: list[float]) -> None:
        self.values.extend(values)

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
        self._series = series()
        self._known = known
        self._rows: dict[str, _Row] = {}
        self._duplicates = 0
        self._tally: Callable[[], _Tally] | None = None

    def _row(self, task_type: str) -> _Row:
        row = self._rows.get(task_type)
        if row is None:
            if self._tally is None:
                fits = Buckets.fit(self._series.duration.labels(self._name(task_type)))
                self._tally = Buckets if fits else Values
            row = self._rows[task_type] = _Row(self._tally)
        return row

    def _name(self, task_type: str) -> str:
        return label_of(task_type) if self._known is None or task_type in self._known else UNKNOWN

    def completed(self, task_type: str, duration_s: float, wait_s: float | None = None) -> None:
        """Count an attempt that returned. `wait_s` is None where it says nothing, as after a reclaim."""
        row = self._rows.get(task_type) or self._row(task_type)
        row.success += 1
        row.duration.add(duration_s)
        if wait_s is not None:
            row.wait.add(wait_s if wait_s > 0 else 0.0)

    def completed_all(self, task_type: str, durations_s: list[float], waits_s: list[float]) -> None:
        """Count attempts of one type that returned. Both lists are the metrics' own from here on."""
        row = self._rows.get(task_type) or self._row(task_type)
        row.success += len(durations_s)
        row.duration.add_all(durations_s)
        row.wait.add_all(waits_s if min(waits_s) >= 0 else [max(0.0, wait) for wait in waits_s])

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

    def hub_blocked(self, task_type: str, seconds: float) -> None:
        """Count that a task held the hub of this process for so long; `NO_TASK` where it was something else."""
        label = task_type if task_type == NO_TASK else self._name(task_type)
        self._series.hub_blocked.labels(label).observe(seconds)

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
        to = self._series
        label = self._name(task_type)
        if row.success:
            to.processed.labels(label, "success").inc(row.success)
        if row.error:
            to.processed.labels(label, "error").inc(row.error)
            to.failed.labels(label).inc(row.error)
        if row.success or row.error:
            row.duration.pour(to.duration.labels(label))
            row.wait.pour(to.wait.labels(label))
        if row.retried:
            to.retried.labels(label).inc(row.retried)
        if row.dead:
            to.dead.labels(label).inc(row.dead)
        if row.enqueued:
            to.enqueued.labels(label_of(task_type)).inc(row.enqueued)
