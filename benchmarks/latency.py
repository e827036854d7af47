"""How long from enqueue to start: on an idle worker, at 20, 50 and 80 % of its top rate, and from a due time?

Tasks arrive at random times that were fixed beforehand, and their wait counts from the time at which they should have
arrived (benchmarks/load.py). The top rate is measured in each round, with the same process enqueueing as fast as the
worker takes tasks, on the same cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.children import STREAM, Child, wait_until_left
from benchmarks.harness import Figures, fresh_server, measure, parser, server_cpu
from benchmarks.histogram import Histogram
from benchmarks.plots import percentiles

SETTLED_IN = 1.0  # seconds of a run in which slots are made and caches filled; waits of that time do not count


def run(options: argparse.Namespace, skip: float, *load: object) -> Figures:
    """One run on a fresh server: a worker that waits for tasks, and a process that sends them."""
    with fresh_server() as client, Child("consume", client, "--slots", options.slots, "--skip", skip) as worker:
        worker.begin()
        idle(client, options.slots)
        with Child("load", client, *load) as sender:
            before = server_cpu(client)
            sender.begin()
            sent = sender.figures()
        wait_until_left(lambda: int(client.xlen(STREAM)), [worker], 0, sent["tasks"])
        used = server_cpu(client) - before
        worker.end()
        told = worker.figures()
    figures = {
        "started/s": told["rate"],
        **Histogram(told["waits"]).figures(),
        "worker cores": told["cpu"] / sent["seconds"],
        "server cores": used / sent["seconds"],
        "sender cores": sent["cpu"] / sent["seconds"],
    }
    if "late" in sent:
        figures["sender late p99 ms"] = sent["late"] * 1e3
    return figures | {"waits": told["waits"]}


def idle(client: Redis, slots: int) -> None:
    """Return when the worker waits in its blocking read."""
    while not client.info("clients")["blocked_clients"]:  # type: ignore[index]
        pass


class Rounds:
    """The cases of one round: their rates follow from the top rate that the round began with."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._top = 0.0

    def top(self) -> Figures:
        """Measure the top rate. How long tasks waited in a line that is always full says nothing."""
        seconds = self._options.seconds
        figures = run(self._options, self._skip(seconds), "--saturate", "--seconds", seconds)
        while not figures["started/s"]:  # in a short run, of a machine that stood still all the while
            figures = run(self._options, self._skip(seconds), "--saturate", "--seconds", seconds)
        self._top = figures["started/s"]
        return {name: figures[name] for name in figures if name != "waits" and not name.endswith("ms")}

    def at(self, percent: int) -> Figures:
        """Have tasks arrive at a share of the top rate."""
        seconds = self._options.seconds
        rate = self._top * percent / 100
        return run(self._options, self._skip(seconds), "--rate", rate, "--seconds", seconds)

    def idle(self) -> Figures:
        """Have tasks arrive so rarely that each finds the worker idle."""
        return run(self._options, 0.0, "--rate", self._options.idle_rate, "--seconds", self._options.idle_seconds)

    def delayed(self) -> Figures:
        """Have tasks become due."""
        figures = run(self._options, 0.0, "--delayed", self._options.delayed)
        del figures["started/s"]  # as many as were due
        return figures

    @staticmethod
    def _skip(seconds: float) -> float:
        return min(SETTLED_IN, seconds / 5)


def plot(done: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the waits of all runs of each case."""
    curves = {
        case["case"]: Histogram(*(row["waits"] for row in case["runs"])) for case in done if "waits" in case["runs"][0]
    }
    percentiles(path, "from the time at which a task should have arrived to its start", curves)


def main() -> None:
    """Run all cases."""
    arguments = parser(__doc__)
    arguments.add_argument("--slots", type=int, default=1000)
    arguments.add_argument("--seconds", type=float, default=6.0, help="of one run under load")
    arguments.add_argument("--loads", type=int, nargs="*", default=[20, 50, 80], help="percent of the top rate")
    arguments.add_argument("--idle-rate", type=float, default=50.0, help="tasks a second")
    arguments.add_argument("--idle-seconds", type=float, default=20.0)
    arguments.add_argument("--delayed", type=int, default=500, help="tasks that become due")
    options = arguments.parse_args()
    if options.quick:
        options.seconds, options.idle_seconds, options.delayed, options.loads = 0.3, 0.3, 10, [20]
    rounds = Rounds(options)
    cases = {"top rate": rounds.top, f"idle, {options.idle_rate:g} tasks/s": rounds.idle}
    cases |= {f"{percent} % of the top rate": lambda percent=percent: rounds.at(percent) for percent in options.loads}
    cases["from the due time, idle"] = rounds.delayed
    done = measure("latency", cases, options)
    if not options.quick:
        plot(done, options.results / "latency")


if __name__ == "__main__":
    main()
