"""The plots, as PNG and SVG. Without matplotlib there is none, and that is said."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.histogram import Histogram
from benchmarks.words import short

OURS, OTHERS = "#0b7a75", "#9aa5b1"
COLOURS = ("#0b7a75", "#d17a22", "#6c5b9e", "#b3404a", "#4a7fb0", "#6b705c", "#2f3e46")

Point = tuple[float, Mapping[str, float]]  # x, and a figure with its median and its range


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError:
        print("no plot without matplotlib: pip install -r requirements-dev.txt", file=sys.stderr)
        return None
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "buraq"  # else the same figures make another file each time
    from matplotlib import pyplot

    return pyplot


def _write(pyplot: Any, figure: Any, path: Path) -> None:
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True, parents=True)
    for ending in ("png", "svg"):
        figure.savefig(f"{path}.{ending}", dpi=150, metadata={"Date": None} if ending == "svg" else None)
    pyplot.close(figure)


def bars(path: Path, panels: Mapping[str, Mapping[str, float]], note: str) -> None:
    """Draw one panel of bars for each figure, ours first, and a note below them."""
    if not (pyplot := _pyplot()):
        return
    tallest = max(len(values) for values in panels.values())
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 1.2 + 0.32 * tallest), squeeze=False)
    for axis, (title, values) in zip(axes[0], panels.items(), strict=True):
        drawn = axis.barh(list(values), list(values.values()), color=[OURS, *[OTHERS] * (len(values) - 1)])
        axis.bar_label(drawn, labels=[short(value) for value in values.values()], padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.set_ylim(tallest - 0.4, -0.6)  # bars of the same height in all panels, the first on top
        axis.margins(x=0.18)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel(note, fontsize=8, x=0.01, ha="left")
    _write(pyplot, figure, path)


def lines(path: Path, x: str, panels: Mapping[str, Mapping[str, Sequence[Point]]]) -> None:
    """Draw one panel for each figure, with a line of medians for each series and its range as a bar at each point."""
    if not (pyplot := _pyplot()):
        return
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.5 * len(panels), 3.6), squeeze=False)
    for axis, (title, series) in zip(axes[0], panels.items(), strict=True):
        for (label, points), colour in zip(series.items(), COLOURS, strict=False):
            middle = [figure["median"] for _, figure in points]
            down = [figure["median"] - figure["low"] for _, figure in points]
            up = [figure["high"] - figure["median"] for _, figure in points]
            places = [place for place, _ in points]
            axis.errorbar(places, middle, [down, up], label=label, color=colour, marker="o", ms=4, capsize=3, lw=1.5)
        axis.set_xscale("log")
        places = sorted({place for points in series.values() for place, _ in points})
        axis.set_xticks(places, [f"{place:,.0f}" for place in places])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_xlabel(x, fontsize=9)
        axis.set_title(title, fontsize=10)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        _plain(axis, legend=len(series) > 1 and axis is axes[0][0])
    _write(pyplot, figure, path)


def percentiles(path: Path, title: str, curves: Mapping[str, Histogram]) -> None:
    """Draw how long the slowest share of all waits took at least: each step to the right is ten times as rare."""
    if not (pyplot := _pyplot()):
        return
    from matplotlib import ticker

    figure, axis = pyplot.subplots(figsize=(8, 4.2))
    for (label, histogram), colour in zip(curves.items(), COLOURS, strict=False):
        shares, times = histogram.curve()
        axis.plot([1 / (1 - share) for share in shares], times, label=label, color=colour, lw=1.6)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(left=1)
    axis.set_xticks([1, 2, 10, 100, 1000, 10_000], ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"])
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.minorticks_off()
    axis.set_xlabel("of all tasks, this share started", fontsize=9)
    axis.set_ylabel("within ms", fontsize=9)
    axis.set_title(title, fontsize=10)
    _plain(axis, legend=True)
    _write(pyplot, figure, path)


def _plain(axis: Any, legend: bool) -> None:
    axis.grid(True, which="major", alpha=0.25)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    if legend:
        axis.legend(fontsize=8, frameon=False)
