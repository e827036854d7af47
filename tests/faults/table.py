"""Prints the table of docs/reliability.md, and what README.md says of it, from the results of the last large run.

`python -m tests.faults.table` does it.
"""

import json
import re
from typing import Any

from tests.faults.results import FILE

COUNTS = ("kills", "accepted", "lost", "runs", "run twice", "committed twice", "leftovers")
HEAD = ("fault", "what happens", *COUNTS, "seconds to recover: p50, p99, max")


def rows() -> list[list[str]]:
    """Return the table, its head first."""
    faults: dict[str, Any] = json.loads(FILE.read_text())["faults"]
    table = [[*HEAD]]
    for fault, found in faults.items():
        table.append([fault, found["what"], *(f"{found[name]:,}" for name in COUNTS), seconds(found)])
    return table


def seconds(found: dict[str, Any]) -> str:
    """Return what was measured of a fault's recovery, in words."""
    measured = [("", found["recovery s"]), ("suspects ", found["recovery of suspects s"])]
    texts = [who + ", ".join(f"{value:.1f}" for value in spread.values()) for who, spread in measured if spread]
    if "completed" in found:
        texts.append(f"all completed {found['completed']:.1f}")
    return "; ".join(texts) or "–"


def total() -> str:
    """Return what all rows come to, and where something was lost or committed twice."""
    faults: dict[str, Any] = json.loads(FILE.read_text())["faults"]
    killed, accepted, runs = (sum(found[name] for found in faults.values()) for name in ("kills", "accepted", "runs"))
    said = [f"In all {len(faults)} rows: {killed:,} kills, {accepted:,} tasks accepted, {runs:,} runs"]
    for name in ("lost", "committed twice"):
        where = [fault for fault, found in faults.items() if found[name]]
        said.append(f"{name} {sum(found[name] for found in faults.values())} ({', '.join(where) or 'nowhere'})")
    commits = {found["machine"]["commit"].removesuffix("-dirty"): None for found in faults.values()}  # by their rows
    return f"{'; '.join(said)}. Measured on {', '.join(commits)}."


def headline() -> str:
    """Return what the faults come to of which the promises are: those of one server, or one that loses nothing."""
    faults: dict[str, Any] = json.loads(FILE.read_text())["faults"]
    kept = [
        found for fault, found in faults.items() if (number := int(re.findall(r"\d+", fault)[0])) < 22 and number != 16
    ]
    killed, accepted, twice = (sum(found[name] for found in kept) for name in ("kills", "accepted", "run twice"))
    lost, committed = (sum(found[name] for found in kept) for name in ("lost", "committed twice"))
    return (
        f"{len(kept)} faults, {killed:,} kills, {accepted:,} tasks accepted: {lost} lost, {committed} committed twice, "
        f"{twice:,} run twice"
    )


def markdown() -> str:
    """Return the table and its total as they stand in the docs."""
    head, *body = rows()
    lines = [head, ["---", "---", *["---:"] * (len(head) - 2)], *body]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", total()])


if __name__ == "__main__":
    print(markdown())
    print(headline())
