"""What the processes of one `buraq worker` know of each other: a few numbers in memory shared before the fork.

Any of them may be asked over the one port whether all are well, and the arbiter reads the name of one that died.
"""

from __future__ import annotations

import mmap
import struct
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buraq.worker.lane import Standing
    from buraq.worker.lease import Lease
    from buraq.worker.slots import Slots

LOOPS = ("fetch", "settle", "promote", "reclaim", "control")
_FORMAT = struct.Struct("=qqqqd" + "d" * len(LOOPS) + "128s")
_BEATS_AT = struct.calcsize("=qqqqd")
_BEAT = struct.Struct("=d")
ROWS = 256


class Row:
    """One process's part of the board."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._at = number * _FORMAT.size
        self.number = number

    def claim(self, pid: int, name: str) -> None:
        """Begin: this process, under this worker name."""
        now = time.monotonic()
        _FORMAT.pack_into(self._memory, self._at, pid, 1, 0, 0, 0.0, *([now] * len(LOOPS)), name.encode()[:127])

    def beat(self, loop: str, at: float) -> None:
        """Note that a loop lives."""
        if loop in LOOPS:
            _BEAT.pack_into(self._memory, self._at + _BEATS_AT + LOOPS.index(loop) * _BEAT.size, at)

    def update(self, lease: Lease | Standing, slots: Slots) -> None:
        """Write down lease and load."""
        held = struct.Struct("=qqd")
        until = time.monotonic() + lease.ttl if lease.valid else 0.0
        held.pack_into(self._memory, self._at + 16, int(lease.reachable), slots.load, until)

    def retire(self) -> None:
        """Note that this process is stopping: it is not ready any more, and not sick either."""
        struct.pack_into("=q", self._memory, self._at + 8, 2)

    def finish(self) -> None:
        """Note that this process has worked off its burst; it need not be replaced."""
        struct.pack_into("=q", self._memory, self._at + 8, 3)

    def clear(self) -> None:
        """End: nobody is in this row."""
        self._memory[self._at : self._at + _FORMAT.size] = bytes(_FORMAT.size)

    def read(self) -> State:
        """Return what the row says."""
        pid, state, reachable, load, until, *rest = _FORMAT.unpack_from(self._memory, self._at)
        beats = dict(zip(LOOPS, rest[:-1], strict=True))
        name = rest[-1].rstrip(b"\0").decode(errors="ignore")  # it may have been cut within a character
        return State(pid, state, bool(reachable), load, until, beats, name)


class State:
    """What one process wrote on the board."""

    def __init__(
        self, pid: int, state: int, reachable: bool, load: int, until: float, beats: dict[str, float], name: str
    ) -> None:
        self.pid = pid
        self.stopping = state >= 2
        self.done = state == 3
        self.reachable = reachable
        self.load = load
        self.lease_until = until
        self.beats = beats
        self.name = name

    def oldest_beat(self, now: float) -> tuple[str, float]:
        """Return the loop that has not beaten for longest, and for how many seconds."""
        loop = min(self.beats, key=lambda name: self.beats[name])
        return loop, now - self.beats[loop]


class Board:
    """Rows for as many processes as may live at once."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROWS * _FORMAT.size)
        self.rows = [Row(self._memory, number) for number in range(ROWS)]

    def free_row(self) -> Row:
        """Return a row that nobody is in. Called by the arbiter alone."""
        for row in self.rows:
            if row.read().pid == 0:
                row.claim(-1, "")  # taken; the child writes its own pid
                return row
        raise RuntimeError(f"more than {ROWS} worker processes in one group")

    def states(self) -> list[State]:
        """Return what all processes wrote."""
        return [state for state in (row.read() for row in self.rows) if state.pid > 0]
