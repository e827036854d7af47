"""How long each call of /api/v1 that reads takes while very many tasks wait, are due later or are dead.

Part of the benchmark `api`; as `buraq worker benchmarks.lists:queue` it is what makes dead letters and a history.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from urllib.parse import quote

from redis import Redis

from benchmarks.harness import ROOT, environment, fresh_server, percentile
from benchmarks.work import AT_ONCE
from buraq import Buraq
from buraq.config import Config

queue = Buraq()

_IN_LETTERS = str.maketrans("0123456789", "abcdefghij")


@queue.task(max_retries=0)
def fail(number: int) -> None:
    """Fail in one of a thousand ways, all there are groups for. Errors that differ in digits only would be alike."""
    raise ValueError(f"way {str(number % 1000).translate(_IN_LETTERS)} is closed")


@queue.task
def noop(user_id: int) -> None:
    """Do nothing."""


@contextmanager
def filled(waiting: int, dead: int, completed: int) -> Iterator[Redis]:
    """Start a server with so many tasks that wait, as many due later as dead, and some that have ended."""
    with fresh_server() as client:
        settings = environment(client)
        queue.use(Config.from_env(settings))
        _many(dead, lambda numbers: fail.enqueue_many([{"number": n} for n in numbers]))
        _many(completed, lambda numbers: noop.enqueue_many([{"user_id": n} for n in numbers]))
        worker = [sys.executable, "-m", "buraq", "worker", "benchmarks.lists:queue", "--burst"]
        subprocess.run(worker, env=settings, cwd=ROOT, check=True, capture_output=True)
        later = noop.options(delay=3600)
        _many(dead, lambda numbers: later.enqueue_many([{"user_id": n} for n in numbers]))
        _many(waiting, lambda numbers: noop.enqueue_many([{"user_id": n} for n in numbers]))
        held = client.xlen("buraq_tasks"), client.xlen("buraq_tasks_dlq")
        if held != (waiting, dead):
            raise RuntimeError(f"{held[0]:,} wait and {held[1]:,} are dead, not {waiting:,} and {dead:,}")
        yield client


def _many(count: int, send: Callable[[range], object]) -> None:
    for first in range(0, count, AT_ONCE):
        send(range(first, min(count, first + AT_ONCE)))


class Reader:
    """Asks one API on one connection, each time as another address: its rate limit is not what is measured."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=30)
        self._numbers = itertools.count(1)

    def get(self, path: str) -> bytes:
        """Return the body of an answer. Raises RuntimeError for any but 200."""
        number = next(self._numbers)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self._connection.request("GET", path, headers={"X-Forwarded-For": address})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {body[:200]!r}")
        return body

    def times(self, path: str, asked: int) -> dict[str, float]:
        """Return how long an answer takes that is asked for so often, in milliseconds."""
        seen = []
        for _ in range(asked):
            began = time.perf_counter()
            self.get(path)
            seen.append((time.perf_counter() - began) * 1000)
        return {"p50 ms": percentile(seen, 0.5), "p99 ms": percentile(seen, 0.99), "longest ms": max(seen)}


def calls(reader: Reader) -> dict[str, str]:
    """Return the addresses of all calls that read, by what is told of them. Those that find nothing look longest."""
    waiting = json.loads(reader.get("/api/v1/tasks?state=waiting"))
    letters = json.loads(reader.get("/api/v1/dead-letters"))
    group = json.loads(reader.get("/api/v1/dead-letters/groups"))["groups"][0]["group"]
    task, letter = waiting["items"][0]["id"], letters["items"][0]["id"]
    states = ("waiting", "running", "scheduled", "completed", "failed", "dead")
    varied = {
        "tasks?state=waiting&cursor=…": f"tasks?state=waiting&cursor={quote(waiting['next'])}",
        "tasks/{id}": f"tasks/{task}",
        "dead-letters?cursor=…": f"dead-letters?cursor={quote(letters['next'])}",
        "dead-letters?group=…": f"dead-letters?group={group}",
        "dead-letters/{id}": f"dead-letters/{letter}",
    }
    plain = (
        *("overview", "queues", "queues/default"),
        *(f"tasks?state={state}" for state in states),
        "tasks?state=waiting&limit=200",
        *(f"tasks?state={state}&type=nothing" for state in ("waiting", "scheduled", "dead")),
        *("task-types", "dead-letters", "dead-letters?type=nothing", "dead-letters/groups"),
        *("operations", "workers", "statistics?window=hour", "statistics?window=day", "audit", "system"),
    )
    return {name: f"/api/v1/{path}" for name, path in sorted({**{path: path for path in plain}, **varied}.items())}
