"""What the history keeps of a task that has ended, as it is written and read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ujson

from buraq import attempts
from buraq.task import Task, Undecodable, decode

COMPLETED_A_SECOND = 200  # completed tasks that a worker process keeps at most
PAYLOAD_KEPT = 4 * 1024  # bytes; of a task that is larger all but the payload is kept
TRACEBACK_KEPT = 4_000  # characters


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of a task that has ended, or of an attempt that failed. Times are in ms; None where not known."""

    task: Task
    worker: str  # the worker process, empty where none ran it
    deaths: int
    attempts: list[dict[str, Any]] = field(default_factory=list)
    attempts_left_out: int = 0
    waited_ms: int | None = None
    duration_ms: int | None = None
    reason: str = ""
    error: str = ""
    traceback: str = ""
    payload_left_out: bool = False


def write(raw: bytes, task: Task, worker: str, deaths: int, attempts: bytes, **more: Any) -> str:
    """Return a record as JSON. `raw` is the task as its entry had it, `more` are further fields of `Record`."""
    kept: dict[str, Any] = {"worker": worker, "deaths": deaths, **more}
    kept["attempts"] = attempts.decode(errors="replace")
    if "traceback" in kept:
        kept["traceback"] = kept["traceback"][-TRACEBACK_KEPT:]
    if len(raw) <= PAYLOAD_KEPT:
        kept["task"] = raw.decode(errors="replace")
    else:
        kept["task"] = ujson.dumps({name: value for name, value in task.members.items() if name != "payload"})
        kept["payload_left_out"] = True
    written: str = ujson.dumps(kept, escape_forward_slashes=False)
    return written


def read(raw: bytes) -> Record | None:
    """Return a record, None for what is none."""
    try:
        said = ujson.loads(raw)
        task = decode(said.pop("task").encode())
        said["attempts"], said["attempts_left_out"] = attempts.read(said["attempts"])
        return Record(task=task, **said)
    except (ValueError, KeyError, TypeError, AttributeError, Undecodable):
        return None
