"""A task as it is known from where it lies: a stream, the scheduled set, the dead letters, the history."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from buraq import attempts as attempts_of
from buraq.deadletters import DeadLetter
from buraq.history import Ended
from buraq.keys import LETTERS, QueueKeys
from buraq.task import ATTEMPTS, DEATHS, PAYLOAD, Task, Undecodable, decode, whole_number

LINES = dict(zip(LETTERS, ("suspects", "front", "high", "normal", "low"), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTask:
    """A task, where it is, and what is known of its past. Times are unix ms by the server's clock."""

    task: Task
    queue: str
    state: str
    shard: int = 0
    since_ms: int | None = None
    due_ms: int | None = None
    worker: str = ""  # the worker process that has it, or had it last
    deaths: int = 0
    attempts: list[dict[str, Any]] = field(default_factory=list)  # the oldest first
    attempts_left_out: int = 0
    waited_ms: int | None = None
    duration_ms: int | None = None
    reason: str = ""
    error: str = ""
    traceback: str = ""
    key: str = ""  # that holds it; empty for one that only the history knows
    line: str = ""  # the stream of the queue, empty for scheduled and dead tasks
    entry: str = ""
    payload_left_out: bool = False


def in_stream(
    keys: QueueKeys, letter: str, entry: bytes, words: list[bytes], holder: list[Any] | None, now_ms: int
) -> KnownTask | None:
    """Return a task that waits or runs; `holder` is the row of the pending list that says who has it."""
    fields = dict(zip(words[::2], words[1::2], strict=False))
    try:
        task = decode(fields.get(PAYLOAD, b""))
    except Undecodable:
        return None
    added = int(entry.partition(b"-")[0])
    kept, left_out = attempts_of.read(fields.get(ATTEMPTS, b""))
    since, worker, waited = added, "", None
    if holder is not None:
        since, worker = now_ms - int(holder[2]), holder[1].decode(errors="replace")
        waited = max(0, since - added)
    return KnownTask(
        task=task,
        queue=keys.name,
        state="waiting" if holder is None else "running",
        since_ms=since,
        worker=worker,
        waited_ms=waited,
        deaths=whole_number(fields.get(DEATHS, b"")),
        attempts=kept,
        attempts_left_out=left_out,
        error=task.error,
        key=keys.streams[letter],
        line=LINES[letter],
        entry=entry.decode(),
    )


def scheduled(keys: QueueKeys, due: bytes, payload: Any, place: str) -> KnownTask | None:
    """Return a task that is due later; `place` is its row of the index."""
    try:
        task = decode(payload if isinstance(payload, bytes) else b"")
    except Undecodable:
        return None
    digits = len(place[3:]) - len(place[3:].lstrip("0123456789"))
    kept, left_out = attempts_of.read(place[3 + digits :])
    return KnownTask(
        task=task,
        queue=keys.name,
        state="scheduled",
        since_ms=_end(kept[-1]) if kept else None,
        due_ms=int(float(due)),
        deaths=whole_number(place[3 : 3 + digits].encode()),
        attempts=kept,
        attempts_left_out=left_out,
        error=task.error,
        key=keys.scheduled,
    )


def of_letter(keys: QueueKeys, letter: DeadLetter) -> KnownTask | None:
    """Return a task that was given up, None for a dead letter that cannot be read."""
    if letter.task is None:
        return None
    kept, left_out = attempts_of.read(letter.attempts)
    last = kept[-1] if kept else {}
    return KnownTask(
        task=letter.task,
        queue=keys.name,
        state="dead",
        since_ms=letter.died_at_ms,
        worker=str(last.get("worker", "")).rpartition("-")[0] if last.get("outcome") == "failed" else "",
        duration_ms=last.get("duration_ms"),
        deaths=letter.deaths,
        attempts=kept,
        attempts_left_out=left_out,
        reason=letter.reason,
        error=letter.error,
        traceback=letter.traceback,
        key=keys.dlq,
        entry=letter.entry,
    )


def of_record(ended: Ended) -> KnownTask:
    """Return a task that the history knows."""
    record = ended.record
    return KnownTask(
        task=record.task,
        queue=ended.place.queue,
        state=ended.state,
        since_ms=ended.at_ms,
        worker=record.worker,
        deaths=record.deaths,
        attempts=record.attempts,
        attempts_left_out=record.attempts_left_out,
        waited_ms=record.waited_ms,
        duration_ms=record.duration_ms,
        reason=record.reason,
        error=record.error,
        traceback=record.traceback,
        payload_left_out=record.payload_left_out,
    )


def _end(attempt: dict[str, Any]) -> int | None:
    started, took = attempt.get("started_ms"), attempt.get("duration_ms")
    return started + took if isinstance(started, int) and isinstance(took, int) else None
