"""Tasks and dead letters as the answers show them."""

from __future__ import annotations

from typing import Any

from buraq import attempts as attempts_of
from buraq.deadletters import DeadLetter
from buraq.known import KnownTask
from buraq.redaction import Redaction
from buraq.task import Task
from buraq.web import contract
from buraq.web.v1.call import at, dumps

ERROR_CHARS, PREVIEW_CHARS, RAW_CHARS = 300, 200, 64 * 1024


def summary(known: KnownTask, redaction: Redaction) -> dict[str, Any]:
    """Return a task as lists show it."""
    task = known.task
    finished = known.state in ("completed", "failed", "dead", "cancelled")
    return {
        "id": task.id,
        "type": task.type,
        "queue": known.queue,
        "state": known.state,
        "priority": priority(task),
        "created_at": created_at(task),
        "attempt": max(1, task.attempt),
        "max_retries": max(0, task.max_retries),
        "deaths": known.deaths,
        "since": at(known.since_ms),
        "due_at": at(known.due_ms),
        "worker": known.worker or None,
        "waited_ms": known.waited_ms,
        "duration_ms": known.duration_ms if finished else None,
        "reason": known.reason or "exhausted" if known.state == "dead" else None,
        "error": known.error[:ERROR_CHARS] or None,
        "payload_preview": dumps(redaction.hide(task.payload)[0])[:PREVIEW_CHARS],
        "dead_letter": f"{known.queue}:{known.entry}" if known.state == "dead" and known.entry else None,
    }


def detail(known: KnownTask, redaction: Redaction, result: Any, has_result: bool) -> dict[str, Any]:
    """Return a task with all that is kept of it."""
    task = known.task
    payload, hidden = redaction.hide(task.payload)
    shown = attempts(known.attempts, known.traceback)
    if known.state == "running":
        shown.insert(0, _attempt(task.attempt, "running", at(known.since_ms), None, known.worker, None, None))
    place = {"key": known.key, "line": known.line or None, "entry": known.entry or None} if known.key else None
    return {
        **summary(known, redaction),
        "error": known.error or None,
        "payload": payload,
        "redacted": hidden,
        "attempts": shown,
        "attempts_left_out": known.attempts_left_out,
        "timeout_ms": timeout_ms(task),
        "idempotency_key": task.idempotency_key or None,
        "place": place,
        "has_result": has_result,
        "result": redaction.hide(result)[0],
        "payload_left_out": known.payload_left_out,
    }


def attempts(kept: list[dict[str, Any]], traceback: str) -> list[dict[str, Any]]:
    """Return attempts, the newest first; the newest failed one with the traceback."""
    shown = []
    for one in reversed(kept):
        outcome = one.get("outcome")
        if outcome not in ("completed", "failed", "died", "snoozed"):
            continue
        text, traceback = (traceback, "") if outcome == "failed" else ("", traceback)
        number, took = _whole(one.get("number")), _whole(one.get("duration_ms"))
        error = str(one["error"]) if one.get("error") else None
        started = at(_whole(one.get("started_ms")))
        shown.append(_attempt(number or 1, outcome, started, took, str(one.get("worker", "")), error, text or None))
    return shown


def _attempt(
    number: int,
    outcome: str,
    started_at: str | None,
    duration_ms: int | None,
    worker_id: str,
    error: str | None,
    traceback: str | None,
) -> dict[str, Any]:
    return {
        "number": max(1, number),
        "outcome": outcome,
        "started_at": started_at,
        "duration_ms": duration_ms,
        "worker_id": worker_id,
        "error": error,
        "traceback": traceback,
    }


def letter(queue: str, dead: DeadLetter, redaction: Redaction) -> dict[str, Any]:
    """Return a dead letter as lists show it."""
    task = dead.task
    raw = dead.raw.decode(errors="replace")
    preview = dumps(redaction.hide(task.payload)[0]) if task is not None else raw
    return {
        "id": f"{queue}:{dead.entry}",
        "queue": queue,
        "task_id": task.id if task is not None else None,
        "type": task.type if task is not None else None,
        "reason": dead.reason,
        "error": last_error(dead)[:ERROR_CHARS] or None,
        "group": dead.group,
        "died_at": at(dead.died_at_ms) or at(0),
        "created_at": created_at(task) if task is not None else None,
        "attempt": max(0, task.attempt) if task is not None and dead.reason != "unknown_type" else 0,
        "deaths": dead.deaths,
        "payload_preview": preview[:PREVIEW_CHARS],
    }


def letter_detail(queue: str, dead: DeadLetter, redaction: Redaction) -> dict[str, Any]:
    """Return a dead letter with all that is kept of it."""
    task = dead.task
    payload, hidden = redaction.hide(task.payload) if task is not None else (None, [])
    kept, left_out = attempts_of.read(dead.attempts)
    return {
        **letter(queue, dead, redaction),
        "error": last_error(dead) or None,
        "payload": payload,
        "redacted": hidden,
        "raw": dead.raw.decode(errors="replace")[:RAW_CHARS] if task is None else None,
        "attempts": attempts(kept, dead.traceback),
        "attempts_left_out": left_out,
        "traceback": dead.traceback or None,
        "priority": priority(task) if task is not None else "normal",
        "max_retries": max(0, task.max_retries) if task is not None else 0,
        "timeout_ms": timeout_ms(task) if task is not None else None,
        "idempotency_key": (task.idempotency_key or None) if task is not None else None,
    }


def last_error(dead: DeadLetter) -> str:
    """Return the last error of a dead letter; the original wrote it into the task."""
    return dead.error or (dead.task.error if dead.task is not None else "")


def priority(task: Task) -> str:
    """Return a task's priority; one that there is not means normal."""
    return task.priority if task.priority in ("high", "normal", "low") else "normal"


def created_at(task: Task) -> str | None:
    """Return when a task was enqueued, where the producer wrote that so that it can be read."""
    return task.created_at if contract.moment(task.created_at) is not None else None


def timeout_ms(task: Task) -> int | None:
    """Return how long an attempt may run."""
    return round(task.timeout * 1000) if task.timeout is not None else None


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
