"""A server, a system's workers and its producer, and one loop that watches, supervises and enqueues."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from redis import Redis

from benchmarks.faults import store
from benchmarks.faults.ledger import WAKE, Ledger, pid_of
from benchmarks.faults.systems import System
from benchmarks.faults.units import INSIDE, Producer, Unit
from tests.servers import Server
from tests.sweeper import folder

TICK_S = 0.02
START_S = 60.0  # for the first task of a system to start
WAKE_EVERY_S = 1.0
SETTLE_S = 10.0  # what a server is given to forget what has ended


class Stage:
    """One system at work. Nothing here knows which."""

    def __init__(self, system: System, server: Server, place: Path, window: float, seed: int) -> None:
        self.system, self.window = system, window
        self.random = random.Random(seed)
        self.client: Redis = server.client(decode_responses=False)
        self.commits: Counter[str] | None = None
        (place / "ledger").mkdir()
        self.ledger = Ledger(place / "ledger")
        self._place = place
        self._environment = {
            "REDIS_URL": server.url,
            "PYTHONPATH": str(INSIDE),
            "LEDGER": str(self.ledger.folder),
            "SLOTS": str(system.slots),
            "WINDOW": str(window),
            **{name: value.format(window=window) for name, value in system.environment.items()},
        }
        self._events = self._listen() if system.module == "on_buraq" else None
        self.producer = Producer(system, self._environment, place)
        self.units: list[Unit] = []
        self._numbers = iter(range(1_000_000))
        self._wake_at: float | None = None

    def unit(self, processes: int = 1) -> Unit:
        """Start one more service."""
        unit = Unit(self.system, f"unit{len(self.units)}", self._environment, self._place, processes)
        self.units.append(unit)
        unit.start()
        return unit

    def send(self, kind: str, seconds: float) -> str:
        """Have a task enqueued that counts; return its name."""
        name = f"t{next(self._numbers):06}z"
        self.producer.send(kind, name, seconds)
        return name

    def wake(self, on: bool = True) -> None:
        """From now on enqueue a short task a second that does not count.

        A queue that is never quite idle is the rule, and some systems look for what was cut off only when they get
        something new.
        """
        self._wake_at = time.monotonic() if on else None

    def tick(self) -> None:
        """Look at everything once, and do what is due."""
        now = time.monotonic()
        self.ledger.read()
        self.ledger.mark()
        for unit in self.units:
            unit.supervise()
        if self._wake_at is not None and now >= self._wake_at:
            self._wake_at = now + WAKE_EVERY_S
            self.producer.send("nap", f"{WAKE}{next(self._numbers):06}", 0.01)
        if self._events is not None:
            self._hear()
        time.sleep(TICK_S)

    def until(self, check: Callable[[], Any], seconds: float) -> bool:
        """Tick until something is so, or for so many seconds; return whether it is."""
        deadline = time.monotonic() + seconds
        while not check():
            if time.monotonic() > deadline:
                return False
            self.tick()
        return True

    def working(self) -> None:
        """Wait until a first task runs. Raises RuntimeError with the logs."""
        if not self.until(lambda: self.ledger.runs, START_S):
            raise RuntimeError(f"{self.system.name} does not start:\n{self.logs()}")

    def kill_one(self) -> bool:
        """SIGKILL a random worker process that runs a task, with its children; return whether there was one."""
        self.ledger.read()
        living = sorted(
            {pid for run in self.ledger.running().values() if psutil.pid_exists(pid := pid_of(run.process))}
        )
        if not living:
            return False
        with suppress(psutil.NoSuchProcess):
            victim = self._worker(psutil.Process(self.random.choice(living)))
            victims = [victim, *victim.children(recursive=True)]
            for process in victims:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            self.ledger.kill([process.pid for process in victims], time.monotonic())
            return True
        return False

    def _worker(self, process: psutil.Process) -> psutil.Process:
        """Return the worker process that the process of a task belongs to: a task may run in a child of it."""
        if self.system.forks:
            return process.parent() or process
        if self.system.respawns:
            services = {unit.pid for unit in self.units}
            return next((one for one in (process, *process.parents()) if one.ppid() in services), process)
        return process

    def remains(self) -> tuple[set[str], set[str], set[str]]:
        """Return what has not run to its end: what is lost, what the server still has, and what was given up."""
        self.ledger.read()
        missing = self.ledger.outstanding()
        given_up = missing & store.held(self.client, self.system.given_up) if self.system.given_up else set()
        waiting = (missing - given_up) & store.held(self.client)
        return missing - given_up - waiting, waiting, given_up

    def leftovers(self) -> int:
        """Return how many tasks the server has a trace of, beside a history, though they have ended; after some
        seconds' grace.
        """
        left: set[str] = set()

        def gone() -> bool:
            nonlocal left
            left = store.kept(self.client, self.system.history) & self.ledger.ended()
            return not left

        self.until(gone, SETTLE_S)
        return len(left)

    def logs(self) -> str:
        """Return the ends of all logs."""
        files = [self.producer.log, *(unit.log for unit in self.units)]
        return "\n".join(f"{file.name}:\n{file.read_text(errors='replace')[-2000:]}" for file in files)

    def close(self) -> None:
        """End all processes."""
        self.producer.stop()
        for unit in self.units:
            unit.kill()
        for process in psutil.process_iter():
            # A worker whose parent was killed, wherever it hangs now.
            with suppress(psutil.Error):
                if process.environ().get("LEDGER") == str(self.ledger.folder):
                    process.kill()

    def _listen(self) -> Any:
        events = self.client.pubsub(ignore_subscribe_messages=True)
        events.subscribe("buraq_events")
        self.commits = Counter()
        return events

    def _hear(self) -> None:
        import ujson

        assert self.commits is not None
        while message := self._events.get_message():
            event = ujson.loads(message["data"])
            if event["type"] == "Completed":
                self.commits[event["task_id"]] += 1


@contextmanager
def stage(system: System, window: float, seed: int) -> Iterator[Stage]:
    """Set up a system on a server of its own, with an append-only file, and clear all of it away."""
    place = folder("faults-")
    try:
        with Server("valkey", aof=True) as server:
            set_up = Stage(system, server, place, window, seed)
            try:
                yield set_up
            finally:
                set_up.close()
                if keep := os.environ.get("FAULTS_KEEP"):
                    shutil.copytree(place, Path(keep) / system.module, dirs_exist_ok=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
