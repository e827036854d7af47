"""Mock tasks: task types that behave as real ones do, and a producer that keeps them coming.

They give the demo, and a first deployment, something to show: successes, retries, dead letters, long runs.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from buraq.app import Buraq
from buraq.errors import BuraqError
from buraq.function import TaskFunction
from buraq.worker.loop import Loop


def email_notification(user_id: int, template: str = "welcome") -> None:
    """Quick: a mail is handed over in some milliseconds."""
    time.sleep(random.uniform(0.02, 0.12))


def resize_image(image_id: int, width: int = 640) -> None:
    """Short, and all of it is CPU: some 10 ms in which nothing else of the process runs."""
    hashlib.pbkdf2_hmac("sha256", b"pixels", str(image_id).encode(), 20 * width)


def generate_report(report_id: int, pages: int = 10) -> None:
    """Slow: one to three seconds of waiting for a database."""
    time.sleep(random.uniform(1.0, 3.0))


def charge_payment(order_id: int, amount_cents: int) -> None:
    """Fails now and then, as a bank does, so that retries show."""
    time.sleep(random.uniform(0.1, 0.4))
    if random.random() < 0.4:
        raise ConnectionError("the payment provider closed the connection")


def call_webhook(url: str) -> None:
    """Fails always, so that dead letters show."""
    time.sleep(random.uniform(0.05, 0.2))
    raise ConnectionRefusedError(f"nobody listens at {url}")


def transcode_video(video_id: int) -> None:
    """Runs long: some twenty seconds."""
    time.sleep(random.uniform(18.0, 22.0))


# Function → how it is registered, how often it comes, and a payload for it.
_Payload = Callable[[random.Random], dict[str, Any]]
_MOCKS: Mapping[Callable[..., None], tuple[dict[str, Any], int, _Payload]] = {
    email_notification: (
        {"priority": "high"},
        8,
        lambda rand: {"user_id": rand.randint(1, 999), "template": rand.choice(["welcome", "reset", "receipt"])},
    ),
    resize_image: ({}, 4, lambda rand: {"image_id": rand.randint(1, 9_999), "width": rand.choice([320, 640])}),
    charge_payment: (
        {"max_retries": 5, "backoff": 1.0},
        3,
        lambda rand: {"order_id": rand.randint(1, 99_999), "amount_cents": rand.randint(500, 20_000)},
    ),
    call_webhook: ({"max_retries": 1, "backoff": 0.5}, 1, lambda rand: {"url": "https://partner.example/hook"}),
    generate_report: ({"priority": "low"}, 3, lambda rand: {"report_id": rand.randint(1, 999), "pages": 20}),
    transcode_video: ({"priority": "low"}, 1, lambda rand: {"video_id": rand.randint(1, 999)}),
}
_DELAYED = 0.1  # share of the tasks that are put off for _DELAY seconds, so that scheduled ones show
_DELAY = 5.0


def register(app: Buraq) -> None:
    """Register the mock tasks with `app`, except those whose task type it has already."""
    for function, (options, _, _) in _MOCKS.items():
        if function.__name__ not in app.registry:
            app.task(**options)(function)


class MockProducer(Loop):
    """Enqueues one mock task in each step: first one of each type, then at random.

    A task type that the app has a function of its own for is left alone: it may do something real.
    """

    name = "mock"

    def __init__(self, app: Buraq, interval: float | None = None, rand: random.Random | None = None) -> None:
        """`interval` is in seconds, None for MOCK_TASK_INTERVAL."""
        super().__init__()
        self.interval = app.config.mock_task_interval if interval is None else interval
        self.produced = 0
        self._rand = rand or random.Random()
        found = [(app.registry.get(function.__name__), function) for function in _MOCKS]
        self._functions: list[TaskFunction[..., Any]] = [
            task for task, function in found if task is not None and task.function is function
        ]
        self._weights = [_MOCKS[task.function][1] for task in self._functions]

    def step(self) -> None:
        """Enqueue one task. While Redis is away it pauses and says so."""
        if not self._functions:
            return
        if self.produced < len(self._functions):
            [task] = self._functions[self.produced : self.produced + 1]
        else:
            [task] = self._rand.choices(self._functions, self._weights)
            if self._rand.random() < _DELAYED:
                task = task.options(delay=_DELAY)
        _, _, payload = _MOCKS[task.function]
        try:
            task.enqueue(**payload(self._rand))
        except BuraqError as error:  # no answer in time, or refused: both may pass
            self.trouble(error)
        else:
            self.produced += 1
