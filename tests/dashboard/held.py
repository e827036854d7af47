"""What the server holds, read from its keys by the tests themselves: not through anything that the page or API use."""

import struct
from difflib import SequenceMatcher
from random import Random
from typing import Any

from redis import Redis

from tests.servers import Server

# lua/parts/count.lua: numbers of 32 bits. A slot is a stamp, counters, and for minutes how long runs and waits took.
COUNTERS = {"enqueued": 1, "completed": 2, "retried": 3, "dead": 4}
HISTOGRAMS = {"run": 8, "wait": 68}
BUCKETS, SLOT, END = 60, 128, (62 + 289) * 128
SLACK = 100_000  # bytes of used memory: what a connection that asks has in its buffers
WINDOW = 10  # seconds that rates are means over: docs/api.md

Numbers = list[int]


def second_at(stamp: int) -> int:
    return stamp % 16 * 8


def minute_at(stamp: int) -> int:
    return (1 + stamp % 61) * SLOT


def five_at(stamp: int) -> int:
    return (62 + stamp % 289) * SLOT


def now_ms(redis: Redis) -> float:
    """Return the time by the server's clock, unix ms."""
    seconds, micros = redis.time()
    return seconds * 1000 + micros / 1000


def between(before: dict[str, Any], after: dict[str, Any], name: str, slack: int = 0) -> range:
    """Return what a number of INFO may have been, between two looks at it."""
    low, high = sorted((int(before[name]), int(after[name])))
    return range(low - slack, high + slack + 1, max(1, slack // 50))


class Counts:
    """The statistics of some queues as one."""

    def __init__(self, server: Server, *bases: str) -> None:
        with server.client(decode_responses=False) as raw:
            kept = [(raw.get(f"{base}:stats") or b"").ljust(4 * END, b"\0") for base in bases]
        self._all = [struct.unpack(f">{END}I", one[: 4 * END]) for one in kept]

    def _slot(self, at: int, stamp: int, width: int = SLOT) -> Numbers:
        slots = [one[at : at + width] for one in self._all if one[at] == stamp]
        return [sum(numbers) for numbers in zip([0] * width, *slots, strict=True)]

    def rates(self, second: int) -> dict[str, float]:
        """Return tasks a second over the last whole seconds before one."""
        slots = [self._slot(second_at(one), one, 8) for one in range(second - WINDOW, second)]
        return {name: sum(slot[at] for slot in slots) / WINDOW for name, at in COUNTERS.items()}

    def hour(self, second: int) -> list[Numbers]:
        """Return the minutes of the last hour, the one that is still filling last."""
        last = second // 60
        return [self._slot(minute_at(one), one) for one in range(last - 59, last + 1)]

    def day(self, second: int) -> list[Numbers]:
        """Return the same by five minutes: what was moved there, and what is still with its minutes."""
        last = second // 300
        steps = [self._slot(five_at(one), one) for one in range(last - 287, last + 1)]
        for one in self._all:
            for at in range(SLOT, 62 * SLOT, SLOT):
                step = one[at] // 5 - (last - 287)
                if 0 <= step < 288:
                    steps[step] = added(steps[step], one[at : at + SLOT])
        return steps


def added(*slots: Any) -> Numbers:
    """Return several slots as one."""
    return [sum(numbers) for numbers in zip(*slots, strict=True)]


def bounds_ms(bucket: int) -> tuple[float, float]:
    """Return from where to where a bucket goes: up to 1 ms, then each by 1.3 wider than the one before."""
    return (1.3 ** (bucket - 1) if bucket else 0.0), 1.3**bucket


def percentile(slot: Numbers, which: str, share: float) -> float | None:
    """Return a percentile in ms: within its bucket, as far as its rank is among those that the bucket has."""
    buckets = slot[HISTOGRAMS[which] :][:BUCKETS]
    rank, below = share * sum(buckets), 0
    for bucket, count in enumerate(buckets):
        if count and below + count >= rank:
            low, high = bounds_ms(bucket)
            return round(low + (high - low) * (rank - below) / count, 2)
        below += count
    return None


class Engraver:
    """Writes the statistics of a queue, as if so much had happened; the same whenever it is written."""

    def __init__(self, redis: Redis, base: str) -> None:
        self._redis, self._base = redis, base

    def write(self, most: dict[str, int]) -> None:
        """Write up to `most` of each kind for each second around this one, more for minutes and five minutes."""
        now = int(now_ms(self._redis) // 1000)
        raw, minute = bytearray(4 * END), now // 60
        for step in range(-7, 9):
            self._slot(raw, second_at(now + step), now + step, step, most)
        for step in range(-59, 1):
            if step % 7 != 3:  # in some nothing happened
                at = minute_at(minute + step)
                self._slot(raw, at, minute + step, step, {name: 20 * count for name, count in most.items()})
                self._spans(raw, at, step)
        moved = (minute - 59) // 5  # what was before is no longer with the minutes
        for step in range(-250, 0):
            at = five_at(moved + step)
            self._slot(raw, at, moved + step, step, {name: 90 * count for name, count in most.items()})
            self._spans(raw, at, step)
        self._redis.set(f"{self._base}:stats", bytes(raw))

    def _slot(self, raw: bytearray, at: int, stamp: int, step: int, most: dict[str, int]) -> None:
        chance = Random(f"{self._base} {step}")
        struct.pack_into(">5I", raw, 4 * at, stamp, *(chance.randint(0, most.get(name, 0)) for name in COUNTERS))

    def _spans(self, raw: bytearray, at: int, step: int) -> None:
        """Sort some times into the buckets."""
        chance = Random(f"{self._base} {step} spans")
        for which, start in HISTOGRAMS.items():
            buckets = [0] * BUCKETS
            for _ in range(chance.randint(1, 40)):
                ms = chance.lognormvariate(4 if which == "run" else 6, 1.5)
                buckets[next(bucket for bucket in range(BUCKETS) if ms <= bounds_ms(bucket)[1])] += 1
            struct.pack_into(f">{BUCKETS}I", raw, 4 * (at + start), *buckets)


class Waiting:
    """What waits in a queue, entry by entry: in the five streams, and pending for nobody."""

    def __init__(self, redis: Redis, base: str) -> None:
        self.added_ms: list[int] = []
        for ending in ("_suspects", "_front", "_high", "", "_low"):
            entries = [entry for entry, _ in redis.xrange(base + ending)]
            for group in redis.xinfo_groups(base + ending) if entries else ():
                taken = redis.xpending_range(base + ending, group["name"], "-", "+", 10_000)
                entries = [entry for entry in entries if entry not in {one["message_id"] for one in taken}]
            self.added_ms += [int(entry.split("-")[0]) for entry in entries]

    def __len__(self) -> int:
        return len(self.added_ms)

    def oldest_ms(self, now: float) -> float:
        """Return for how long the first of them has waited by then."""
        return now - min(self.added_ms)


def nearest(shown: Any, possible: list[Any]) -> Any:
    """Return what is shown if it is possible, else what is most like it, for the message that says so.

    What is shown is of some moment while the view was opened: all of it has to be of the same one.
    """
    if shown in possible:
        return shown
    return max(possible, key=lambda one: SequenceMatcher(None, str(one), str(shown), autojunk=False).ratio())
