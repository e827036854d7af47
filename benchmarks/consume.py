"""The consuming side of the benchmarks: one worker in this process, its figures as JSON on the last line."""

from gevent import monkey

monkey.patch_all()

import argparse
import json
import os
import resource
import sys
import time
from random import Random

import gevent
from gevent.event import Event

from buraq import Buraq
from buraq.worker.facts import memory_bytes
from buraq.worker.process import tend_garbage
from buraq.worker.worker import Worker

queue = Buraq()
waits: list[float] = []
_ended = 0
_expected = 0
_all_ended = Event()


def _end() -> None:
    global _ended
    _ended += 1
    if _ended == _expected:
        _all_ended.set()


@queue.task
def noop(user_id: int, template: str) -> None:
    _end()


@queue.task
def sleep(seconds: float) -> None:
    begun = time.monotonic()
    time.sleep(seconds)
    waits.append(time.monotonic() - begun - seconds)
    _end()


@queue.task
def stamped(at: float) -> None:
    waits.append(time.time() - at)
    _end()


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def drain(worker: Worker, expected: int) -> dict[str, float]:
    """Run what waits, and say how fast."""
    global _expected
    _expected = expected
    begun, used = time.monotonic(), cpu()
    worker.start()
    _all_ended.wait()
    seconds, used = time.monotonic() - begun, cpu() - used
    return {"tasks/s": expected / seconds, "worker µs/task": used / expected * 1e6, "MB": memory_bytes() / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["noop", "sleepers", "idle", "delayed"])
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=1000)
    options = parser.parse_args()
    global _expected
    worker = Worker(queue, concurrency=options.slots)
    tend_garbage()
    if options.what == "noop":
        figures = drain(worker, options.tasks)
    elif options.what == "sleepers":
        figures = drain(worker, options.tasks)
        figures["lag p99 ms"] = percentile(waits, 0.99) * 1e3
    else:
        worker.start()
        gevent.sleep(0.5)  # the worker is idle: that is the case
        _expected = options.tasks
        rand = Random(1)
        for _ in range(options.tasks):
            if options.what == "idle":
                stamped.enqueue(time.time())
                gevent.sleep(rand.uniform(0.005, 0.03))
            else:
                due = time.time() + 1.0 + rand.random()
                stamped.options(at=due).enqueue(due)
        _all_ended.wait()
        figures = {
            "p50 ms": percentile(waits, 0.5) * 1e3,
            "p99 ms": percentile(waits, 0.99) * 1e3,
            "max ms": max(waits) * 1e3,
        }
    worker.stop(5)
    print(json.dumps(figures))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
