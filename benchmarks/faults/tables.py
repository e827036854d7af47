"""What was found, kept in one file, and shown as a table on a terminal or in Markdown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.faults.scenes import PATIENCE_S
from benchmarks.faults.systems import SYSTEMS
from benchmarks.harness import RESULTS, percentile

FILE = RESULTS / "faults.json"

Found = dict[str, Any]

# The columns of each scene: what a figure is called in the table, and in the file.
_COUNTS = {
    "accepted": "accepted",
    "lost": "lost",
    f"not recovered in {PATIENCE_S:g} s": "not recovered",
    "given up": "given up",
    "runs": "runs",
}
_ENDS = {
    "ran twice": "ran twice",
    "at once": "at once",
    "committed twice": "committed twice",
    "leftovers": "leftovers",
}
COLUMNS: dict[str, dict[str, str]] = {
    "F1": {**_COUNTS, "kills": "kills", "cut off": "cut off", **_ENDS},
    "F3": {
        **_COUNTS,
        "restarts": "restarts",
        "cut off": "cut off",
        **_ENDS,
        "slowest stop, s": "slowest stop s",
        "killed after the grace": "killed after the grace",
    },
    "F11": {
        "tasks": "tasks",
        "runs of the computing task": "runs of the computing task",
        "neighbours run twice": "neighbours run twice",
        "at once": "at once",
        "committed twice": "committed twice",
        "not ended": "not ended",
    },
}
RECOVERING = {"F1", "F1 quiet"}
COLUMNS |= {"F1 quiet": COLUMNS["F1"], "F11 long": COLUMNS["F11"]}
TITLES = {
    "F1": "F1: a worker process that runs a task is killed every one to three seconds, under load",
    "F1 quiet": "F1 quiet: the same for a fourth of the time; then one short task a second",
    "F3": "F3: the workers are stopped by SIGTERM and started again, one after the other",
    "F11": "F11: a task computes for three windows in a full process; its neighbours sleep for half a window",
    "F11 long": "F11: the same; its neighbours sleep as long as it computes",
}


def load() -> Found:
    """Return all that was found so far: by scene, by system, the runs."""
    return json.loads(FILE.read_text()) if FILE.exists() else {"benchmark": "faults", "scenes": {}}


def keep(found: Found, scene: str, system: str, run: Found) -> None:
    """Put a run where the one with the same seed and length was, and write the file."""
    runs = found["scenes"].setdefault(scene, {}).setdefault(system, [])
    runs[:] = [one for one in runs if (one["seed"], one["length s"]) != (run["seed"], run["length s"])] + [run]
    RESULTS.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


def rows(scene: str, found: Found) -> list[list[str]]:
    """Return the table of a scene, its head first; the runs of a system are added up."""
    columns = COLUMNS[scene]
    recovery = ["recovery p50, s", "p99", "max"] if scene in RECOVERING else []
    table = [["system", *columns, *recovery]]
    for key, system in SYSTEMS.items():
        if runs := found["scenes"].get(scene, {}).get(key):
            figures = [run["figures"] for run in runs]
            row = [system.name, *(_cell([one[figure] for one in figures], figure) for figure in columns.values())]
            if recovery:
                seconds = [second for one in figures for second in one["recoveries s"]]
                row += [f"{percentile(seconds, share):.1f}" if seconds else "-" for share in (0.5, 0.99, 1.0)]
            table.append(row)
    return table


def _cell(values: Sequence[Any], figure: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if figure.endswith(" s"):
        return f"{max(known):.1f}"
    return f"{sum(known):,}"


def text(table: Sequence[Sequence[str]]) -> str:
    """Return a table for a terminal."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = ("  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in table)
    return "\n".join(lines)


def markdown(found: Found) -> str:
    """Return all tables with the settings, for docs/reliability.md."""
    parts = []
    for scene, title in TITLES.items():
        head, *body = rows(scene, found)
        if body:
            lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
            parts.append(f"**{title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    tested = {key for systems in found["scenes"].values() for key in systems}
    settings = [["system", "window, s", "settings", "kept alive by", "remark"], ["---", "---:", "---", "---", "---"]]
    settings += [
        [system.name, f"{system.window:g}", system.settings, system.alive, system.remark]
        for key, system in SYSTEMS.items()
        if key in tested
    ]
    parts.append("**Settings**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in settings))
    return "\n\n".join(parts) + "\n"
