"""How figures are written: on the terminal, in plots."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence

NARROWEST, UNKNOWN = 80, 140  # characters of a line; the second where it is not a terminal that is written to


def short(value: float) -> str:
    """Return a figure with no more digits than it is worth."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def line(figures: Mapping[str, object]) -> str:
    """Return the figures of one run as one line."""
    return ", ".join(f"{name} {short(value)}" for name, value in figures.items() if isinstance(value, int | float))


def cell(figure: Mapping[str, float] | None) -> str:
    """Return a median with its range."""
    if figure is None:
        return "-"
    return f"{short(figure['median'])} ({short(figure['low'])}–{short(figure['high'])})"


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; one that is wider than the terminal in parts, each with the first column before it."""
    table = [list(headings), *map(list, rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(headings))]
    most = max(NARROWEST, shutil.get_terminal_size().columns) if sys.stdout.isatty() else UNKNOWN
    parts: list[list[int]] = [[0]]
    for column in range(1, len(headings)):
        if len(parts[-1]) > 1 and sum(widths[n] + 2 for n in parts[-1]) + widths[column] > most:
            parts.append([0])
        parts[-1].append(column)
    for number, part in enumerate(parts):
        if number:
            print()
        for row in table:
            print("  ".join(row[n].ljust(widths[n]) for n in part).rstrip())
