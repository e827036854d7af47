"""A caller who stands in line: what it enqueues, what became of that, and how it waits for it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress

from buraq.broker import Broker, Item, Verdict


class Waiter:
    """A caller: its items, what became of them, and where it waits for that.

    It is told by `done` or `leads` being set, and then by `wake`, in this order.
    """

    __slots__ = ("broker", "done", "error", "gone", "items", "leads", "size", "verdicts")

    def __init__(self, broker: Broker, items: Sequence[Item]) -> None:
        self.broker = broker
        self.items = items
        self.size = len(items[0].payload) if len(items) == 1 else sum([len(item.payload) for item in items])
        self.verdicts: dict[int, Verdict] | None = None
        self.error: Exception | None = None
        self.done = False
        self.leads = False
        self.gone = False  # its caller was told that the answer is not known

    def wait(self) -> None:
        """Wait until the answer is there, or until it is this caller's turn to lead. For its own caller only."""
        while not self.done and not self.leads:
            self._sleep()

    def wake(self) -> None:
        """Let the caller go on: one that has gone meanwhile, or was woken before, takes no notice. Never waits."""
        raise NotImplementedError

    def _sleep(self) -> None:
        """Return some time after a `wake`, at once when it was before."""
        raise NotImplementedError


class InThread(Waiter):
    """Waits for a lock, which under gevent would cost as much as a task."""

    __slots__ = ("_lock",)

    def __init__(self, broker: Broker, items: Sequence[Item]) -> None:
        super().__init__(broker, items)
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Release its lock, unless it was released before."""
        with suppress(RuntimeError):
            self._lock.release()

    def _sleep(self) -> None:
        self._lock.acquire()
