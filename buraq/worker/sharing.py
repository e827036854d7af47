"""The fetchers of several shards share the slots of one process, and none starves another.

Each reserves what it asks for before it asks, so that together they never bring more than can start. Who finds nothing
free stands in line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from buraq.broker import Broker
from buraq.worker.fetcher import Fetcher

_LEAST = 8  # what one may ask for at once, however many they are
_SHORT = 0.01  # seconds that a read waits for work where others wait for its slot


class Budget:
    """The free slots of a process, as several fetchers see them."""

    def __init__(self, free: Callable[[], int], concurrency: int, lanes: int) -> None:
        self._free = free
        # Twice its even part: together they may ask at once for more than there is, one alone is not kept waiting.
        self._most = max(_LEAST, 2 * concurrency // lanes)
        self._few = concurrency < 2 * lanes
        self._asked: dict[SharingFetcher, int] = {}
        self._waiting: list[SharingFetcher] = []  # who came first is first

    def fetcher(self, *args: Any, **options: Any) -> Fetcher:
        """Return a fetcher that shares this budget."""
        return SharingFetcher(self, *args, **options)

    def claim(self, fetcher: SharingFetcher) -> int:
        """Reserve slots for a fetcher and return how many; 0 puts it in line."""
        ahead = self._waiting.index(fetcher) if fetcher in self._waiting else len(self._waiting)
        count = min(self._free() - sum(self._asked.values()) - ahead, self._most)
        if count <= 0:
            if fetcher not in self._waiting:
                self._waiting.append(fetcher)
            return 0
        if fetcher in self._waiting:
            self._waiting.remove(fetcher)
        self._asked[fetcher] = count
        return count

    def keep_one(self, fetcher: SharingFetcher, block: float) -> float:
        """Reserve one slot for a read that waits for work, and return how many seconds it may."""
        self._asked[fetcher] = 1
        self.room()
        return min(block, _SHORT) if self._waiting or self._few else block

    def release(self, fetcher: SharingFetcher) -> None:
        """Give back what was reserved: what came has its slots by now."""
        self._asked.pop(fetcher, None)
        self.room()

    def withdraw(self, fetcher: SharingFetcher) -> None:
        """Leave the line. A slot that has been offered to who leaves is the next one's."""
        if fetcher in self._waiting:
            self._waiting.remove(fetcher)
            self.room()

    def left_to(self, fetcher: SharingFetcher) -> int:
        """Return how many deliveries a fetcher may start now: all that is free and not reserved for another."""
        return self._free() - sum(self._asked.values()) + self._asked.get(fetcher, 0)

    def room(self) -> None:
        """Wake those in line for whom there is room. Called whenever a slot frees."""
        if self._waiting:
            for fetcher in self._waiting[: max(0, self._free() - sum(self._asked.values()))]:
                fetcher.room.set()


class SharingFetcher(Fetcher):
    """Fetches from one shard of several."""

    def __init__(self, budget: Budget, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "free": lambda: budget.left_to(self)})
        self._budget = budget
        self._patience = self._block

    def step(self) -> None:
        """Do as `Fetcher.step`; who cannot fetch now does not stand in the way of those who can."""
        try:
            if not self._lease.valid:
                self._budget.withdraw(self)
            super().step()
        except BaseException:
            self._budget.withdraw(self)
            raise

    # What these ask may not be answered for seconds, and who waits for that must not be who a slot is kept for.

    def _make_groups(self, broker: Broker) -> None:
        self._budget.withdraw(self)
        super()._make_groups(broker)

    def reconcile(self) -> None:
        """Do as `Fetcher.reconcile`."""
        self._budget.withdraw(self)
        super().reconcile()

    def _fill(self) -> None:
        self.room.clear()
        held_up = self.held_up()
        if held_up:
            self._budget.withdraw(self)
        free = 0 if held_up else self._budget.claim(self)
        if not free:
            self.room.wait(1.0)
            return
        try:
            found = self.walk(free) if self.open else 0
            self.quiet_walks = 0 if found else self.quiet_walks + 1
            if not found and not self.stopping and self.open:
                self._block = self._budget.keep_one(self, self._patience)
                self._wait_for_work()
        finally:
            self._budget.release(self)
        if not self.open:  # all queues are paused
            self._stopping.wait(0.1)
