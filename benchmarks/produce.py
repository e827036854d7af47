"""The enqueueing side of the benchmarks: callers in this process, their figures as JSON on the last line."""

import sys

if "--patched" in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import argparse
import gc
import json
import threading
import time

from benchmarks import cue
from benchmarks.harness import cpu, percentile
from buraq import Buraq

WARM_UP = 10

queue = Buraq()


@queue.task
def noop(user_id: int, template: str) -> None: ...


def call(tasks: int, waits: list[float]) -> None:
    """Enqueue one task after the other."""
    for number in range(tasks):
        begun = time.perf_counter()
        noop.enqueue(number, template="welcome")
        waits.append(time.perf_counter() - begun)


def call_at_once(callers: int, tasks: int, patched: bool) -> list[float]:
    """Have many callers enqueue some tasks each, and return how long each call took."""
    waits: list[float] = []
    if callers == 1:
        call(tasks, waits)
    elif patched:
        import gevent

        gevent.joinall([gevent.spawn(call, tasks, waits) for _ in range(callers)])
    else:
        threads = [threading.Thread(target=call, args=(tasks, waits)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return waits


def main() -> None:
    """Enqueue."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--patched", action="store_true")
    parser.add_argument("--callers", type=int, default=1)
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--many", type=int, default=0)
    options = parser.parse_args()
    call(WARM_UP, [])  # connect, load the scripts
    payloads = [{"user_id": number, "template": "welcome"} for number in range(options.many)]
    gc.collect()
    begun, used = time.perf_counter(), cpu()
    if payloads:
        noop.enqueue_many(payloads)
        waits = []
    else:
        waits = call_at_once(options.callers, options.each, options.patched)
    seconds, used = time.perf_counter() - begun, cpu() - used
    tasks = len(payloads) or len(waits)
    figures = {"tasks/s": tasks / seconds, "client µs/task": used / tasks * 1e6, "client cores": used / seconds}
    if waits:
        figures |= {"p50 ms": percentile(waits, 0.5) * 1e3, "p99 ms": percentile(waits, 0.99) * 1e3}
    figures["connections"] = cue.connections()
    print(json.dumps(figures | {"seconds": seconds, "warm up": WARM_UP}))


if __name__ == "__main__":
    main()
