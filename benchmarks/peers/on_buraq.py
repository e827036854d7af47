"""Buraq, measured as the others are."""

from typing import Any

import stopwatch

from buraq import Buraq

queue = Buraq()


@queue.task
def noop(user_id: int, template: str) -> None:
    stopwatch.noop()


@queue.task
def sleep(seconds: float) -> None:
    stopwatch.sleep(seconds)


def one(task: str, payloads: list[dict[str, Any]]) -> None:
    function = queue.registry[task]
    for payload in payloads:
        function.enqueue(**payload)


def bulk(task: str, payloads: list[dict[str, Any]]) -> None:
    queue.registry[task].enqueue_many(payloads)
