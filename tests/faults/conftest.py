"""Groups of worker processes that a test may kill, and the ledger that tells what really ran."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ujson
from redis.exceptions import ResponseError

from buraq import Buraq
from tests.faults.ledger import Kill, Ledger, now
from tests.faults.results import Results, Verdict, judge
from tests.servers import PATIENCE, Server, eventually

ROOT = Path(__file__).parents[2]
TARGET = "tests.faults.ledger_app:queue"
_AT_REST = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}


class Group:
    """`buraq worker` as a process of its own, in a session of its own; to the server it is the worker's user."""

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        *,
        target: str = TARGET,
        processes: int = 1,
        concurrency: int = 100,
        fail_points: bool = False,
        **env: str,
    ) -> None:
        command = [sys.executable, "-m", "buraq", "worker", target]
        command += ["--processes", str(processes), "--concurrency", str(concurrency)]
        self.files = ledger.path.with_suffix(f".{id(self):x}.files")
        self.files.mkdir()
        settings = {"REDIS_URL": server.url_of("worker"), "LEDGER": str(ledger.path), "TMPDIR": str(self.files), **env}
        settings["PYTHONPATH"] = str(ROOT)
        self.orders = ledger.path.with_suffix(f".{id(self):x}.orders")
        if fail_points:
            self.orders.mkdir()
            settings["BURAQ_FAIL_POINTS"] = str(self.orders)
        self.ledger = ledger
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

    def consuming(self, timeout: float = PATIENCE) -> "Group":
        """Wait until all its processes consume."""

        def all_consume() -> bool:
            text = self.log.read_text()
            assert text.count("consuming") >= self.processes, text
            return True

        eventually(all_consume, timeout)
        return self

    def plant(self, step: str, what: str = "kill") -> Path:
        """Have a step fail once, in whichever process comes to it first: it takes away the file that this returns.

        The group must have been started with its fail points.
        """
        order = self.orders / step
        new = order.with_suffix(".new")
        new.write_text(what)
        new.rename(order)  # at once: nobody shall read half of it
        return order

    def says(self, text: str, times: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until a text is so often in its log."""
        eventually(lambda: self.log.read_text().count(text) >= times or None, timeout)

    def kill(self, pids: Collection[int] = ()) -> Kill:
        """SIGKILL some of its processes, or the whole group, at a moment when a task runs in one of them at least.

        Slots may end and fetch all at once: a kill at any moment would now and then cut nothing off.
        """
        whole = not pids
        pids = pids or self.workers()

        def stopped_mid_run() -> bool:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            # On another core it goes on until it has taken notice, and may end what would have been cut off.
            eventually(lambda: {psutil.Process(pid).status() for pid in pids} <= _AT_REST)
            if self.ledger.running(pids):
                return True
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            return False

        eventually(stopped_mid_run)
        killed = Kill(frozenset(pids), now())
        if whole:
            self.process.kill()  # first, so that it replaces nobody
            self.process.wait(PATIENCE)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return killed

    def stop(self, number: int = signal.SIGTERM, timeout: float = 2 * PATIENCE) -> int:
        """Signal the arbiter and return the exit code of the group."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


class Groups:
    """Starts groups of worker processes: `group(processes=2, LEASE_TTL="1s")`."""

    def __init__(self, server: Server, ledger: Ledger) -> None:
        self._server = server
        self._ledger = ledger
        self.started: list[Group] = []

    def __call__(self, on: Any = None, **options: Any) -> Group:
        """Start one, on the session's server or on another."""
        self.started.append(Group(on or self._server, self._ledger, **options))
        return self.started[-1]

    def stop(self) -> list[int]:
        """Stop all that run, and return their exit codes."""
        running = [one for one in self.started if one.process.poll() is None]
        for one in running:
            one.process.send_signal(signal.SIGTERM)
        return [one.process.wait(2 * PATIENCE) for one in running]

    def kill(self) -> None:
        """End whatever still runs."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for one in self.started:
            one.process.wait(PATIENCE)

    def processes(self) -> list[int]:
        """Return the processes of all groups, those too whose arbiter has gone."""
        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("LEDGER") == str(self._ledger.path) and process.status() != "zombie":
                    mine.append(process.pid)
        return sorted(mine)

    def has_left_nothing(self, client: Any) -> bool:
        """Assert that nothing is left of groups that have ended: no process, no file, nothing in the server."""
        stopped = [one for one in self.started if one.process.returncode == 0]
        files = [str(path) for one in stopped for path in one.files.rglob("*")]
        assert [*self.processes(), *files, *left_in_server(client)] == []
        return True


@pytest.fixture
def group(redis: object, server: Server, ledger: Ledger) -> Iterator[Groups]:
    """Start groups of worker processes. What still runs in the end is killed."""
    groups = Groups(server, ledger)
    yield groups
    groups.kill()


@pytest.fixture
def queue(redis: object, server: Server) -> Buraq:
    """The producer's side: enqueues by task type."""
    return Buraq(redis_url=server.url_of("producer"), enqueue_timeout=PATIENCE)


def naps(queue: Buraq, seconds: Iterable[float]) -> set[str]:
    """Enqueue naps of so many seconds, and return their ids.

    All at once: one by one they might have ended, on a slow machine, before there are enough of them.
    """
    nap = queue.registry.get("nap") or queue.task(name="nap")(_nap)
    return {handle.id for handle in nap.enqueue_many([{"seconds": one} for one in seconds])}


def _nap(seconds: float = 0.05) -> None: ...


class Witness:
    """Counts the events as a listener hears them."""

    def __init__(self, server: Server) -> None:
        self.events: list[dict[str, Any]] = []
        self._subscription = server.client(socket_timeout=None).pubsub(ignore_subscribe_messages=False)
        self._subscription.subscribe("buraq_events")
        assert self._subscription.get_message(timeout=PATIENCE) is not None
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


BASE = "buraq_tasks"
STREAMS = [BASE, *(f"{BASE}_{name}" for name in ("high", "low", "front", "suspects"))]


def nothing_left(client: Any) -> bool:
    """Assert that no task of the default queue is anywhere but among the dead letters."""
    assert {name: client.xlen(name) for name in STREAMS} == dict.fromkeys(STREAMS, 0)
    assert client.zcard(f"{BASE}:scheduled") == 0
    assert client.hlen(f"{BASE}:scheduled:tasks") == 0
    assert client.hlen(f"{BASE}:index") == client.xlen(f"{BASE}_dlq")
    return True


def consumers(client: Any) -> set[str]:
    """Return the names of all consumers."""
    found: set[str] = set()
    for name in STREAMS:
        with contextlib.suppress(ResponseError):  # no such stream
            found |= {one["name"] for one in client.xinfo_consumers(name, "buraq_workers")}
    return found


def leases(client: Any) -> set[str]:
    """Return the worker processes that hold a lease."""
    seconds, micros = client.time()
    return set(client.zrangebyscore(f"{BASE}:leases", seconds * 1000 + micros // 1000, "+inf"))


def no_dead_consumer(client: Any) -> bool:
    """Assert that the living have tidied up after the dead."""
    assert consumers(client) <= leases(client)
    return True


def left_in_server(client: Any) -> list[str]:
    """Return what is left of tasks and of worker processes that have ended.

    The row of a lease that ran out is none: who vanished is listed for five minutes.
    """
    found = [f"{client.xlen(name)} in {name}" for name in STREAMS if client.xlen(name)]
    found += [f"consumer {name}" for name in consumers(client)] + [f"lease {name}" for name in leases(client)]
    rows = client.zcard(f"{BASE}:scheduled") + client.hlen(f"{BASE}:scheduled:tasks")
    rows += client.hlen(f"{BASE}:index") - client.xlen(f"{BASE}_dlq")
    return found + ([f"{rows} rows"] if rows else [])


@pytest.fixture(scope="session")
def results() -> Results:
    """What was found in this run; kept where the run is a large one."""
    return Results()


@pytest.fixture
def conclude(group: Groups, ledger: Ledger, witness: Witness, results: Results, redis: Any) -> Callable[..., Verdict]:
    """End a fault: `conclude("F1", "what happened", accepted, kills=kills)`."""

    def end(
        fault: str,
        what: str,
        accepted: set[str],
        *,
        kills: Iterable[Kill] = (),
        client: Any = None,
        buried: Collection[str] = (),
        patience: float = 60,
        killed: int = 0,
        **more: float,
    ) -> Verdict:
        """Wait until all that was accepted has ended, stop all groups, count, and assert that nothing went wrong.

        `killed` is how many processes died whose recovery is not measured, beside `kills`, whose is.
        """
        settled = accepted - set(buried)
        eventually(lambda: settled <= ledger.ended() or None, patience, every=0.05)
        eventually(lambda: nothing_left(client or redis))
        eventually(lambda: no_dead_consumer(client or redis))
        assert set(group.stop()) <= {0}
        eventually(lambda: group.has_left_nothing(client or redis))
        events = witness.count("Completed") + witness.count("DLQ") if client is None else None
        verdict = judge(ledger, accepted, kills=kills, events=events, buried=buried).kept()
        verdict.kills += killed
        results.add(fault, what, verdict, **more)
        return verdict

    return end
