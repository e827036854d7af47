"""A caller who stands in line, where gevent has patched the process."""

from __future__ import annotations

from collections.abc import Sequence

from gevent import get_hub
from gevent.hub import Waiter as Place

from buraq.broker import Broker, Item
from buraq.waiter import Waiter


class InHub(Waiter):
    """Waits in the hub of its thread: that is what is below a lock of gevent, at a third of its price.

    Whoever wakes it must be of the same thread.
    """

    __slots__ = ("_hub", "_place")

    def __init__(self, broker: Broker, items: Sequence[Item]) -> None:
        super().__init__(broker, items)
        self._hub = get_hub()
        self._place: Place[None] = Place(self._hub)

    def wake(self) -> None:
        """Have the hub switch to it, when whoever calls this waits."""
        self._hub.loop.run_callback(self._place.switch, None)

    def _sleep(self) -> None:
        self._place.get()
        self._place.clear()
