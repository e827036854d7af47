"""Moves due tasks to their streams, at most a tenth of a second late."""

from __future__ import annotations

from collections.abc import Callable

from buraq.broker import PROMOTE_BATCH, Broker
from buraq.connection import SharedLink
from buraq.worker.loop import Loop

_LATE = 0.1  # seconds; somebody may schedule a task that is due sooner than what we know of


class Promoter(Loop):
    """Promotes on all queues; every worker process does, and the scripts keep them apart."""

    name = "promote"
    interval = _LATE

    def __init__(self, link: SharedLink, brokers: Callable[[], tuple[Broker, ...]]) -> None:
        super().__init__()
        self._link = link
        self._brokers = brokers
        self.rounds = 0  # how often all queues were looked at

    def step(self) -> None:
        """Promote what is due; again at once where a batch was full."""
        soonest = int(_LATE * 1000)
        for broker in self._brokers():
            moved, next_ms = self._link.call(broker.promote())
            if moved >= PROMOTE_BATCH:
                soonest = 0
            elif next_ms >= 0:
                soonest = min(soonest, next_ms)
        self.interval = soonest / 1000
        self.rounds += 1
