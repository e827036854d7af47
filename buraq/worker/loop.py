"""What all loops of a worker process have in common: a step, a wait, and what happens when Redis is away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from gevent.event import Event
from redis.exceptions import ResponseError

from buraq.connection import Unreachable
from buraq.log import RateLimited

log = logging.getLogger(__name__)
troubles = RateLimited(log)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
# Seconds that a step may take beside what it waits by design: a server that hangs holds it for seven (to connect, to
# answer). A loop that stands still is to be seen within ten, a fetch too, which waits for two.
_STEP = 7.5
_PATIENCE = 9.0


class Loop:
    """Runs `step` again and again. A subclass writes `step`; tests call it.

    Losing Redis is logged and survived: the loop pauses, longer each time up to a second, and carries on. Anything
    else that `step` raises ends the loop, and whoever supervises it ends the process: a dead loop must not hide
    behind a green health answer.
    """

    name = "loop"
    interval = 0.0  # seconds between two steps; a loop without one waits in its step
    waits = 0.0  # seconds that a step may wait by design, for work that may not come

    def __init__(self) -> None:
        self.beat = time.monotonic()  # when the last step began, or got on
        self.refused: ResponseError | None = None  # what the server refused in the last step
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
            self.refused = None
            self.trouble(error)
        except ResponseError as error:
            self.refused = error
            # A script that is refused (no permission, wrong type, no memory) may pass when somebody has put it right.
            self.trouble(error)
        else:
            self.refused = None
            self._pause = FIRST_PAUSE
            return True
        return False

    def each(
        self, things: Iterable[T], do: Callable[[T], None], failing: tuple[type[Exception], ...] = (ResponseError,)
    ) -> None:
        """Do something for each queue or shard: where one fails so, the others have their turn. Raises that at last."""
        failed: Exception | None = None
        for thing in things:
            try:
                do(thing)
            except failing as error:
                failed = error
            self.tick()
        if failed is not None:
            raise failed

    def trouble(self, error: Exception) -> None:
        """Log that Redis is away or refuses, and pause."""
        troubles.warning("redis trouble", key=self.name, extra={"loop": self.name, "error": str(error)})
        self.tick()  # it has got on, and the pause is not the server's
        self._stopping.wait(self._pause)
        self._pause = min(LONGEST_PAUSE, self._pause * 2)

    def tick(self) -> None:
        """Note that the loop is alive. A step that takes long for a good reason calls it too."""
        self.beat = time.monotonic()

    @property
    def patience(self) -> float:
        """Seconds after a beat from which on the loop counts as standing still."""
        return max(_PATIENCE, self.interval + self.waits + _STEP)

    def stop(self) -> None:
        """End `run` before its next step, waking it if it waits."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()
