"""When a burst ends: when all that there was is worked off, or when all that is left is refused by the server."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from buraq.inspector import REMEDY

if TYPE_CHECKING:
    from buraq.worker.worker import Worker

log = logging.getLogger(__name__)


class Burst:
    """Looks at a worker again and again, and says when its burst is over."""

    def __init__(self, worker: Worker, patience: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`patience` is for how many seconds nothing but refusals may happen before it gives up."""
        self.gave_up = False
        self._worker = worker
        self._patience = patience
        self._clock = clock
        self._moved = clock()
        self._worked = 0

    def over(self) -> bool:
        """Whether the burst is over: done, or given up."""
        worker = self._worker
        if not worker.burst or worker.done:
            self.gave_up = worker.burst and bool(self._left_out)
            return worker.done
        # Redis being away is no refusal: it comes back, and then there is work to do.
        if worker.slots.load or worker.worked != self._worked or not self._refusals():
            self._moved, self._worked = self._clock(), worker.worked
            return False
        self.gave_up = self._clock() - self._moved >= self._patience
        return self.gave_up

    @property
    def _left_out(self) -> set[str]:
        """The queues that the worker does without, because something else has overwritten their leases or a stream."""
        return {name for lane in self._worker.lanes for name in lane.lease.overwritten | lane.fetcher.overwritten}

    def _refusals(self) -> dict[str, object]:
        """Return what the server refuses now, for the log; nothing where it refuses nothing."""
        refusals = [lane.settler.refusals for lane in self._worker.lanes]
        outcomes = sum((one.by_queue for one in refusals), start=Counter[str]())
        keys = {key for one in refusals for key in one.keys}
        errors = {str(loop.refused) for loop in self._worker.loops if loop.refused is not None}
        found = {
            "outcomes": ",".join(f"{queue}:{count}" for queue, count in sorted(outcomes.items())),
            "broken_keys": ",".join(sorted(keys)),
            "error": "; ".join(sorted(errors)),
        }
        return {name: value for name, value in found.items() if value}

    def say(self) -> None:
        """Log what is left because the server refuses it."""
        queues = {"queues": ",".join(sorted(left))} if (left := self._left_out) else {}
        log.error("burst ends without what Redis refuses", extra={**queues, **self._refusals(), "remedy": REMEDY})
