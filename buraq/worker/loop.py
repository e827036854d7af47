"""What all loops of a worker process have in common: a step, a wait, and what happens when Redis is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.connection import Unreachable
from buraq.log import RateLimited

log = logging.getLogger(__name__)
troubles = RateLimited(log)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Loop:
    """Runs `step` again and again. A subclass writes `step`; tests call it.

    Losing Redis is logged and survived: the loop pauses, longer each time up to a second, and carries on. Anything
    else that `step` raises ends the loop, and whoever supervises it ends the process: a dead loop must not hide
    behind a green health answer.
    """

    name = "loop"
    interval = 0.0  # seconds between two steps; a loop without one waits in its step

    def __init__(self) -> None:
        self.beat = time.monotonic()  # when the last step began or ended
        self.on_beat: Callable[[str, float], None] | None = None
        self._stopping = Event()
        self._pause = FIRST_PAUSE

    def step(self) -> None:
        """Do one piece of work."""
        raise NotImplementedError

    def run(self) -> None:
        """Step until stopped."""
        while not self._stopping.is_set():
            self.tick()
            self.attempt()
            if self.interval:
                self._stopping.wait(self.interval)

    def attempt(self) -> bool:
        """Do one step; when Redis is away, say so, pause and return False."""
        try:
            self.step()
        except Unreachable as error:
            self.trouble(error)
        except ResponseError as error:
            # A script that is refused (no permission, wrong type, no memory) may pass when somebody has put it right.
            self.trouble(error)
        else:
            self._pause = FIRST_PAUSE
            return True
        return False

    def trouble(self, error: Exception) -> None:
        """Log that Redis is away or refuses, and pause."""
        troubles.warning("redis trouble", key=self.name, extra={"loop": self.name, "error": str(error)})
        self._stopping.wait(self._pause)
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def tick(self) -> None:
        """Note that the loop is alive."""
        self.beat = time.monotonic()
        if self.on_beat is not None:
            self.on_beat(self.name, self.beat)

    def stop(self) -> None:
        """End `run` before its next step, waking it if it waits."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()
