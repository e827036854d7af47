"""Inside a worker of any system: from the start of the first task to the end of the last one, and the CPU between.

Only the standard library, because it is imported by programs that know nothing of Buraq.
"""

import itertools
import json
import os
import resource
import time

_tasks = int(os.environ.get("BENCH_TASKS", "0"))
_report = os.environ.get("BENCH_REPORT", "")
_begun: list[tuple[float, float]] = []
_ended = itertools.count(1)  # its `next` is atomic, also among threads


def cpu() -> float:
    """Return the CPU seconds of this process, all threads together."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def start() -> None:
    """Say that a task starts."""
    if not _begun:
        _begun.append((time.monotonic(), cpu()))


def end() -> None:
    """Say that a task has ended; the last one writes the report."""
    if next(_ended) != _tasks:
        return
    at, used = _begun[0]
    with open("/proc/self/statm", encoding="ascii") as statm:
        pages = int(statm.read().split()[1])
    figures = {
        "seconds": time.monotonic() - at,
        "cpu": cpu() - used,
        "bytes": pages * resource.getpagesize(),
    }
    # Renamed, so that whoever waits for it never reads half of it.
    with open(f"{_report}.part", "w", encoding="utf-8") as written:
        json.dump(figures, written)
    os.replace(f"{_report}.part", _report)


def noop() -> None:
    """What a no-op task does."""
    start()
    end()


def sleep(seconds: float) -> None:
    """What a sleeper does."""
    start()
    time.sleep(seconds)
    end()
