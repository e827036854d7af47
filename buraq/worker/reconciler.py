"""Compares what the server holds for this process with what it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from redis.exceptions import ResponseError

from buraq.broker import Broker
from buraq.connection import Link
from buraq.task import Delivery
from buraq.worker.holdings import Holdings
from buraq.worker.lease import Lease

_PAGE = 100


class Reconciler:
    """Finds deliveries that are pending under our name and that we never saw. It is the fetcher's, and on its link."""

    def __init__(self, link: Link, lease: Lease, holdings: Holdings, admit: Callable[[Delivery], None]) -> None:
        self._link = link
        self._lease = lease
        self._holdings = holdings
        self._admit = admit

    def reconcile(self, brokers: Sequence[Broker], after_a_break: bool) -> list[Broker]:
        """Compare, and adopt what we never heard of. Returns the queues whose groups are gone.

        Counts first: pages are read only where they differ, and after a broken fetch. What somebody took from us
        meanwhile would make up for what we never saw.
        """
        lost: list[Broker] = []
        self._holdings.asking()
        try:
            known = self._holdings.by_stream()
            streams = [(broker, letter) for broker in brokers for letter in broker.keys.streams]
            summaries = self._link.commands(
                [("XPENDING", broker.keys.streams[letter], broker.group) for broker, letter in streams]
            )
            for (broker, letter), summary in zip(streams, summaries, strict=True):
                if isinstance(summary, ResponseError):
                    lost.append(broker)
                    continue
                ours = {name: int(count) for name, count in summary[3] or ()}.get(self._lease.name.encode(), 0)
                if ours and (after_a_break or ours != known[broker.keys.streams[letter]]):
                    self._adopt_pending(broker, letter)
        finally:
            self._holdings.answered()
        return lost

    def _adopt_pending(self, broker: Broker, letter: str) -> None:
        stream, start, epoch = broker.keys.streams[letter], "-", self._lease.epoch
        while True:
            words = ("XPENDING", stream, broker.group, start, "+", _PAGE, self._lease.name)
            rows = self._link.command(*words)
            for row in rows:
                key = (stream, row[0])
                if key in self._holdings.known or self._holdings.recently_settled(key):
                    continue
                body = self._link.command("XRANGE", stream, row[0], row[0])
                if body:
                    self._admit(Delivery(broker.keys, letter, row[0], body[0][1], epoch))
                else:  # somebody deleted the entry: nothing is left to run
                    self._link.command("XACK", stream, broker.group, row[0])
            if len(rows) < _PAGE:
                return
            start = "(" + rows[-1][0].decode()
