"""What the benchmarks enqueue beforehand: no-op tasks with the original's payload, and sleepers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks.harness import environment
from buraq import Buraq
from buraq.config import Config

AT_ONCE = 50_000  # of a million tasks; more would only take memory here


def enqueue_noops(client: Redis, tasks: int) -> None:
    """Enqueue so many no-op tasks."""
    queue = Buraq(Config.from_env(environment(client)))

    @queue.task
    def noop(user_id: int, template: str) -> None: ...

    _enqueue(noop.enqueue_many, tasks, lambda number: {"user_id": number, "template": "welcome"})


def enqueue_sleepers(client: Redis, tasks: int) -> None:
    """Enqueue so many tasks that sleep for a second."""
    queue = Buraq(Config.from_env(environment(client)))

    @queue.task
    def sleep(seconds: float) -> None: ...

    _enqueue(sleep.enqueue_many, tasks, lambda number: {"seconds": 1.0})


def _enqueue(send: Callable[[list[dict[str, Any]]], object], tasks: int, arguments: Callable[[int], Any]) -> None:
    for first in range(0, tasks, AT_ONCE):
        send([arguments(number) for number in range(first, min(tasks, first + AT_ONCE))])
