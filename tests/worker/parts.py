"""A worker process taken apart: its real parts on a real server, each moved by `step()`, and what tests ask of them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gevent.queue import Queue
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from buraq import metrics
from buraq.app import Buraq
from buraq.connection import Server as Connections
from buraq.keys import LETTERS, QueueKeys
from buraq.task import Delivery, Outcome, Task, Undecodable, decode
from buraq.worker.fetcher import Fetcher
from buraq.worker.holdings import Holdings
from buraq.worker.lease import Lease
from buraq.worker.settler import Settler

GROUP = "buraq_workers"
BLOCK = 0.02  # seconds that a fetch of a test waits when there is nothing
PATIENT = 30.0  # seconds; the machine may be busy
LONG = 60.0  # seconds that is waited by design for what something else is to end, or else a test is out of patience


def raw_task(task_id: str, task_type: str = "t", **members: Any) -> bytes:
    """Return the JSON of a task, as a producer writes it."""
    task = {"id": task_id, "type": task_type, "payload": {}, "max_retries": 3, "current_retries": 0, **members}
    return json.dumps(task).encode()


def delivery_of(raw: bytes | None, *fields: bytes, letter: str = "n", entry: bytes = b"1-0") -> Delivery:
    """Return a delivery that no server knows of."""
    body = [b"payload", raw] if raw is not None else []
    return Delivery(QueueKeys("default", "buraq_tasks", "buraq_tasks_dlq"), letter, entry, [*body, *fields], 0)


def read(delivery: Delivery) -> Delivery:
    """Decode the task of a delivery, as a slot does."""
    try:
        delivery.task = decode(delivery.raw or b"")
    except Undecodable:
        delivery.task = None
    return delivery


def task_of(delivery: Delivery) -> Task:
    task = read(delivery).task
    assert task is not None
    return task


def lease_of(app: Buraq, *queues: str, name: str = "w~00000001", ttl: float = 10.0) -> Lease:
    """Return a lease that is held on these queues, and that no thread renews."""
    lease = Lease(app.backend.server, name, ttl, lambda: {"status": "active"})
    lease.brokers = tuple(app.backend.broker(queue) for queue in queues or ("default",))
    assert lease.renew()
    return lease


def lapse(redis: Redis, lease: Lease) -> None:
    """Let a lease run out, on the server and by the process's own clock."""
    for broker in lease.brokers:
        redis.zadd(broker.keys.leases, {lease.name: 1})
    lease.until = 0.0


def burn(seconds: float) -> None:
    """Compute, and let no greenlet run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


class Fetching:
    """A fetcher with `slots` slots, in which nothing ever ends unless the test takes it out of `dispatched`."""

    def __init__(
        self, app: Buraq, lease: Lease, slots: int = 10, server: Connections | None = None, **options: Any
    ) -> None:
        self.slots = slots
        self.dispatched: list[Delivery] = []
        self.handed_back: list[Delivery] = []
        self.holdings = Holdings()
        self.fetcher = Fetcher(
            server or app.backend.server,
            lease,
            self.holdings,
            free=lambda: self.slots - len(self.dispatched),
            dispatch=self.dispatched.extend,
            hand_back=self.handed_back.append,
            block=LONG,
            **options,
        )
        self.fetcher._block = BLOCK  # its connection waits for an answer long enough for either

    def step(self) -> list[str]:
        """Fetch once; return the ids of what was dispatched."""
        before = len(self.dispatched)
        self.fetcher.step()
        return ids(self.dispatched[before:])


class Settling:
    """A settler, and what it confirmed: each task's id and "committed", "lost" or "unknown"."""

    def __init__(self, app: Buraq, worker: str, holdings: Holdings, server: Connections | None = None) -> None:
        self.confirmed: list[tuple[str, str]] = []
        self.holdings = holdings
        self.settler = Settler(server or app.backend.server, worker, holdings, app.backend.broker, self._confirm)

    def _confirm(self, batch: list[Delivery], gone: frozenset[int], sure: bool) -> None:
        for position, delivery in enumerate(batch):
            task = delivery.task
            word = "committed" if position not in gone else "lost" if sure else "unknown"
            self.confirmed.append((task.id if task else "", word))

    def end(self, delivery: Delivery, outcome: Outcome) -> None:
        self.settler.ended(read(delivery), outcome)

    def all(self) -> None:
        """Settle until nothing is left to be settled; a round that fails is tried again."""
        deadline = time.monotonic() + PATIENT
        while self.settler.pending:
            assert time.monotonic() < deadline, "the settler does not get on"
            self.settler.attempt()


