"""Moves due tasks to their streams, at most a tenth of a second late."""

from __future__ import annotations

from collections.abc import Callable

from redis.exceptions import ResponseError

from buraq.broker import PROMOTE_BATCH, Broker
from buraq.connection import SharedLink
from buraq.worker.loop import Loop

_LATE = 0.1  # seconds; somebody may schedule a task that is due sooner than what we know of


class Promoter(Loop):
    """Promotes on all queues; every worker process does, and the scripts keep them apart."""

    name = "promote"
    interval = _LATE

    def __init__(
        self,
        link: SharedLink,
        brokers: Callable[[], tuple[Broker, ...]],
        promoted: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._link = link
        self._brokers = brokers
        self._promoted = promoted
        self.brokers: tuple[Broker, ...] = ()  # the queues that were looked at last
        self.quiet_rounds = 0  # looks in a row at all of them that found nothing due

    def step(self) -> None:
        """Promote what is due; again at once where a batch was full."""
        soonest = int(_LATE * 1000)
        brokers = self._brokers()
        if brokers != self.brokers:
            self.brokers, self.quiet_rounds = brokers, 0
        found = 0
        refused: ResponseError | None = None
        for broker in brokers:
            self.tick()
            try:
                moved, next_ms = self._link.call(broker.promote())
            except ResponseError as error:  # a key of one queue: what is due on the others must not wait for that
                refused = error
                continue
            found += moved
            if moved >= PROMOTE_BATCH:
                soonest = 0
            elif next_ms >= 0:
                soonest = min(soonest, next_ms)
        self.interval = soonest / 1000
        self.quiet_rounds = 0 if found or refused else self.quiet_rounds + 1
        if found:
            self._promoted()
        if refused is not None:
            raise refused
