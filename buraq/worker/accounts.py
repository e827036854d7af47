"""Counts and logs what the server confirmed of the outcomes of this process."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Container

from buraq.metrics import UNKNOWN, TaskMetrics
from buraq.task import Completed, Dead, Delivery, Duplicate, Retried

log = logging.getLogger(__name__)


class Accounts:
    """Keeps the metrics of tasks. A commit of somebody else's is not ours to count."""

    def __init__(self, metrics: TaskMetrics, registry: Container[str], done: dict[str, int] | None = None) -> None:
        """`done` is added to: what was completed, retried and buried."""
        self._metrics = metrics
        self._registry = registry
        self._done = done if done is not None else {"completed": 0, "retried": 0, "dead": 0}

    def confirmed(self, batch: list[Delivery], gone: frozenset[int], sure: bool) -> None:
        """Count outcomes of one kind, save those at the positions `gone`, which are dropped.

        `sure` says whether what is gone is known to be somebody else's.
        """
        for position in gone:
            self._dropped(batch[position], sure)
        if gone:
            batch = [delivery for position, delivery in enumerate(batch) if position not in gone]
        if batch and isinstance(batch[0].outcome, Completed):
            self._done["completed"] += len(batch)
            self._completed(batch)
            return
        for delivery in batch:
            outcome = delivery.outcome
            if isinstance(outcome, Duplicate):
                self._metrics.duplicate()
            elif isinstance(outcome, Dead) or (isinstance(outcome, Retried) and outcome.charged):
                self._failed(delivery, outcome)

    def _completed(self, batch: list[Delivery]) -> None:
        """Count tasks that completed, those of one type together: each call and each number read costs every task."""
        by_type: defaultdict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
        for delivery in batch:
            durations, waits = by_type[delivery.task.type]  # type: ignore[union-attr]  # it ran, so it was read
            durations.append(delivery.took)
            waits.append(delivery.waited)
        for task_type, (durations, waits) in by_type.items():
            self._metrics.completed_all(self._known(task_type), durations, waits)

    def _failed(self, delivery: Delivery, outcome: Dead | Retried) -> None:
        task_type = self._known(delivery.task.type) if delivery.task is not None else UNKNOWN
        if delivery.started:
            self._metrics.failed(task_type, delivery.took, delivery.waited)
        if isinstance(outcome, Dead):
            self._done["dead"] += 1
            self._metrics.dead(task_type)
            _log_dead(delivery, outcome)
        else:
            self._done["retried"] += 1
            self._metrics.retried(task_type)

    def _known(self, task_type: str) -> str:
        return task_type if task_type in self._registry else UNKNOWN

    def _dropped(self, delivery: Delivery, sure: bool) -> None:
        """Note an outcome that came too late, or of which nobody knows whether it did."""
        log.warning(
            "outcome dropped: the delivery was no longer ours" if sure else "outcome unknown",
            extra={
                "entry": delivery.entry.decode(),
                "stream": delivery.key[0],
                "outcome": type(delivery.outcome).__name__,
            },
        )
        if sure:
            self._metrics.lost(1)


def _log_dead(delivery: Delivery, outcome: Dead) -> None:
    facts: dict[str, object] = {"reason": outcome.reason, "error": outcome.error, "queue": delivery.queue.name}
    if delivery.task is not None:
        facts |= {"task_id": delivery.task.id, "task_type": delivery.task.type, "attempt": delivery.task.attempt}
    log.error("task buried", extra=facts)
