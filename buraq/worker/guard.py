"""Watches over what a worker process cannot see itself: a hub that one greenlet holds, and a loop that stands still.

It looks from the lease thread, which runs when no greenlet does, and writes what it sees where all processes of the
group, and so whoever asks for their health, can read it.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from gevent import monkey

from buraq.worker.blame import Culprit, culprit_of
from buraq.worker.board import Row
from buraq.worker.loop import Loop
from buraq.worker.reports import Reports

BLOCKED_AFTER = 0.25  # seconds without a turn of the hub before it counts as blocked
CRY_OUT_AFTER = 5.0  # seconds without a turn before the thread writes to stderr itself
LOOK_EVERY = 0.1
_SAY_EVERY = 60.0  # seconds; a task type is blamed, and a loop named, once in so long


class Guard:
    """Measures how long the hub has not turned, and says who holds it; sees which loop does not move.

    `turn` is the hub's, everything else the lease thread's. They share nothing but plain attributes.
    """

    def __init__(
        self,
        reports: Reports,
        max_blocked: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        loops: Callable[[], Iterable[Loop]] = tuple,
        row: Row | None = None,
    ) -> None:
        """`max_blocked` is in seconds. `row` is this process's on the board, if it has one."""
        self.turned = clock()  # when the hub last turned
        self.reports = reports
        self._max_blocked = max_blocked
        self._clock = clock
        self._loops = loops
        self._row = row
        self._thread = 0
        self._seen: tuple[float, Culprit] | None = None  # who holds the hub since its last turn, and when that was
        self._blocks: deque[tuple[str, float]] = deque(maxlen=1000)
        self.excused = self.turned  # until then no loop is blamed: the hub was blocked
        self._said: dict[str, float] = {}
        self._given_up = 0.0  # the turn of the hub after which the lease was let go

    # -- the hub's

    def begin(self) -> None:
        """Start to watch the thread that calls this."""
        self._thread = monkey.get_original("_thread", "get_ident")()
        self.turned = self._clock()

    def turn(self) -> None:
        """Show that the hub turns. To be called several times in `BLOCKED_AFTER`."""
        before, now = self.turned, self._clock()
        self.turned = now
        if now - before >= BLOCKED_AFTER:
            seen = self._seen
            culprit = seen[1] if seen is not None and seen[0] == before else Culprit()
            self._blocks.append((culprit.task_type, now - before))

    def blocks(self) -> Iterator[tuple[str, float]]:
        """Take out the blocks that have ended since this was last called: task type and seconds."""
        with suppress(IndexError):
            while True:
                yield self._blocks.popleft()

    # -- the thread's

    @property
    def gives_up(self) -> bool:
        """Whether the hub has been blocked for so long that the lease must go, or its tasks would wait for ever."""
        return self._clock() - self.turned > self._max_blocked

    def pause(self) -> float:
        """Return the seconds until the next look: a hub that stands still is looked at when it counts as blocked."""
        left = self.turned + BLOCKED_AFTER - self._clock()
        return min(LOOK_EVERY, left) if left > 0.001 else LOOK_EVERY

    def look(self) -> None:
        """Look once at the hub and at the loops, and write it down."""
        turned, now = self.turned, self._clock()
        if now - turned >= BLOCKED_AFTER:
            self.excused = now
            self._look_at_hub(turned, now)
        late = self._latest_loop(now)
        if late is not None and self._may_say(f"loop {late.name}", now):
            facts: dict[str, object] = {"loop": late.name, "seconds": round(now - late.beat, 1)}
            self.reports.add(logging.ERROR, "loop stands still", facts)
        if self._row is not None:
            held_by = self._seen[1].task_type if self._seen is not None and self._seen[0] == turned else ""
            stuck = (now - late.beat, late.name) if late is not None else (0.0, "")
            self._row.watched(now, now - turned, held_by, *stuck)

    def renewed(self, until: float, reachable: bool) -> None:
        """Write down what a renewal has come to: when the lease ends, and whether the server answered."""
        if self._row is not None:
            self._row.held(until, reachable)

    def _look_at_hub(self, turned: float, now: float) -> None:
        if self._seen is None or self._seen[0] != turned:
            culprit = culprit_of(sys._current_frames().get(self._thread))
            if self.turned != turned:  # just now: what was seen may be the next one, and innocent
                return
            self._seen = turned, culprit
        culprit, seconds = self._seen[1], round(now - turned, 2)
        if self._may_say(f"type {culprit.task_type}", now):
            facts = culprit.facts | {"seconds": seconds}
            self.reports.add(logging.WARNING, "hub blocked: nothing else runs in this process", facts)
        if self.gives_up and self._given_up != turned:
            self._given_up = turned
            facts = culprit.facts | {"seconds": seconds, "max_blocked": self._max_blocked}
            self.reports.add(logging.ERROR, "lease let go: the hub has been blocked past MAX_BLOCKED", facts)
        if now - turned > CRY_OUT_AFTER:
            self.reports.cry_out()

    def _latest_loop(self, now: float) -> Loop | None:
        """Return the loop that should have moved by now and has not: the one that is late for longest."""
        late = [loop for loop in self._loops() if not loop.stopping and self._overdue(loop, now) > 0]
        return max(late, key=lambda loop: self._overdue(loop, now), default=None)

    def _overdue(self, loop: Loop, now: float) -> float:
        return now - max(loop.beat, self.excused) - loop.patience

    def _may_say(self, what: str, now: float) -> bool:
        if now - self._said.get(what, -_SAY_EVERY) < _SAY_EVERY:
            return False
        self._said[what] = now
        return True


class Follower:
    """Stands in for the guard in one of several lease threads: one looks, and what all come to is written together."""

    def __init__(self, guard: Guard, number: int, ends: list[tuple[float, bool]]) -> None:
        """The one with the `number` 0 looks. `ends` holds until when each lease is, and whether its server answered."""
        self.reports = guard.reports
        self._guard = guard
        self._number = number
        self._ends = ends

    def begin(self) -> None:
        """Do as `Guard.begin`."""
        if not self._number:
            self._guard.begin()

    def turn(self) -> None:
        """Do as `Guard.turn`."""
        self._guard.turn()

    @property
    def gives_up(self) -> bool:
        """Whether the hub has been blocked for so long that the lease must go."""
        return self._guard.gives_up

    def pause(self) -> float:
        """Return the seconds until the next look."""
        return LOOK_EVERY if self._number else self._guard.pause()

    def look(self) -> None:
        """Do as `Guard.look`."""
        if not self._number:
            self._guard.look()

    def renewed(self, until: float, reachable: bool) -> None:
        """Write down until when all leases hold, and whether all servers answered."""
        self._ends[self._number] = until, reachable
        self._guard.renewed(min(end for end, _ in self._ends), all(reached for _, reached in self._ends))
