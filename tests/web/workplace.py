"""A queue with tasks in every state: enqueued, fetched and settled as a worker does it, step by step."""

from typing import Any

from redis import Redis

from buraq import Buraq
from buraq.keys import LETTERS
from buraq.pauses import Pauses
from buraq.task import Completed, Dead, Delivery, Outcome, Retried, Undecodable, decode, recode
from buraq.worker.recorder import Recorder


class Workplace:
    """A worker process without a process."""

    def __init__(self, app: Buraq, redis: Redis, name: str = "w~00000001") -> None:
        self.app = app
        self.redis = redis
        self.name = name
        self.pauses = Pauses(app.backend)
        self._recorder = Recorder(name, app.config.history_length)
        self._number = 0
        self._link = app.backend.server.shared

    def lease(self, *queues: str, ttl_ms: int = 600_000, **facts: Any) -> None:
        """Hold a lease on queues, and say something of the process."""
        for queue in queues or ("default",):
            broker = self.app.backend.broker(queue)
            said = {"slots": 10, "in_flight": 1, "status": "active", "lease_ttl_ms": ttl_ms, **facts}
            self._link.call(broker.lease(self.name, ttl_ms, said))
            self._link.commands([("SADD", self.app.backend.names.queues, queue)])

    def fetch(self, count: int = 1, queue: str = "default") -> list[Delivery]:
        """Take deliveries, and start them."""
        broker = self.app.backend.broker(queue)
        self._link.commands(broker.group_commands())
        found: list[Delivery] = []
        for letter in LETTERS:
            if len(found) == count:
                break
            stream = broker.keys.streams[letter]
            words = ("XREADGROUP", "GROUP", broker.group, self.name, "COUNT", count - len(found))
            [reply] = self._link.commands([(*words, "STREAMS", stream, ">")])
            for entry, fields in reply[0][1] if reply else ():
                delivery = Delivery(broker.keys, letter, entry, fields, 0)
                try:
                    delivery.task = decode(delivery.raw or b"")
                except Undecodable:
                    delivery.task = None
                delivery.started = self._recorder._clock()
                found.append(delivery)
        assert len(found) == count
        return found

    def settle(self, outcome: Outcome, *deliveries: Delivery, took: float = 0.25) -> None:
        """Write one outcome of deliveries of one queue."""
        for delivery in deliveries:
            delivery.outcome, delivery.took, delivery.slot = outcome, took, 3
        sums = self._recorder.prepare(deliveries)
        self._number += 1
        broker = self.app.backend.broker(deliveries[0].queue.name)
        # Nobody listens, or the call would be refused and come again with notes.
        self._link.call(broker.settle(deliveries, self.name, self._number, 0, sums))

    def complete(self, count: int = 1, queue: str = "default", result: bytes | None = None) -> None:
        """Run tasks that return."""
        self.settle(Completed(result, 60_000 if result else 0), *self.fetch(count, queue))

    def fail(self, error: str = "ValueError: no", delay_ms: int = 60_000, queue: str = "default") -> None:
        """Run a task that fails, and is to be tried again."""
        [delivery] = self.fetch(1, queue)
        task = delivery.task
        assert task is not None
        raw = recode(task, current_retries=task.current_retries + 1, error=error)
        self.settle(Retried(delay_ms, raw, True, error, f"Traceback …\n{error}"), delivery)

    def bury(
        self, count: int = 1, reason: str = "exhausted", error: str = "ValueError: no", queue: str = "default"
    ) -> None:
        """Run tasks that are given up."""
        self.settle(Dead(reason, error, f"Traceback …\n{error}"), *self.fetch(count, queue))

    def promote(self, queue: str = "default") -> None:
        """Move what is due."""
        self._link.call(self.app.backend.broker(queue).promote())
