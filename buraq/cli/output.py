"""How the command line prints: tables for people, JSON for programs, nothing that could give the terminal orders."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from buraq.inspector import REMEDY, Broken
from buraq.log import harmless

NOTHING = "-"


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings. Numbers stand to the right; on a terminal the last column is cut to its width."""
    lines = [[cell(value) for value in row] for row in rows]
    right = [all(_is_number(value) for value in column) and bool(lines) for column in zip(*lines, strict=True)]
    right = right or [False] * len(headings)
    widths = [max(len(text) for text in column) for column in zip(headings, *lines, strict=True)]
    limit = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, line in enumerate([list(headings), *lines]):
        parts = [
            text.rjust(width) if at_right else text.ljust(width)
            for text, width, at_right in zip(line, widths, right, strict=True)
        ]
        text = "  ".join(parts).rstrip()
        if limit is not None and len(text) > limit:
            text = text[: limit - 1] + "…"
        click.echo(click.style(text, bold=True) if number == 0 else text)


def cell(value: object) -> str:
    """Return a value as one line of a table."""
    if value is None or value == "":
        return NOTHING
    return harmless(" ".join(str(value).split()))


def _is_number(text: str) -> bool:
    return text == NOTHING or text.replace(".", "", 1).replace("%", "").replace(" ", "").isdecimal()


def age(seconds: float) -> str:
    """Return a span of time as people read it: 0.4s, 12s, 3m20s, 5h12m, 9d4h."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for unit, size, below, smaller in (("d", 86_400, "h", 3_600), ("h", 3_600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}{rest}{below}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


def moment(unix_ms: int) -> str:
    """Return a moment as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(number: int, what: str) -> str:
    """Return `1 dead letter`, `12,000 dead letters`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def say_broken(broken: Broken) -> None:
    """Name the keys that could not be read, where they do not disturb who reads the JSON."""
    for key in sorted(key for keys in broken.values() for key in keys):
        click.echo(f"{harmless(key)} holds another type of value than Buraq's: {REMEDY}", err=True)
