"""The same work on other Python task queues: no-op tasks, enqueueing, and sleepers, in turn with Buraq.

Each system runs in a virtual environment of its own, which this script builds, with the fastest settings that it
documents and that keep what it has of safety; the settings are written beside the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.harness import RESULTS, alternate, bars, fresh_server, report, server_cpu, url_of
from benchmarks.systems import REQUIREMENTS, SYSTEMS, System

HERE = Path(__file__).parent / "peers"
VENVS = Path(__file__).parent / ".venvs"

LEAST, MOST = 500, 400_000  # tasks of one run
ENOUGH = 1.0  # seconds of a first run that tell how many tasks a run takes
NOOP_SECONDS, ENQUEUE_SECONDS = 7.0, 4.0
SLEEPERS = 10_000
SLEEPS_A_SLOT = 10
PATIENCE = 120.0

MEASURED = {
    "noop": "seconds from the start of the first task to the end of the last one, by the worker process's own "
    "monotonic clock; its CPU in the same time; all tasks wait before it starts",
    "enqueue": "seconds in the enqueueing process, after ten calls that are not counted",
    "sleepers": f"as noop, with one-second sleeps; {SLEEPERS:,} of them, or {SLEEPS_A_SLOT} for each slot",
}


def build(venv: str) -> Path:
    """Return the folder of a system's programs; its environment is built first where it is not as it should be."""
    if not venv:
        return Path(sys.executable).parent
    folder, wanted = VENVS / venv, "\n".join(REQUIREMENTS[venv])
    built = folder / ".requirements"  # written last
    if not built.exists() or built.read_text() != wanted:
        print(f"  building {folder}", file=sys.stderr)
        VENVS.mkdir(exist_ok=True)
        (VENVS / ".gitignore").write_text("*\n")
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder])
        pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--python", folder / "bin/python"]
        _run([*pip, "install", *REQUIREMENTS[venv]])
        built.write_text(wanted)
    return folder / "bin"


