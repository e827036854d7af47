"""Tasks that arrive at times which were fixed beforehand, whatever the server and the worker make of it.

Each task carries the time at which it should have arrived, by the monotonic clock, which is the same in all processes
of a machine. When this process or the server is late, the tasks that should have gone meanwhile have waited for it, and
it shows; a client that waits for each answer before it asks again hides that (coordinated omission).
"""

from __future__ import annotations

import argparse
import os
import time
from bisect import bisect_right
from random import Random
from typing import Any

from redis import Redis

from benchmarks import cue
from benchmarks.children import STREAM
from benchmarks.harness import cpu, percentile
from buraq import Buraq

MOST = 1000  # tasks of one call
ENOUGH, BREATH = 5000, 0.002  # waiting tasks that keep a worker busy, and how long to wait when there are as many

queue = Buraq()


@queue.task
def stamped(at: float) -> None: ...


def send(times: list[float]) -> None:
    """Enqueue tasks that should arrive, or should have arrived, at these times."""
    if len(times) == 1:
        stamped.enqueue(times[0])
    else:
        stamped.enqueue_many([{"at": at} for at in times])


def arrive(rate: float, seconds: float, rand: Random) -> dict[str, Any]:
    """Enqueue tasks at random times, `rate` a second on average, all that are due in one call."""
    times, at = [], time.monotonic() + 0.01
    end = at + seconds
    while (at := at + rand.expovariate(rate)) < end:
        times.append(at)
    sent, late = 0, []
    while sent < len(times):
        now = time.monotonic()
        due = min(bisect_right(times, now, sent), sent + MOST)
        if due == sent:
            time.sleep(times[sent] - now)
            continue
        late.append(now - times[sent])
        send(times[sent:due])
        sent = due
    return {"tasks": sent, "late": percentile(late, 0.99)}


def saturate(seconds: float, client: Redis) -> dict[str, Any]:
    """Enqueue as many tasks as are run, so that the worker never waits for any."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        if client.xlen(STREAM) > ENOUGH:
            time.sleep(BREATH)
        else:
            send([time.monotonic()] * MOST)
            sent += MOST
    return {"tasks": sent}


def delay(tasks: int, client: Redis, rand: Random) -> dict[str, Any]:
    """Enqueue tasks that are due half a second to a second later, and return when none is scheduled any more."""
    wall, last = time.time() - time.monotonic(), 0.0
    for _ in range(tasks):
        at = time.monotonic() + rand.uniform(0.5, 1.0)
        stamped.options(at=wall + at).enqueue(at)
        last = max(last, at)
    time.sleep(max(0.0, last - time.monotonic()))
    while client.zcard(f"{STREAM}:scheduled"):
        time.sleep(BREATH)
    return {"tasks": tasks}


def main() -> None:
    """Send."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--rate", type=float, help="tasks a second")
    how.add_argument("--saturate", action="store_true")
    how.add_argument("--delayed", type=int, help="tasks")
    options = parser.parse_args()
    client, rand = Redis.from_url(os.environ["REDIS_URL"]), Random(1)
    client.ping()
    queue.backend.server.shared.commands([("PING",)])
    cue.wait_to_begin()
    begun, used = time.monotonic(), cpu()
    if options.saturate:
        told = saturate(options.seconds, client)
    elif options.rate:
        told = arrive(options.rate, options.seconds, rand)
    else:
        told = delay(options.delayed, client, rand)
    cue.tell(told | {"cpu": cpu() - used, "seconds": time.monotonic() - begun})


if __name__ == "__main__":
    main()
