"""The statistics of a queue: what the scripts count on the server, by second, by minute and by five minutes.

They are one string of 32-bit numbers: a ring of slots for the last sixteen seconds, one for the last 61 minutes, one
for the last day. Each slot has a stamp that says what time it is for, and counters; those of minutes have two
histograms beside. A minute goes to its five minutes when its slot is needed again, an hour later: the day is both
rings together. A string that nothing is added to is gone after 25 hours.
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
    """A ring of slots: seconds that each is for, how many there are, where they begin, numbers that each has."""

    step: int
    slots: int
    start: int
    width: int = SLOT

    def at(self, stamp: int) -> int:
        """Return where the slot for a stamp begins."""
        return self.start + stamp % self.slots * self.width

    @property
    def bytes(self) -> int:
        """Where the ring ends in the string."""
        return 4 * (self.start + self.slots * self.width)


# As in lua/parts/count.lua.
SECONDS, MINUTES, FIVES = Ring(1, 16, 0, 8), Ring(60, 61, 128), Ring(300, 289, 62 * SLOT)


def tally(spans: Sequence[float], start: int) -> list[str]:
    """Return what times in seconds add to the histogram that begins at `start`."""
    if not spans:
        return []
    lowest = bisect_left(BOUNDS, min(spans))
    if lowest == bisect_left(BOUNDS, max(spans)):  # as most batches are: nothing to sort
        return [f"{start + lowest}={len(spans)}"]
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
    last = until // ring.step
    found = {stamp: _slot(raw, ring, stamp) for stamp in range(last - slots + 1, last + 1)}
    if ring is FIVES:  # what has not gone there yet is with the minutes
        for place in range(MINUTES.slots):
            at = 4 * (MINUTES.start + place * SLOT)
            five = int.from_bytes(raw[at : at + 4], "big") // 5
            if five in found:
                found[five].add(_numbers(raw, at, SLOT))
    return list(found.values())


def _slot(raw: bytes, ring: Ring, stamp: int) -> Slot:
    numbers = _numbers(raw, 4 * ring.at(stamp), ring.width)
    return Slot(numbers + [0] * (SLOT - ring.width)) if numbers[STAMP] == stamp else Slot()


def _numbers(raw: bytes, at: int, width: int) -> list[int]:
    return list(struct.unpack(f">{width}I", raw[at : at + 4 * width].ljust(4 * width, b"\0")))
