"""A histogram of waiting times after HdrHistogram: each octave has 128 buckets, so a value is off by less than 1 %."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

_BITS = 7  # 2 ** 7 buckets for each octave; below 2 ** 8 µs each microsecond has its own
PERCENTILES = {"p50 ms": 0.5, "p90 ms": 0.9, "p99 ms": 0.99, "p99.9 ms": 0.999}


def highest_like(value: int) -> int:
    """Return the highest value that shares the bucket of `value`."""
    shift = max(0, value.bit_length() - _BITS - 1)
    return (((value >> shift) + 1) << shift) - 1


class Histogram:
    """How often each waiting time was seen; it needs the same little memory for a thousand and for a billion."""

    def __init__(self, *written: Mapping[str, Sequence[int]]) -> None:
        """Begin with what others have `written`."""
        self._counts: Counter[int] = Counter()
        for one in written:
            for value, times in zip(one["µs"], one["times"], strict=True):
                self._counts[value] += times

    def written(self) -> dict[str, list[int]]:
        """Return the highest value of each bucket, from short to long, and how many it has."""
        values = sorted(self._counts)
        return {"µs": values, "times": [self._counts[value] for value in values]}

    def __len__(self) -> int:
        return self._counts.total()

    def record(self, seconds: float) -> None:
        """Count one waiting time; one below zero is two clocks that differ, and counts as none."""
        self._counts[highest_like(max(0, round(seconds * 1e6)))] += 1

    def at(self, share: float) -> float:
        """Return the time in ms that a share of all waits did not exceed; 0 when there are none."""
        left = share * len(self)
        for value, times in sorted(self._counts.items()):
            left -= times
            if left <= 0:
                return value / 1e3
        return 0.0

    def figures(self) -> dict[str, float]:
        """Return the usual percentiles and the longest, in ms."""
        return {name: self.at(share) for name, share in PERCENTILES.items()} | {"max ms": self.at(1.0)}

    def curve(self) -> tuple[Sequence[float], Sequence[float]]:
        """Return shares and their times in ms, for a plot; the last share is short of 1 by half a wait."""
        shares, times, seen = [], [], 0
        for value, count in sorted(self._counts.items()):
            shares.append((seen + count / 2) / len(self))
            times.append(value / 1e3)
            seen += count
        return shares, times
