"""F1: worker processes are killed. F3: they are restarted one after the other. F11: one computes for three windows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.faults.ledger import WAKE, Run, at_once, pid_of, recoveries
from benchmarks.faults.stage import Stage
from benchmarks.faults.units import Unit

WORKERS = 2
LONGEST_TASK_S = 2.0
KILL_EVERY_S = (1.0, 3.0)
QUIET_SHARE = 4  # a fourth of the time, and of the tasks: what was cut off comes back to a queue that is nearly idle
GRACE_S = 35.0  # from SIGTERM to SIGKILL
PATIENCE_S = 180.0  # for what was cut off to run again, after the last kill

Figures = dict[str, Any]


def kills(stage: Stage, seconds: float) -> Figures:
    """Kill a random worker process that runs a task every one to three seconds; then wait for all tasks to run."""
    _fill(stage, seconds)
    _workers(stage)
    stage.working()
    began, done = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        due = time.monotonic() + stage.random.uniform(*KILL_EVERY_S)
        stage.until(lambda due=due: time.monotonic() > due, LONGEST_TASK_S * 2)
        done += stage.until(stage.kill_one, began + seconds - time.monotonic())
    return {"kills": done, **_finish(stage, began)}


def restarts(stage: Stage, seconds: float) -> Figures:
    """Stop and start the workers one after the other, each as soon as the one before works again."""
    _fill(stage, seconds)
    units = [stage.unit() for _ in range(WORKERS)]
    stage.working()
    began, done, slow, codes = time.monotonic(), 0, 0.0, set()
    forced = 0
    while time.monotonic() < began + seconds:
        unit = units[done % WORKERS]
        before = time.monotonic()
        unit.terminate()
        if not stage.until(lambda unit=unit: unit.ended() is not None, GRACE_S):
            forced += 1
            stage.ledger.kill([process.pid for process in unit.tree()], time.monotonic())
            unit.kill()
        codes.add(unit.ended())
        slow = max(slow, time.monotonic() - before)
        unit.start()
        done += 1
        stage.until(lambda unit=unit: _works(stage, unit) or not stage.ledger.outstanding(), GRACE_S)
    figures = _finish(stage, began)
    return {
        "restarts": done,
        "killed after the grace": forced,
        "slowest stop s": slow,
        "codes": sorted(codes),
        **figures,
    }


def blocked(stage: Stage, longs: bool) -> Figures:
    """Have a task compute for three windows in a full process, while another process has room.

    Its neighbours sleep for half a window, or as long as it computes.
    """
    span = 3 * stage.window
    stage.unit()
    neighbours = {stage.send("nap", span if longs else stage.window / 2) for _ in range(stage.system.slots - 1)}
    if not stage.until(lambda: neighbours <= stage.ledger.runs.keys(), 60):
        raise RuntimeError(f"the neighbours did not all start:\n{stage.logs()}")
    guilty = stage.send("burn", span)
    if not stage.until(lambda: guilty in stage.ledger.runs, 60):
        raise RuntimeError(f"the computing task did not start:\n{stage.logs()}")
    began = time.monotonic()
    stage.unit()
    stage.wake()
    stage.until(lambda: not stage.ledger.outstanding() and not _counted(stage.ledger.running()), 2 * span + 60)
    now = time.monotonic()
    ledger = stage.ledger
    twice = {task for task in neighbours if len(ledger.runs[task]) > 1}
    return {
        "tasks": len(neighbours) + 1,
        "neighbours run twice": len(twice),
        "runs of the computing task": len(ledger.runs[guilty]),
        "at once": sum(at_once(ledger.runs[task], now) for task in neighbours | {guilty}),
        "not ended": len(ledger.outstanding()),
        "committed twice": _doubles(stage),
        "seconds": now - began,
    }


def _fill(stage: Stage, seconds: float) -> None:
    """Enqueue as many tasks of zero to two seconds as the workers need that long for."""
    for _ in range(int(WORKERS * stage.system.slots * seconds / (LONGEST_TASK_S / 2))):
        stage.send("nap", stage.random.uniform(0, LONGEST_TASK_S))


def _workers(stage: Stage) -> None:
    """Start two worker processes: under their own parent if that keeps them alive, else as two services."""
    if stage.system.respawns:
        stage.unit(WORKERS)
    else:
        for _ in range(WORKERS):
            stage.unit()


def _finish(stage: Stage, began: float) -> Figures:
    """Wait until everything has run, or for so long; count."""
    stage.wake()
    stage.until(lambda: not stage.ledger.outstanding() and not _counted(stage.ledger.running()), PATIENCE_S)
    took = time.monotonic() - began
    lost, waiting, given_up = stage.remains()
    ledger, now = stage.ledger, time.monotonic()
    counted = {task: runs for task, runs in ledger.runs.items() if not task.startswith(WAKE)}
    seconds = [second for runs in counted.values() for second in recoveries(runs)]
    return {
        "accepted": len([task for task in ledger.accepted if not task.startswith(WAKE)]),
        "refused": len(ledger.refused),
        "lost": len(lost),
        "not recovered": len(waiting),
        "given up": len(given_up),
        "runs": sum(map(len, counted.values())),
        "cut off": sum(run.cut is not None for runs in counted.values() for run in runs),
        "ran twice": sum(sum(run.end is not None for run in runs) > 1 for runs in counted.values()),
        "at once": sum(at_once(runs, now) for runs in counted.values()),
        "committed twice": _doubles(stage),
        "recoveries s": sorted(round(second, 3) for second in seconds if second is not None),
        "cut off and never again": seconds.count(None),
        "leftovers": stage.leftovers(),
        "seconds": took,
    }


def _counted(running: dict[str, Run]) -> list[str]:
    return [task for task in running if not task.startswith(WAKE)]


def _doubles(stage: Stage) -> int | None:
    return None if stage.commits is None else sum(count > 1 for count in stage.commits.values())


def _works(stage: Stage, unit: Unit) -> bool:
    """Whether a task runs in a process of a unit."""
    processes = {process.pid for process in unit.tree()}
    return any(pid_of(run.process) in processes for run in stage.ledger.running().values())


SCENES: dict[str, Callable[[Stage, float], Figures]] = {
    "F1": kills,
    "F1 quiet": lambda stage, seconds: kills(stage, seconds / QUIET_SHARE),
    "F3": restarts,
    "F11": lambda stage, seconds: blocked(stage, longs=False),
    "F11 long": lambda stage, seconds: blocked(stage, longs=True),
}
