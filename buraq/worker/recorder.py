"""Says what is kept of runs that have ended: what they add to the statistics, to the task and to its history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from buraq import attempts
from buraq.records import COMPLETED_A_SECOND, write
from buraq.statistics import RUN, UNKEPT, WAIT, tally
from buraq.task import Completed, Dead, Delivery, Retried


class Recorder:
    """Prepares deliveries that have ended for their settling. For one thread, or the greenlets of one."""

    def __init__(
        self,
        worker: str,
        history: int,
        clock_ahead_ms: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        completed_a_second: int = COMPLETED_A_SECOND,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`history` is how many records are kept, 0 for none; `clock_ahead_ms` how far the server's clock is ahead of
        `wall`. Of completed tasks at most `completed_a_second` are kept.
        """
        self._worker = worker
        self._history = history
        self._clock_ahead_ms = clock_ahead_ms
        self._clock = clock
        self._wall = wall
        self._second = 0.0  # when the present second began
        self._most = self._left = completed_a_second  # completed tasks that may be kept in it

    @property
    def _ahead(self) -> float:
        """Seconds from our monotonic clock to the server's time. Never the same for long: a machine that sleeps, or
        whose time is put right, has its wall clock jump, and not the other.
        """
        return self._wall() - time.monotonic() + self._clock_ahead_ms() / 1000

    def prepare(self, batch: Sequence[Delivery]) -> str:
        """Write down what is kept of deliveries that ended alike. Returns what they add to the statistics."""
        outcome = batch[0].outcome
        if isinstance(outcome, Completed):
            return self._completed(batch)
        charged = isinstance(outcome, Dead) or (isinstance(outcome, Retried) and outcome.charged)
        if not charged and not isinstance(outcome, Retried):
            return ""
        ran = [delivery for delivery in batch if delivery.started]
        self._measure(ran)
        for delivery in batch:
            if delivery.record is not None:  # it was refused, and comes for the second time
                continue
            if delivery.started:
                self._add_attempt(delivery, "failed" if charged else "snoozed")
            keep = charged and self._history and delivery.task is not None
            delivery.record = self._record(delivery) if keep else ""
        return self._sums(ran) if charged else ""

    def _completed(self, batch: Sequence[Delivery]) -> str:
        """Do as `prepare` for tasks that returned. What is done for each of them costs every task."""
        self._measure(batch)
        if not self._history:
            return self._sums(batch)
        now = self._clock()
        if now - self._second >= 1.0:
            self._second, self._left = now, self._most
        kept = batch[: self._left]
        self._left -= len(kept)
        for delivery in kept:
            if delivery.record is not None:
                continue
            self._add_attempt(delivery, "completed")
            delivery.record = self._record(delivery)
        unkept = f" {UNKEPT}={len(batch) - len(kept)}" if len(kept) < len(batch) else ""
        return self._sums(batch) + unkept

    def _measure(self, batch: Sequence[Delivery]) -> None:
        """Note how long each has waited."""
        ahead = self._ahead
        moment, added = b"", 0.0
        for delivery in batch:
            if delivery.entry[:14] != moment:  # many were added in the same millisecond
                moment, added = delivery.entry[:14], delivery.added_ms / 1000 - ahead
            delivery.waited = delivery.started - added

    @staticmethod
    def _sums(batch: Sequence[Delivery]) -> str:
        runs = tally([delivery.took for delivery in batch], RUN)
        return " ".join(runs + tally([delivery.waited for delivery in batch], WAIT))

    def _add_attempt(self, delivery: Delivery, outcome: str) -> None:
        ended, task = delivery.outcome, delivery.task
        delivery.attempts = attempts.add(
            delivery.attempts,
            outcome,
            task.attempt if task is not None else 1,
            f"{self._worker}-{delivery.slot}",
            int((delivery.started + self._ahead) * 1000),
            round(delivery.took * 1000),
            ended.error if isinstance(ended, Retried | Dead) else "",
        )

    def _record(self, delivery: Delivery) -> str:
        outcome = delivery.outcome
        more: dict[str, Any] = {}
        if delivery.started:
            more["waited_ms"] = max(0, round(delivery.waited * 1000))
            more["duration_ms"] = round(delivery.took * 1000)
        if isinstance(outcome, Retried | Dead):
            more |= {"error": outcome.error, "traceback": outcome.traceback}
        if isinstance(outcome, Dead):
            more["reason"] = outcome.reason
        assert delivery.task is not None
        worker = self._worker if delivery.started else ""
        return write(delivery.raw or b"", delivery.task, worker, delivery.deaths, delivery.attempts, **more)
