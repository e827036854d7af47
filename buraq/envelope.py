"""What all tasks of one type with the same options have in common, worked out once; and each task, written by it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from buraq.backend import Backend
from buraq.broker import Item
from buraq.keys import DEFAULT_QUEUE
from buraq.options import Options
from buraq.retry import seconds
from buraq.template import Ids, Template, timestamp

_ids = Ids()
os.register_at_fork(after_in_child=_ids.reseed)


class Envelope:
    """Where tasks of a type go and how they are written, with the settings of one backend."""

    def __init__(self, backend: Backend, task_type: str, options: Options) -> None:
        config = backend.config
        self.backend = backend
        self.task_type = task_type
        self.queue = options.queue or DEFAULT_QUEUE
        # Where all tasks go. In a cluster each may go to another shard.
        self.shard = backend.shards[0] if len(backend.shards) == 1 else None
        self.broker = backend.broker(self.queue)
        priority = options.priority or "normal"
        more: dict[str, Any] = {
            "max_retries": config.max_retries if options.max_retries is None else options.max_retries,
            "current_retries": 0,
        }
        if options.idempotency_key:
            more["idempotency_key"] = options.idempotency_key
        if priority != "normal":
            more["priority"] = priority
        timeout = options.timeout if options.timeout is not None else config.task_timeout
        if timeout is not None:
            more["timeout"] = round(seconds(timeout) * 1e9)
        self._template = Template(task_type, more, config.max_payload_bytes)
        self._letter = self.broker.letter_of(priority)
        self._options = options
        self._owner = options.idempotency_key or ""
        self._group = options.group or ""

    def item(self, payload: dict[str, Any]) -> Item:
        """Write a new task. Raises `PayloadError` and `PayloadTooLarge`."""
        options = self._options
        task_id = options.id or _ids.new()
        due = options.due() if options.delay is not None or options.at is not None else ""
        written = self._template.write(task_id, payload, timestamp())
        return Item(task_id, self._letter, due, self._owner, written, self._group)

    def items(self, payloads: Sequence[dict[str, Any]]) -> list[Item]:
        """Write new tasks of the same moment, which have no id of their own. Raises as `item`."""
        options, letter, owner, group = self._options, self._letter, self._owner, self._group
        due = options.due() if options.delay is not None or options.at is not None else ""
        created_at, write = timestamp(), self._template.write
        return [
            Item(task_id, letter, due, owner, write(task_id, payload, created_at), group)
            for task_id, payload in zip(_ids.some(len(payloads)), payloads, strict=True)
        ]
