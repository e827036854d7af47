"""What the benchmarks share: a fresh server for each run, cases in turn, medians with their ranges, a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.machine import machine, weather
from benchmarks.words import cell, line, print_table
from buraq.config import SETTINGS

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
RUNS = 5
WARM_UP_RUNS = 1

Figures = dict[str, Any]  # of one run: numbers, and what belongs to it beside them
Run = Callable[[], Figures]

# Settings that say where things are, or who hears of them: a benchmark has its own. The others hold, and are written
# down: `FETCH_BATCH_SIZE=500 make bench NAME=process` is a fair question.
_OWN = ("redis_url", "stream_name", "group_name", "dlq_stream_name", "events_channel", "app", "enable_mock_tasks")
_OWN_VARIABLES = {variable for setting in SETTINGS if setting.field in _OWN for variable in setting.variables}


# -- servers and processes


@contextmanager
def fresh_server(*options: str, aof: bool = False) -> Iterator[Redis]:
    """Start an empty server, without persistence or with its append-only file on, and stop it in the end."""
    from tests.servers import Server

    server = Server("valkey", aof=aof, options=options)
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


def environment(client: Redis, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what the processes of a benchmark find in their environment, `settings` of the benchmark's own too."""
    bare = {name.removeprefix("BURAQ_") for name in _OWN_VARIABLES}
    kept = {name: value for name, value in os.environ.items() if name.removeprefix("BURAQ_") not in bare}
    own = {"REDIS_URL": url_of(client), "PYTHONPATH": str(ROOT), "METRICS_PORT": "", "LOG_LEVEL": "error"}
    return kept | own | dict(settings or {})


def in_child(
    module: str, client: Redis, *arguments: object, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run `benchmarks.<module>` in a process of its own and return the JSON that it prints last."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    env = environment(client, settings)
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


# -- runs


def alternate(cases: Mapping[str, Run], runs: int, warm_up: int = WARM_UP_RUNS) -> list[dict[str, Any]]:
    """Do several cases in turn, round by round, so that a machine that grows slower does so for all of them.

    The first rounds are thrown away. A case that fails is said to have failed, and is not tried again.
    """
    seen: dict[str, list[Figures]] = {case: [] for case in cases}
    failed: dict[str, str] = {}
    for number in range(warm_up + runs):
        for case, run in cases.items():
            if case in failed:
                continue
            read_weather = weather()
            try:
                figures = run() | read_weather()
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                failed[case] = str(error)
                print(f"  {case} failed: {error}", file=sys.stderr)
                continue
            if number >= warm_up:
                seen[case].append(figures)
            word = f"run {number - warm_up + 1}" if number >= warm_up else "warm-up"
            print(f"  {case}, {word}: {line(figures)}", file=sys.stderr)
    return [failure(case, failed[case]) if case in failed else summary(case, seen[case]) for case in cases]


def repeat(case: str, run: Run, runs: int, warm_up: int = WARM_UP_RUNS) -> dict[str, Any]:
    """Do one case several times. Raises RuntimeError when it fails."""
    [done] = alternate({case: run}, runs, warm_up)
    if done["failed"]:
        raise RuntimeError(done["failed"])
    return done


def failure(case: str, why: str) -> dict[str, Any]:
    """Return what is reported of a case that failed."""
    return {"case": case, "failed": why, "figures": {}, "runs": []}


def summary(case: str, seen: Sequence[Figures]) -> dict[str, Any]:
    """Return what is reported of a case: each figure's median and range, and all runs."""
    return {"case": case, "failed": "", "figures": medians(seen), "runs": list(seen)}


def medians(seen: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Return the median and the range of each figure."""
    names = [name for name, value in seen[0].items() if isinstance(value, int | float)] if seen else []
    return {
        name: {
            "median": statistics.median(row[name] for row in seen),
            "low": min(row[name] for row in seen),
            "high": max(row[name] for row in seen),
        }
        for name in names
    }


# -- options and results


def parser(question: str | None, *, aof: bool = False) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=question, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    made.add_argument("--runs", type=int, default=RUNS, help="that count; one more is thrown away before them")
    made.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    made.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where they are written")
    if aof:
        made.add_argument("--aof", action="store_true", help="with the server's append-only file on")
    return made


def measure(name: str, cases: Mapping[str, Run], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Do all cases, report them, and return them. Exits with 1 when one has failed."""
    runs, warm_up = (1, 0) if options.quick else (options.runs, WARM_UP_RUNS)
    done = alternate(cases, runs, warm_up)
    report(name, done, vars(options), keep=not options.quick, folder=options.results)
    if any(case["failed"] for case in done):
        sys.exit(1)
    return done


def report(
    name: str,
    cases: Sequence[dict[str, Any]],
    settings: Mapping[str, Any],
    keep: bool = True,
    folder: Path = RESULTS,
    show: bool = True,
) -> None:
    """Print a table of medians with their ranges, and write all runs with machine and versions to a file.

    Without `keep` it only prints: tiny sizes show that a script works, and no figure of them is worth a file.
    """
    if show:
        _print(cases)
    if keep:
        folder.mkdir(exist_ok=True, parents=True)
        written = {"benchmark": name, "machine": machine(), "settings": _shown(settings), "cases": list(cases)}
        part = folder / f"{name}.json.part"  # renamed, so that an interrupted run leaves the last whole file
        part.write_text(as_json(written))
        part.replace(folder / f"{name}.json")


def _print(cases: Sequence[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(figure for case in cases for figure in case["figures"]))
    rows = [[case["case"], *(cell(case["figures"].get(figure)) for figure in names)] for case in cases]
    print_table(["case", *names], rows)
    for case in cases:
        if case.get("failed"):
            print(f"{case['case']} failed: {case['failed'].strip().splitlines()[-1]}")


def as_json(value: Any) -> str:
    """Return a JSON document to keep: six digits of each figure, and numbers that belong together on one line."""

    def rounded(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: rounded(member) for name, member in part.items()}
        if isinstance(part, list | tuple):
            return [rounded(member) for member in part]
        return float(f"{part:.6g}") if isinstance(part, float) else part

    text = json.dumps(rounded(value), indent=1, ensure_ascii=False)
    of_numbers = r"\[[\d\s.,e-]+\]|\{\s+\"median\"[^{}]+\}"
    return re.sub(of_numbers, lambda found: " ".join(found[0].split()), text) + "\n"


def _shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a benchmark, and those of Buraq's that the environment changes."""
    variables = {variable for setting in SETTINGS for variable in setting.variables} - _OWN_VARIABLES
    named = [*variables, *(f"BURAQ_{variable}" for variable in variables)]
    changed = {name: os.environ[name] for name in sorted(named) if name in os.environ}
    shown = {name: value for name, value in settings.items() if name not in ("results", "quick")}
    return shown | ({"environment": changed} if changed else {})
