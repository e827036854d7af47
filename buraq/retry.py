"""When a failed task runs again: pure functions, their randomness passed in."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta


def seconds(duration: float | timedelta) -> float:
    """Return a public duration, seconds or a timedelta, as seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter. `base` and `cap` are seconds.

    After failed attempt n the task waits between 0 and min(cap, base * 2**(n-1)). The jitter keeps a thousand tasks
    that failed together from coming back together.
    """

    base: float = 1.0
    cap: float = 600.0

    def delay(self, attempt: int, rand: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait after failed attempt `attempt`; the first attempt is 1."""
        ceiling = min(self.cap, self.base * 2.0 ** min(attempt - 1, 60))
        return ceiling * rand()


@dataclass(frozen=True, slots=True)
class Policy:
    """Which failures are worth another attempt, and how long until then."""

    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    dont_retry_on: tuple[type[BaseException], ...] = ()
    backoff: Backoff | Callable[[int], float] = Backoff()

    def retries(self, error: BaseException) -> bool:
        """Say whether `error` is one that another attempt may cure."""
        return isinstance(error, self.retry_on) and not isinstance(error, self.dont_retry_on)

    def delay(self, attempt: int, rand: Callable[[], float] = random.random) -> float:
        """Return the seconds to wait after failed attempt `attempt`."""
        if isinstance(self.backoff, Backoff):
            return self.backoff.delay(attempt, rand)
        return max(0.0, float(self.backoff(attempt)))
