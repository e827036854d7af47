"""Groups of worker processes that a test may kill, and the ledger that tells what really ran."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import ujson

from buraq import Buraq
from tests.servers import Server, eventually

ROOT = Path(__file__).parents[2]
TARGET = "tests.faults.ledger_app:queue"


class Line(NamedTuple):
    """One line of the ledger."""

    what: str
    task: str
    id: str
    attempt: int
    pid: int
    at: float


class Ledger:
    """Reads what the tasks wrote down, outside the server."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self, what: str | None = None) -> list[Line]:
        rows = (line.split() for line in self.path.read_text().rpartition("\n")[0].splitlines())
        read = [Line(w, t, i, int(a), int(p), float(at)) for w, t, i, a, p, at in rows]
        return [line for line in read if what in (None, line.what)]

    def ended(self) -> set[str]:
        return {line.id for line in self.lines("end")}

    def starts(self) -> Counter[str]:
        return Counter(line.id for line in self.lines("start"))


class Group:
    """`buraq worker` as a process of its own, in a session of its own."""

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        *,
        target: str = TARGET,
        processes: int = 1,
        concurrency: int = 100,
        **env: str,
    ) -> None:
        command = [sys.executable, "-m", "buraq", "worker", target]
        command += ["--processes", str(processes), "--concurrency", str(concurrency)]
        settings = {"REDIS_URL": server.url, "LEDGER": str(ledger.path), "PYTHONPATH": str(ROOT), **env}
        self.log = ledger.path.with_suffix(f".{id(self):x}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **settings}, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.processes = processes

    def workers(self) -> list[int]:
        """Return the ids of the worker processes, without the arbiter."""
        try:
            return sorted(child.pid for child in psutil.Process(self.process.pid).children())
        except psutil.NoSuchProcess:
            return []

    def consuming(self, timeout: float = 20) -> "Group":
        """Wait until all its processes consume."""

        def all_consume() -> bool:
            text = self.log.read_text()
            assert text.count("consuming") >= self.processes, text
            return True

        eventually(all_consume, timeout)
        return self

    def kill(self) -> None:
        """SIGKILL the whole group, arbiter first so that it replaces nobody."""
        pids = [self.process.pid, *self.workers()]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 40) -> int:
        """Signal the arbiter and return the exit code of the group."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def group(redis: object, server: Server, ledger: Ledger) -> Iterator[Callable[..., Group]]:
    """Start groups of worker processes: `group(processes=2, LEASE_TTL="1s")`. What still runs in the end is killed."""
    started: list[Group] = []

    def start(on: Server = server, **options: Any) -> Group:
        started.append(Group(on, ledger, **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()
        for pid in one.workers():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def queue(redis: object, server: Server) -> Buraq:
    """The producer's side: enqueues by task type."""
    return Buraq(redis_url=server.url)


class Witness:
    """Counts the events as a listener hears them."""

    def __init__(self, server: Server) -> None:
        self.events: list[dict[str, Any]] = []
        self._subscription = server.client(socket_timeout=None).pubsub(ignore_subscribe_messages=False)
        self._subscription.subscribe("buraq_events")
        assert self._subscription.get_message(timeout=5) is not None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            for message in self._subscription.listen():
                if message["type"] == "message":
                    self.events.append(ujson.loads(message["data"]))
        except Exception:
            return  # closed at the end of the test, or its server has gone

    def count(self, kind: str) -> Counter[str]:
        return Counter(event["task_id"] for event in list(self.events) if event["type"] == kind)

    def close(self) -> None:
        self._subscription.close()


@pytest.fixture
def witness(redis: object, server: Server) -> Iterator[Witness]:
    listening = Witness(server)
    yield listening
    listening.close()


def nothing_left(client: Any, base: str = "buraq_tasks") -> bool:
    """Assert that no task of the default queue is anywhere but among the dead letters."""
    streams = [base, *(f"{base}_{name}" for name in ("high", "low", "front", "suspects"))]
    assert {name: client.xlen(name) for name in streams} == dict.fromkeys(streams, 0)
    assert client.zcard(f"{base}:scheduled") == 0
    assert client.hlen(f"{base}:scheduled:tasks") == 0
    assert client.hlen(f"{base}:index") == client.xlen(f"{base}_dlq")
    return True


def now() -> float:
    return time.time()
