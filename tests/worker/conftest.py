"""Fixtures of the worker tests: a queue on the empty server, and workers that leave nothing behind."""

from collections.abc import Callable, Iterator

import gevent
import pytest
from redis import Redis

from buraq.app import Buraq
from buraq.connection import Server as Connections
from buraq.worker.worker import Worker
from tests.proxy import Proxy
from tests.servers import Server
from tests.worker.parts import Counters


@pytest.fixture(autouse=True)
def no_connection_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the parts of a worker opened: taken apart, none of them closes the others' connections."""
    opened, original = [], Connections.connection

    def connection(self: Connections, answer_timeout: float) -> object:
        opened.append(original(self, answer_timeout))
        return opened[-1]

    monkeypatch.setattr(Connections, "connection", connection)
    yield
    for one in opened:
        one.disconnect()


@pytest.fixture
def app(server: Server, redis: Redis) -> Buraq:
    """A queue on the session's server, which is empty. A task that fails runs again at once."""
    return Buraq(redis_url=server.unix_url, retry_backoff="0s")


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A proxy before the session's server."""
    with Proxy(server, seed=11) as proxy:
        yield proxy


@pytest.fixture
def count() -> Counters:
    """What the metrics counted since the test began: `count("tasks_lost_total")`."""
    return Counters()


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    """Start whole workers, `start(app, queues=…, concurrency=…)`; those that still run are stopped in the end."""
    started: list[Worker] = []

    def start(app: Buraq, **options: object) -> Worker:
        worker = Worker(app, **options)  # type: ignore[arg-type]
        started.append(worker)
        worker.start()
        return worker

    yield start
    for worker in started:
        if not worker.slots.stopping:
            worker.stop(0.0)
        assert worker.broken is None, f"the {worker.broken} loop died"
        gevent.killall(worker._greenlets)
