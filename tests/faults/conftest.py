"""Groups of worker processes that a test may kill, and the ledger that tells what really ran."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import ujson

from buraq import Buraq
from tests.faults.ledger import Kill, Ledger, now
from tests.faults.leftovers import consumers, left_in, no_dead_consumer, nothing_left  # noqa: F401  for tests, too
from tests.faults.results import Results, Verdict, judge
from tests.proxy import Proxy
from tests.servers import PATIENCE, Server, eventually

ROOT = Path(__file__).parents[2]
TARGET = "tests.faults.ledger_app:queue"
_AT_REST = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}


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
        fail_points: bool = False,
        **env: str,
    ) -> None:
        command = [sys.executable, "-m", "buraq", "worker", target]
        command += ["--processes", str(processes), "--concurrency", str(concurrency)]
        self.files = ledger.path.with_suffix(f".{id(self):x}.files")
        self.files.mkdir()
        settings = {"REDIS_URL": server.url, "LEDGER": str(ledger.path), "TMPDIR": str(self.files), **env}
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

    def __init__(self, server: Server, ledger: Ledger, look: Callable[[Server], Mapping[str, int]]) -> None:
        """`look` says what is left in a server."""
        self._server = server
        self._ledger = ledger
        self._look = look
        self._on: list[Server | Proxy] = []
        self._stays: Mapping[str, int] = {}
        self.started: list[Group] = []

    def __call__(self, on: Any = None, **options: Any) -> Group:
        """Start one, on the session's server or on another."""
        self._on.append(on or self._server)
        self.started.append(Group(self._on[-1], self._ledger, **options))
        return self.started[-1]

    @property
    def running(self) -> list[Group]:
        """Those whose arbiter lives."""
        return [one for one in self.started if one.process.poll() is None]

    @property
    def servers(self) -> set[Server]:
        """The servers that they were started on, as far as those answer."""
        servers = {on.server if isinstance(on, Proxy) else on for on in self._on}
        return {server for server in servers if server.awake}

    def stop(self) -> list[int]:
        """Stop all that run, and return their exit codes."""
        running = self.running
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

    def leaves(self, **entries: int) -> None:
        """Say what the test leaves on purpose: how many entries of which streams. Nothing else may stay."""
        self._stays = entries

    def left(self) -> Counter[str]:
        """Return what is left of groups that have ended, and how much: processes, files, what is in their servers."""
        found = Counter(f"process {pid}" for pid in self.processes())
        stopped = [one for one in self.started if one.process.returncode == 0]
        found.update(str(path) for one in stopped for path in one.files.rglob("*"))
        for server in self.servers:
            found.update(self._look(server))
        return found

    def left_at_last(self) -> Counter[str]:
        """Return the same once nothing is left but what is to stay, or else when patience is at its end."""
        found: Counter[str] = Counter()

        def as_it_should_be() -> bool:
            nonlocal found
            found = self.left()
            return found == self._stays

        with contextlib.suppress(AssertionError):
            eventually(as_it_should_be)
        return found

    def end(self) -> None:
        """Stop all that run, and assert that nothing is left but what is to stay."""
        if self.running:
            for server in self.servers:
                with server.client() as client:
                    eventually(lambda client=client: no_dead_consumer(client))
        assert set(self.stop()) <= {0}
        assert self.left_at_last() == self._stays


@pytest.fixture
def look() -> Callable[[Server], Mapping[str, int]]:
    """What looks for leftovers in a server."""
    return left_in


@pytest.fixture
def group(
    redis: object,
    server: Server,
    fresh: object,
    ledger: Ledger,
    look: Callable[[Server], Mapping[str, int]],
    request: pytest.FixtureRequest,
) -> Iterator[Groups]:
    """Start groups of worker processes.

    In the end what still runs is stopped, and nothing is left of it but what `leaves` has named. After a test that has
    failed, of which that says nothing, it is killed. Servers of `fresh` are there until then.
    """
    groups = Groups(server, ledger, look)
    failed = request.session.testsfailed
    try:
        yield groups
        if request.session.testsfailed == failed:
            groups.end()
    finally:
        groups.kill()


@pytest.fixture
def queue(redis: object, server: Server) -> Buraq:
    """The producer's side: enqueues by task type."""
    return Buraq(redis_url=server.url, enqueue_timeout=PATIENCE)


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
        resumed: Collection[float] = (),
        **more: float,
    ) -> Verdict:
        """Wait until all that was accepted has ended, stop all groups, count, and assert that nothing went wrong.

        `killed` is how many processes died whose recovery is not measured, beside `kills`, whose is. Where `kills` do
        not tell, `resumed` is the seconds until work went on, once for each time that it had to.
        """
        settled = accepted - set(buried)
        eventually(lambda: settled <= ledger.ended() or None, patience, every=0.05)
        eventually(lambda: nothing_left(client or redis))
        eventually(lambda: no_dead_consumer(client or redis))
        assert set(group.stop()) <= {0}
        left = group.left_at_last()
        events = witness.count("Completed") + witness.count("DLQ") if client is None else None
        verdict = judge(ledger, accepted, kills=kills, events=events, buried=buried, leftovers=left, resumed=resumed)
        verdict.kills += killed
        results.add(fault, what, verdict, **more)
        return verdict.kept()

    return end