def versions(venv: str) -> list[str]:
    """Return what is installed for a system."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", build(venv) / "python"]
    return _run([*pip, "freeze", "--exclude-editable"]).split()


def _run(command: Sequence[object], **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)), env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def environment(system: System, client: Redis, **more: object) -> dict[str, str]:
    """Return what the programs of a system find in their environment."""
    return {
        "REDIS_URL": url_of(client),
        "PYTHONPATH": str(HERE),
        "METRICS_PORT": ":0",
        "LOG_LEVEL": "error",
        **system.environment,
        **{name: str(value) for name, value in more.items()},
    }


def enqueue(system: System, client: Redis, how: str, task: str, tasks: int, *cold: str) -> dict[str, Any]:
    """Enqueue tasks from a process of its own, and return what that took."""
    command = [build(system.venv) / "python", HERE / "produce.py", system.module, how, task, tasks, *cold]
    return dict(json.loads(_run(command, **environment(system, client)).splitlines()[-1]))


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
            env={**os.environ, **environment(system, client, **more)},
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


def work(system: System, task: str, tasks: int, slots: int) -> dict[str, float]:
    """Have one worker process run what waits on a fresh server."""
    with fresh_server() as client, tempfile.TemporaryDirectory() as folder:
        enqueue(system, client, "bulk", task, tasks, "cold")
        told, deadline, before = Path(folder) / "figures", time.monotonic() + PATIENCE, server_cpu(client)
        with working(system, client, slots, tasks, told) as process:
            while not told.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    log = told.with_suffix(".log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{system.name} did not end {tasks} tasks:\n{log}")
                time.sleep(0.02)
            figures, used = json.loads(told.read_text()), server_cpu(client) - before
    return {
        "tasks/s": tasks / figures["seconds"],
        "worker µs/task": figures["cpu"] / tasks * 1e6,
        "server µs/task": used / tasks * 1e6,
        "MB": figures["bytes"] / 1e6,
        "slots": slots,
        "tasks": tasks,
    }


def produce(system: System, one: int, bulk: int) -> dict[str, float]:
    """Enqueue on fresh servers: one task a call, and all in bulk where the system can."""
    figures: dict[str, float] = {}
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


def sized(rate: Callable[[int], float], seconds: float) -> int:
    """Return how many tasks a run takes to last about `seconds`, by trying with more and more of them."""
    tasks = LEAST
    while (measured := rate(tasks)) and tasks / measured < ENOUGH and tasks < MOST:
        tasks = min(MOST, tasks * 6)
    return min(MOST, max(LEAST, int(measured * seconds)))


def noop_case(system: System, tasks: int | None) -> Callable[[], dict[str, float]]:
    """Return a run of no-op tasks, as many as the system needs for some seconds unless `tasks` says.

    How many slots are fastest depends on the machine, so each number that may be is tried first.
    """

    def rate(count: int, slots: int) -> float:
        return work(system, "noop", count, slots)["tasks/s"]

    best = system.slots[0]
    if tasks is None:
        some = sized(lambda count: rate(count, best), 2 * ENOUGH)
        rates = {slots: rate(some, slots) for slots in system.slots}
        best = max(rates, key=rates.__getitem__)
        tasks = min(MOST, max(LEAST, int(rates[best] * NOOP_SECONDS)))
        print(f"  {system.name}: {best} slots, {tasks:,} tasks", file=sys.stderr)
    count = tasks
    return lambda: work(system, "noop", count, best)


def enqueue_case(system: System, tasks: int | None) -> Callable[[], dict[str, float]]:
    """Return a run of enqueueing."""

    def rate(how: str, count: int) -> float:
        figures = produce(system, count if how == "one" else 0, count if how == "bulk" else 0)
        return figures[f"{how}: tasks/s"]

    one = tasks or sized(lambda n: rate("one", n), ENQUEUE_SECONDS)
    bulk = 0 if not system.bulk else tasks or sized(lambda n: rate("bulk", n), ENQUEUE_SECONDS)
    return lambda: produce(system, one, bulk)


def sleepers_case(system: System, tasks: int | None) -> Callable[[], dict[str, float]]:
    """Return a run of sleepers."""
    slots = min(system.sleep_slots, tasks or SLEEPERS)
    count = slots if tasks else min(SLEEPERS, SLEEPS_A_SLOT * slots)
    return lambda: work(system, "sleep", count, slots)


WORKS = {"noop": noop_case, "enqueue": enqueue_case, "sleepers": sleepers_case}
PLOTTED = {
    "noop": {"no-op tasks/s, one process": "tasks/s"},
    "enqueue": {"enqueued/s, one task a call": "one: tasks/s", "enqueued/s, in bulk": "bulk: tasks/s"},
    "sleepers": {"one-second sleepers/s": "tasks/s"},
}


def lead(done: Sequence[dict[str, Any]], figure: str) -> dict[str, str]:
    """Say how many times the fastest other system Buraq is, round by round."""
    ours = [row[figure] for case in done if case["case"] == SYSTEMS["buraq"].name for row in case["runs"]]
    others = [case for case in done if case["case"] != SYSTEMS["buraq"].name and case["runs"]]
    if not ours or not others:
        return {}
    fastest = max(others, key=lambda case: float(case["figures"][figure]["median"]))
    times = sorted(mine / row[figure] for mine, row in zip(ours, fastest["runs"], strict=False))
    middle, low, high = statistics.median(times), times[0], times[-1]
    return {"lead": f"Buraq is {middle:.1f} ({low:.1f}–{high:.1f}) times as fast as {fastest['case']}, the next"}


def measure(name: str, systems: Sequence[System], options: argparse.Namespace) -> None:
    """Do one kind of work on all systems, and report it."""
    cases: dict[str, Callable[[], dict[str, float]]] = {}
    for system in systems:
        try:
            cases[system.name] = WORKS[name](system, options.tasks)
        except RuntimeError as error:
            print(f"  {system.name} is left out: {error}", file=sys.stderr)
    done = alternate(cases, options.runs, warm_up=0 if options.quick else 1)
    settings = {
        "runs": options.runs,
        "measured": MEASURED[name],
        "systems": {
            system.name: {
                "settings": system.settings,
                "acknowledges": system.safety,
                "command": " ".join(system.command),
                "environment": system.environment,
                "packages": versions(system.venv) if not options.quick else [],
            }
            for system in systems
        },
    }
    leading = lead(done, next(iter(PLOTTED[name].values())))
    report(f"peers-{name}", done, settings | leading, keep=not options.quick)
    for words in leading.values():
        print(words)
    if options.quick and len([case for case in done if case["runs"]]) < len(systems):
        sys.exit(1)


def plot() -> None:
    """Draw what the last runs wrote, so that the works may be measured one by one."""
    panels: dict[str, dict[str, float]] = {}
    for name, figures in PLOTTED.items():
        written = RESULTS / f"peers-{name}.json"
        cases = json.loads(written.read_text())["cases"] if written.exists() else []
        for title, figure in figures.items():
            values = {case["case"]: case["figures"][figure]["median"] for case in cases if figure in case["figures"]}
            if values:
                panels[title] = values
    if panels:
        bars("peers", panels)


def main() -> None:
    """Run all works on all systems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="*", choices=[*SYSTEMS], default=[*SYSTEMS])
    parser.add_argument("--works", nargs="*", choices=[*WORKS], default=[*WORKS])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tasks", type=int, help="of one run; else as many as take some seconds")
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    parser.add_argument("--plot", action="store_true", help="only draw what was measured before")
    options = parser.parse_args()
    if options.quick:
        options.runs, options.tasks = 1, options.tasks or 20
        if options.systems == [*SYSTEMS]:
            options.systems = ["buraq", "huey-threads"]
    if options.plot:
        return plot()
    systems = [system for name, system in SYSTEMS.items() if name in options.systems]
    for system in systems:
        build(system.venv)
    for name in options.works:
        print(f"\n{name}", file=sys.stderr)
        measure(name, systems, options)
    if not options.quick:
        plot()


if __name__ == "__main__":
    main()
