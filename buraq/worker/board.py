"""What the processes of one `buraq worker` know of each other: a few numbers in memory shared before the fork.

Any of them may be asked over the one port whether all are well. The arbiter reads the name of one that died, and which
one has reached a limit and is to be replaced.
"""

from __future__ import annotations

import mmap
import struct
import time
from dataclasses import dataclass
from typing import Any

ROWS = 256
ACTIVE, STOPPING, DONE, GAVE_UP = 1, 2, 3, 4
SUCCESSOR_MADE, RELIEVED = 1, 2


class Field:
    """A part of a row with one writer, who writes it whole."""

    def __init__(self, format: str, after: Field | None = None) -> None:
        self.packed = struct.Struct(f"={format}")
        self.at: int = after.at + after.packed.size if after is not None else 0


LIFE = Field("qq")  # process id, state
PLACE = Field("q", LIFE)
HELD = Field("qd", PLACE)  # reachable, lease expiry: the lease thread's
LIMIT = Field("32s", HELD)  # the setting whose value the process has reached
RELIEF = Field("q", LIMIT)  # how far its replacement is: the arbiter's
WATCH = Field("dd64sd16s", RELIEF)  # the guard's, in the lease thread
NAME = Field("128s", WATCH)
SIZE = NAME.at + NAME.packed.size


@dataclass(frozen=True)
class State:
    """What one process wrote on the board."""

    pid: int
    state: int
    place: int  # which of the group's processes it is, from 0; a successor takes over its predecessor's
    reachable: bool
    lease_until: float  # by time.monotonic(), which is the same for all
    limit: str  # the setting whose value it has reached, "" while none is
    relief: int
    looked: float  # when its guard last looked
    blocked: float  # seconds that its hub had been blocked then
    blocked_by: str  # the task type that held it, "" while it turns
    late: float  # seconds that a loop had not moved for, of one that should have; else 0
    late_loop: str
    name: str

    @property
    def stopping(self) -> bool:
        """Whether it is on its way out."""
        return self.state >= STOPPING

    @property
    def done(self) -> bool:
        """Whether its burst is over."""
        return self.state >= DONE

    @property
    def gave_up(self) -> bool:
        """Whether its burst has left something that the server refuses."""
        return self.state == GAVE_UP


class Row:
    """One process's part of the board."""

    def __init__(self, memory: mmap.mmap, number: int) -> None:
        self._memory = memory
        self._at = number * SIZE
        self.number = number

    def _write(self, field: Field, *values: object) -> None:
        field.packed.pack_into(self._memory, self._at + field.at, *values)

    def _read(self, field: Field) -> tuple[Any, ...]:
        return field.packed.unpack_from(self._memory, self._at + field.at)

    def take(self, place: int) -> None:
        """Keep the row for a process that is about to be forked."""
        self._write(LIFE, -1, ACTIVE)
        self._write(PLACE, place)

    def claim(self, pid: int, name: str) -> None:
        """Begin: this process, under this worker name."""
        self._write(LIFE, pid, ACTIVE)
        self._write(WATCH, time.monotonic(), 0.0, b"", 0.0, b"")
        self._write(NAME, name.encode()[:127])

    def watched(self, now: float, blocked: float, blocked_by: str, late: float, late_loop: str) -> None:
        """Write down what the guard saw: for how long the hub has been blocked, and a loop has not moved."""
        self._write(WATCH, now, blocked, blocked_by.encode()[:64], late, late_loop.encode()[:16])

    def held(self, until: float, reachable: bool) -> None:
        """Write down how long the lease holds, and whether the server answered when it was last renewed."""
        self._write(HELD, int(reachable), until)

    def reach(self, limit: str) -> None:
        """Ask the arbiter for a successor: this process has reached the limit that this setting sets."""
        self._write(LIMIT, limit.encode())

    def relieve(self, how_far: int) -> None:
        """Note how far the replacement of this process is. Called by the arbiter."""
        self._write(RELIEF, how_far)

    def retire(self) -> None:
        """Note that this process is stopping: it is not ready any more, and not sick either."""
        self._write(LIFE, self._read(LIFE)[0], STOPPING)

    def finish(self, gave_up: bool = False) -> None:
        """Note that this process has worked off its burst, or all that it could; it need not be replaced."""
        self._write(LIFE, self._read(LIFE)[0], GAVE_UP if gave_up else DONE)

    def leave(self) -> None:
        """Note that this process has given up its lease: there is none to end when it is gone."""
        self._write(NAME, b"")

    def clear(self) -> None:
        """End: nobody is in this row."""
        self._memory[self._at : self._at + SIZE] = bytes(SIZE)

    def read(self) -> State:
        """Return what the row says."""
        pid, state = self._read(LIFE)
        reachable, until = self._read(HELD)
        looked, blocked, blocked_by, late, late_loop = self._read(WATCH)
        return State(
            pid=pid,
            state=state,
            place=self._read(PLACE)[0],
            reachable=bool(reachable),
            lease_until=until,
            limit=_text(self._read(LIMIT)[0]),
            relief=self._read(RELIEF)[0],
            looked=looked,
            blocked=blocked,
            blocked_by=_text(blocked_by),
            late=late,
            late_loop=_text(late_loop),
            name=_text(self._read(NAME)[0]),
        )


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode(errors="ignore")  # it may have been cut within a character


class Board:
    """Rows for as many processes as may live at once."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, ROWS * SIZE)
        self.rows = [Row(self._memory, number) for number in range(ROWS)]

    def free_row(self) -> Row:
        """Return a row that nobody is in, in the first place that is free. Called by the arbiter alone."""
        states = [row.read() for row in self.rows]
        # One that is being replaced has left its place to its successor.
        places = {state.place for state in states if state.pid and not state.relief}
        for row, state in zip(self.rows, states, strict=True):
            if state.pid == 0:
                row.take(next(place for place in range(ROWS + 1) if place not in places))
                return row
        raise RuntimeError(f"more than {ROWS} worker processes in one group")

    def states(self) -> list[State]:
        """Return what all processes wrote."""
        return [state for state in (row.read() for row in self.rows) if state.pid > 0]
