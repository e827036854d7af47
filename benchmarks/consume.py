"""The consuming side of the benchmarks: one worker in this process. What it ran is told when it is told to end."""

from gevent import monkey

monkey.patch_all()

import argparse
import time
from typing import Any

from benchmarks import cue
from benchmarks.harness import cpu
from benchmarks.histogram import Histogram
from buraq import Buraq
from buraq.worker.process import tend_garbage
from buraq.worker.worker import Worker

queue = Buraq()
tasks = 0
first, used_before = 0.0, 0.0  # when the first task started, and the CPU seconds until then
meant: list[float] = []  # when a sleeper or a stamped task should have gone on, by the monotonic clock of all processes
went_on: list[float] = []  # when it did


def _count() -> None:
    global tasks, first, used_before
    if not tasks:
        first, used_before = time.monotonic(), cpu()
    tasks += 1


@queue.task
def noop(user_id: int, template: str) -> None:
    _count()


@queue.task
def sleep(seconds: float) -> None:
    _count()
    until = time.monotonic() + seconds
    time.sleep(seconds)
    went_on.append(time.monotonic())
    meant.append(until)


@queue.task
def stamped(at: float) -> None:
    _count()
    went_on.append(time.monotonic())
    meant.append(at)


def waits(skip: float) -> dict[str, Any]:
    """Return how late tasks went on, and how many a second; but not of those meant for the first `skip` seconds."""
    begun = min(meant) + skip
    counted = [(should, did) for should, did in zip(meant, went_on, strict=True) if should >= begun]
    histogram = Histogram()
    for should, did in counted:
        histogram.record(did - should)
    seconds = max(went_on) - begun
    return {"waits": histogram.written(), "rate": len(counted) / seconds if counted else 0.0}


def main() -> None:
    """Work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--skip", type=float, default=0.0, help="seconds at the beginning that do not count as waits")
    options = parser.parse_args()
    worker = Worker(queue, concurrency=options.slots)
    tend_garbage()
    cue.wait_to_begin()
    worker.start()
    cue.wait_to_end()
    used = cpu() - used_before if tasks else 0.0
    figures = {"first": first, "cpu": used, "tasks": tasks, "peak": cue.peak_bytes()}
    figures["connections"] = cue.connections()
    worker.stop(5)
    cue.tell(figures | (waits(options.skip) if meant else {}))


if __name__ == "__main__":
    main()
