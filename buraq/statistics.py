"""The statistics of a queue: what the scripts count on the server, by second, by minute and by five minutes.

They are one string of 32-bit numbers. A ring of slots holds the last quarter of a minute, one the last hour, one the
last day; each slot has a stamp that says what time it is for, counters, and two histograms. What is too old is written
over, or not read; a string that nothing is added to is gone after 25 hours.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

STAMP, ENQUEUED, COMPLETED, RETRIED, DEAD, UNKEPT = range(6)
NAMES = {"enqueued": ENQUEUED, "completed": COMPLETED, "retried": RETRIED, "dead": DEAD}
RUN, WAIT = 8, 68  # where the histograms begin
BUCKETS = 60
SLOT = 128  # numbers

# Upper bounds of the buckets in seconds: 1 ms, then each a third wider than the one before; the last is open.
BOUNDS = [0.001 * 1.3**n for n in range(BUCKETS - 1)]


@dataclass(frozen=True, slots=True)
class Ring:
    """A ring of slots: how many seconds each is for, how many there are, and which is the first."""

    step: int
    slots: int
    first: int

    @property
    def bytes(self) -> int:
        """Where the ring ends in the string."""
        return (self.first + self.slots) * SLOT * 4

    def at(self, second: int) -> tuple[int, int]:
        """Return stamp and number of the slot of a unix time."""
        stamp = second // self.step
        return stamp, self.first + stamp % self.slots


# As in lua/parts/count.lua.
SECONDS, MINUTES, FIVES = Ring(1, 16, 0), Ring(60, 61, 16), Ring(300, 289, 77)


def tally(spans: Sequence[float], start: int) -> list[str]:
    """Return what times in seconds add to the histogram that begins at `start`."""
    written, ordered, n = [], sorted(spans), 0
    while n < len(ordered):
        bucket = bisect_left(BOUNDS, ordered[n])
        end = bisect_right(ordered, BOUNDS[bucket], n) if bucket < len(BOUNDS) else len(ordered)
        written.append(f"{start + bucket}={end - n}")
        n = end
    return written


@dataclass(slots=True)
class Slot:
    """What a slot holds, or several together."""

    numbers: list[int] = field(default_factory=lambda: [0] * SLOT)

    def add(self, numbers: Sequence[int]) -> None:
        """Add what another slot holds."""
        self.numbers = [one + other for one, other in zip(self.numbers, numbers, strict=True)]

    def percentile(self, start: int, share: float) -> float | None:
        """Return a percentile in ms of the histogram that begins at `start`, None when it is empty."""
        buckets = self.numbers[start : start + BUCKETS]
        rank = share * sum(buckets)
        if not rank:
            return None
        for bucket, count in enumerate(buckets):
            if rank <= count:
                low = BOUNDS[bucket - 1] if bucket else 0.0
                high = BOUNDS[bucket] if bucket < len(BOUNDS) else low * 1.3
                return round(1000 * (low + (high - low) * rank / count), 2)
            rank -= count
        return None  # not reached: the ranks are of these buckets


def read(raw: bytes, ring: Ring, until: int, slots: int) -> list[Slot]:
    """Return the last `slots` slots of a ring up to that of the unix time `until`, the oldest first."""
    found = []
    last = until // ring.step
    for stamp in range(last - slots + 1, last + 1):
        at = 4 * SLOT * (ring.first + stamp % ring.slots)
        numbers = raw[at : at + 4 * SLOT].ljust(4 * SLOT, b"\0")
        slot = Slot()
        if int.from_bytes(numbers[:4], "big") == stamp:
            slot.numbers = list(struct.unpack(f">{SLOT}I", numbers))
        found.append(slot)
    return found
