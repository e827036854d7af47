"""What flows through the queues, counted for the demo: events as they come, and what waits on the server."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from typing import Any, Self

from buraq.backend import Backend
from buraq.cli.failures import Away
from buraq.config import Config
from buraq.events import Inbox
from buraq.inspector import Broken, Inspector
from buraq.sharded_events import feed_of


class Counts:
    """Counts the events of all queues from its start on. Redis being away shows, and is survived."""

    def __init__(self, config: Config) -> None:
        self._backend = Backend(config)
        self._feed = feed_of(self._backend)
        self._inspector = Inspector(self._backend)
        self._seen: Counter[str] = Counter()
        self._inbox: Inbox | None = None
        self._open = ExitStack()

    def line(self) -> str:
        """Return the counts in one line: what has ended so far, and what is where now."""
        self._listen()
        seen = self._seen
        past = f"completed {seen['Completed']}  failed {seen['Failed']}  dead {seen['DLQ']}"
        try:
            broken: Broken = {}  # what cannot be read is not counted
            queues = [self._inspector.counts(name, broken) for name in self._inspector.queues(broken)]
        except Away:
            return f"{past}  (Redis does not answer)"
        running, waiting = sum(q.running for q in queues), sum(q.waiting for q in queues)
        return f"{past}  running {running}  waiting {waiting}  scheduled {sum(q.scheduled for q in queues)}"

    def _listen(self) -> None:
        """Count the events that have come since the last time."""
        if self._inbox is None:
            try:
                self._inbox = self._open.enter_context(self._feed.subscribe())
            except Away:
                return
        while events := self._inbox.get(0):
            for event in events:
                if event.data:  # else a gap: some were missed
                    self._seen[_type(event.data)] += 1

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *exc_info: Any) -> None:
        self._feed.close()
        self._open.close()
        self._backend.close()


def _type(data: str) -> str:
    return str(json.loads(data)["type"])