class Ends(Queue):
    """What ended, in its order: `get(timeout)` waits for the next delivery with its outcome."""

    def add(self, delivery: Delivery, outcome: Outcome, slot: int) -> None:
        self.put((delivery, outcome))

    def next(self) -> tuple[Delivery, Outcome]:
        pair: tuple[Delivery, Outcome] = self.get(timeout=PATIENT)
        return pair


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.task.id if read(delivery).task else "?" for delivery in deliveries]


# -- what the server says


def waiting(redis: Redis, queue: QueueKeys) -> dict[str, list[str]]:
    """Return the ids of the tasks in each stream that is not empty, by the stream's letter."""
    found = {letter: redis.xrange(queue.streams[letter]) for letter in LETTERS}
    return {letter: [json.loads(body["payload"])["id"] for _, body in rows] for letter, rows in found.items() if rows}


def pending(redis: Redis, queue: QueueKeys) -> dict[str, int]:
    """Return how many entries each consumer has."""
    held: dict[str, int] = {}
    for letter in LETTERS:
        if redis.exists(queue.streams[letter]):
            for row in redis.xpending(queue.streams[letter], GROUP)["consumers"] or ():
                held[row["name"]] = held.get(row["name"], 0) + int(row["pending"])
    return held


def consumers(redis: Redis, queue: QueueKeys) -> set[str]:
    return {
        row["name"]
        for letter in LETTERS
        if redis.exists(queue.streams[letter])
        for row in redis.xinfo_consumers(queue.streams[letter], GROUP)
    }


def left(redis: Redis, queue: QueueKeys) -> dict[str, Any]:
    """Return all that there is of tasks and of worker processes on the server; empty when nothing is left."""
    found = {
        "streams": waiting(redis, queue),
        "pending": pending(redis, queue),
        "consumers": consumers(redis, queue),
        "index": redis.hgetall(queue.index),
        "scheduled": redis.zrange(queue.scheduled, 0, -1),
        "scheduled tasks": redis.hgetall(queue.tasks),
        "leases": redis.zrange(queue.leases, 0, -1),
        "facts": list(redis.scan_iter(f"{queue.base}:worker:*")),
        "dead": [(body.get("reason"), body.get("error")) for _, body in redis.xrange(queue.dlq)],
    }
    return {what: value for what, value in found.items() if value}


def dead_letters(redis: Redis, queue: QueueKeys) -> list[dict[str, str]]:
    return [body for _, body in redis.xrange(queue.dlq)]


@contextmanager
def hearing(redis: Redis) -> Iterator[list[dict[str, Any]]]:
    """Listen to the events; the list is filled when the block ends."""
    events: list[dict[str, Any]] = []
    with redis.pubsub() as channel:
        channel.subscribe("buraq_events")
        assert channel.get_message(timeout=PATIENT)["type"] == "subscribe"
        yield events
        redis.publish("buraq_events", "end")
        while (message := channel.get_message(timeout=PATIENT)["data"]) != "end":
            events.append(json.loads(message))


class Counters:
    """What the metrics counted since the test began, read as Prometheus reads them."""

    def __init__(self) -> None:
        self._before = self._now()

    def __call__(self, name: str, **labels: str) -> float:
        key = f"buraq_{name}", tuple(sorted(labels.items()))
        return self._now().get(key, 0.0) - self._before.get(key, 0.0)

    @staticmethod
    def _now() -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        families = text_string_to_metric_families(metrics.render()[0].decode())
        samples = (sample for family in families for sample in family.samples)
        return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
