"""One run of one system: its worker works off what waits, or a program of ours enqueues; and how large a run should be.

How many slots are fastest depends on the system and on the machine, so each number that may be is tried beforehand.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks import environments, harness
from benchmarks.environments import PEERS, build
from benchmarks.harness import Figures, fresh_server, server_cpu, url_of
from benchmarks.systems import System

LEAST, MOST = 500, 400_000  # tasks of one run
ENOUGH = 1.0  # seconds of a first run that tell how many tasks a run takes
NOOP_SECONDS, ENQUEUE_SECONDS = 5.0, 3.0
SLEEPERS = 10_000
SLEEPS_A_SLOT = 10
PATIENCE, TRIAL_PATIENCE = 120.0, 60.0
CLIENTS = 20_000  # connections that the server takes: some systems want one for each slot

Sizes = dict[str, Any]


def environment(system: System, client: Redis, **more: object) -> dict[str, str]:
    """Return what the programs of a system find in their environment."""
    own = {"PYTHONPATH": str(PEERS), "METRICS_PORT": ":0"}
    return harness.environment(client) | own | system.environment | {name: str(value) for name, value in more.items()}


def enqueue(system: System, client: Redis, how: str, task: str, tasks: int, *cold: str) -> dict[str, Any]:
    """Enqueue tasks from a process of its own, and return what that took."""
    command = [build(system.venv) / "python", PEERS / "produce.py", system.module, how, task, tasks, *cold]
    return dict(json.loads(environments.run(command, environment(system, client)).splitlines()[-1]))


@contextmanager
def working(system: System, client: Redis, slots: int, tasks: int, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the worker of a system, and end it with all its processes."""
    command = [word.format(slots=slots, url=url_of(client)) for word in system.command]
    command[0] = str(build(system.venv) / command[0])
    more = {"BENCH_TASKS": tasks, "BENCH_REPORT": told, "BENCH_CONCURRENCY": slots}
    with open(told.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=told.parent,
            env=environment(system, client, **more),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the server that it works on goes, too
        process.wait()


def work(system: System, task: str, tasks: int, slots: int, patience: float = PATIENCE) -> Figures:
    """Have one worker process run what waits on a fresh server. Raises RuntimeError when it does not end."""
    with fresh_server("--maxclients", str(CLIENTS)) as client, tempfile.TemporaryDirectory() as folder:
        enqueue(system, client, "bulk", task, tasks, "cold")
        told, deadline, before = Path(folder) / "figures", time.monotonic() + patience, server_cpu(client)
        with working(system, client, slots, tasks, told) as process:
            while not told.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    how = "ended" if process.poll() is not None else f"was not through after {patience:g} s"
                    raise RuntimeError(f"{tasks:,} tasks, {slots:,} slots: its worker {how}{_last(told)}")
                time.sleep(0.02)
            figures, used = json.loads(told.read_text()), server_cpu(client) - before
    return {
        "tasks/s": tasks / figures["seconds"],
        "worker µs/task": figures["cpu"] / tasks * 1e6,
        "server µs/task": used / tasks * 1e6,
        "MB": figures["bytes"] / 1e6,
        "slots": slots,
    }


def _last(told: Path) -> str:
    """Return the last thing that a worker wrote, on one line."""
    lines = told.with_suffix(".log").read_text(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f": {said[-1][-300:]}" if said else ""


def produce(system: System, one: int, bulk: int) -> Figures:
    """Enqueue on fresh servers: one task a call, and all in bulk where the system can."""
    figures: Figures = {}
    for how, tasks in (("one", one), ("bulk", bulk)):
        if not tasks:
            continue
        with fresh_server() as client:
            before = server_cpu(client)
            took = enqueue(system, client, how, "noop", tasks)
            used = server_cpu(client) - before
        figures[f"{how}: tasks/s"] = tasks / took["seconds"]
        figures[f"{how}: client µs"] = took["cpu"] / tasks * 1e6
        figures[f"{how}: server µs"] = used / tasks * 1e6
    return figures


# -- how large


def sized(rate: Callable[[int], float], seconds: float) -> int:
    """Return how many tasks a run takes to last about `seconds`, by trying with more and more of them."""
    tasks = LEAST
    while (measured := rate(tasks)) and tasks / measured < ENOUGH and tasks < MOST:
        tasks = min(MOST, tasks * 6)
    return min(MOST, max(LEAST, int(measured * seconds)))


def fastest(system: System, task: str, tasks: Callable[[int], int], slots: tuple[int, ...]) -> Sizes:
    """Try numbers of slots, and return the fastest with what became of each. Raises RuntimeError when all fail."""
    tried: dict[str, float | str] = {}
    rates: dict[int, float] = {}
    for number in slots:
        try:
            rates[number] = work(system, task, tasks(number), number, TRIAL_PATIENCE)["tasks/s"]
            tried[str(number)] = rates[number]
        except RuntimeError as error:
            tried[str(number)] = str(error)
        print(f"  {system.name} with {number:,} slots: {tried[str(number)]}", file=sys.stderr)
    if not rates:
        raise RuntimeError("; ".join(map(str, tried.values())))
    best = max(rates, key=rates.__getitem__)
    return {"slots": best, "rate": rates[best], "tried": tried}


def noop_sizes(system: System, tasks: int | None) -> Sizes:
    """Return how many slots and tasks a run of no-ops has."""
    first = system.slots[0]
    if tasks:
        return {"slots": first, "tasks": tasks}
    some = sized(lambda count: work(system, "noop", count, first)["tasks/s"], 2 * ENOUGH)
    sizes = fastest(system, "noop", lambda _: some, system.slots)
    return sizes | {"tasks": min(MOST, max(LEAST, int(sizes["rate"] * NOOP_SECONDS)))}


def enqueue_sizes(system: System, tasks: int | None) -> Sizes:
    """Return how many tasks are enqueued one by one, and how many in bulk."""

    def rate(how: str, count: int) -> float:
        figures = produce(system, count if how == "one" else 0, count if how == "bulk" else 0)
        return float(figures[f"{how}: tasks/s"])

    one = tasks or sized(lambda count: rate("one", count), ENQUEUE_SECONDS)
    bulk = 0 if not system.bulk else tasks or sized(lambda count: rate("bulk", count), ENQUEUE_SECONDS)
    return {"one": one, "bulk": bulk}


def sleepers_sizes(system: System, tasks: int | None) -> Sizes:
    """Return how many slots and tasks a run of sleepers has."""

    def count(slots: int) -> int:
        return min(SLEEPERS, SLEEPS_A_SLOT * slots)

    if tasks:
        return {"slots": min(tasks, *system.sleep_slots), "tasks": tasks}
    sizes = fastest(system, "sleep", count, system.sleep_slots)
    return sizes | {"tasks": count(sizes["slots"])}
