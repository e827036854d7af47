"""A handle of a task that was enqueued: its id, where it is, and what can be done about it."""

from __future__ import annotations

import time
from typing import Any

import ujson

from buraq.backend import Backend
from buraq.inspector import Inspector


class TaskHandle:
    """A task that the server has. `created` is False when it was there before: same id, or same idempotency key.

    What it is asked raises one of `connection.Unreachable` when the server is away, and a `redis.ResponseError` when
    that refuses; each answer is waited for at most 5 seconds.
    """

    __slots__ = ("_backend", "_place", "created", "id", "queue", "type")

    def __init__(self, id: str, type: str, queue: str, created: bool, backend: Backend, place: str = "") -> None:
        self.id = id
        self.type = type
        self.queue = queue
        self.created = created
        self._backend = backend
        self._place = place  # what decided on its shard

    def __repr__(self) -> str:
        return f"<TaskHandle {self.type} {self.id} in {self.queue}{'' if self.created else ', known before'}>"

    def state(self) -> str | None:
        """Return where the task is: waiting, running, scheduled or dead. None when it has ended and is gone."""
        return Inspector(self._backend).state(self.queue, self.id)

    def cancel(self) -> bool:
        """Take the task back if it has not started. Returns whether it was; nothing is written otherwise."""
        return Inspector(self._backend).cancel(self.queue, self.id) == "CANCELLED"

    def result(self, timeout: float = 0.0) -> Any:
        """Return what the task returned, read from JSON, for a task type with `keep_result=True`.

        Waits up to `timeout` seconds, looking at growing intervals of 5 to 250 ms. Raises `TimeoutError` when there is
        none: the task has not ended, died, returned None, or its result has expired.
        """
        shard = self._backend.shard_of(self._place or self.id)
        key = shard.names.queue(self.queue).result(self.id)
        deadline = time.monotonic() + timeout
        pause = 0.005
        while True:
            raw = shard.server.shared.command("GET", key)
            if raw is not None:
                return ujson.loads(raw)
            if time.monotonic() + pause > deadline:
                raise TimeoutError(f"task {self.id} left no result within {timeout:g}s; its state is {self.state()}")
            time.sleep(pause)
            pause = min(0.25, pause * 2)
