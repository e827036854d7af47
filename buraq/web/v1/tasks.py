"""Tasks: lists of those in a state, and one by its id."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import ujson
from flask import Response
from werkzeug.exceptions import NotFound

from buraq.browse import Tasks
from buraq.keys import HISTORIES
from buraq.known import KnownTask
from buraq.records import COMPLETED_A_SECOND
from buraq.web.v1.call import Call, answer, at, refuse
from buraq.web.v1.show import detail, summary


def list_tasks(call: Call) -> Response:
    """Answer with a page of tasks in one state."""
    query = call.query
    state, worker = query["state"], query.get("worker", "")
    if worker and state != "running":
        refuse(422, f"worker={worker}: it goes with state=running only", "worker")
    queues, tasks, wanted = call.asked_queues, Tasks(call.backend), query.get("type")
    cursor = read_cursor(query.get("cursor"), [state, query.get("queue")])
    page = tasks.page(
        state, queues, cursor, query["limit"], lambda task: wanted is None or task.task.type == wanted, worker
    )
    past = state in HISTORIES.values() and state != "dead"
    return answer(
        {
            "items": [summary(task, call.state.redaction) for task in page.items],
            "next": write_cursor(page.next, [state, query.get("queue")]) if page.next is not None else None,
            "scanned": page.scanned,
            "total": _total(call, tasks, state, queues, worker),
            "history": history(tasks, queues, state) if past else None,
        }
    )


def _total(call: Call, tasks: Tasks, state: str, queues: list[str], worker: str) -> int | None:
    if worker:
        return None
    if state in ("waiting", "running"):
        counts = [call.state.inspector.counts(queue) for queue in queues]
        return sum(one.waiting if state == "waiting" else one.running for one in counts)
    return tasks.count(state, queues)


def history(tasks: Tasks, queues: list[str], state: str | None = None) -> dict[str, Any]:
    """Return how much of the past the histories of queues hold: of one state, or of all."""
    span = tasks.history.span(queues, state)
    return {
        "length": span.length,
        "kept": span.kept,
        "oldest_at": at(span.oldest_ms),
        "sampled": span.sampled,
        "per_s": COMPLETED_A_SECOND,
    }


def get_task(call: Call) -> Response:
    """Answer with one task."""
    return answer(shown(call, find(call)))


def find(call: Call) -> KnownTask:
    """Return the task that the path names. Raises 404."""
    task_id = call.path["id"]
    if len(task_id) <= 512 and (found := Tasks(call.backend).find(call.asked_queues, task_id)) is not None:
        return found
    raise NotFound(f"no queue and no history knows a task {task_id[:512]}")


def shown(call: Call, known: KnownTask) -> dict[str, Any]:
    """Return a task with all that is kept of it, what it returned included."""
    shard = call.backend.shard_of(known.task.idempotency_key or known.task.id)
    [raw] = shard.server.shared.commands([("GET", shard.names.queue(known.queue).result(known.task.id))])
    result, has_result = None, isinstance(raw, bytes)
    if isinstance(raw, bytes):
        try:
            result = ujson.loads(raw)
        except ValueError:
            has_result = False
    return detail(known, call.state.redaction, result, has_result)


def list_types(call: Call) -> Response:
    """Answer with the task types that live worker processes know."""
    found = call.state.inspector.task_types(call.queues)
    return answer({"types": [{"type": name, "queues": queues} for name, queues in found.items()]})


# --- Cursors -------------------------------------------------------------------------------------


def write_cursor(place: list[Any], of: list[Any]) -> str:
    """Return a place in a list as the text that a client sends back; `of` says which list."""
    return base64.urlsafe_b64encode(ujson.dumps([of, place]).encode()).decode().rstrip("=")


def read_cursor(text: str | None, of: list[Any]) -> list[Any] | None:
    """Return the place that a cursor names. Raises 422 for one that is not of this list."""
    if text is None:
        return None
    try:
        said, place = ujson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if said == of and _is_place(place):
            return list(place)
    except (ValueError, TypeError, binascii.Error):
        pass
    refuse(422, "cursor: it is the `next` of the page before, with the same other parameters", "cursor")


def _is_place(place: Any) -> bool:
    """Whether it is [queue, entry], or [queue, letter, entry or [score, number]]."""
    if not isinstance(place, list) or not all(isinstance(part, str) for part in place[:-1]):
        return False
    last = place[-1] if place else None
    if len(place) == 3 and isinstance(last, list):
        return len(last) == 2 and isinstance(last[0], str) and type(last[1]) is int and 0 <= last[1] < 10**9
    return len(place) in (2, 3) and isinstance(last, str) and _is_entry(last)


def _is_entry(text: str) -> bool:
    ms, dash, seq = text.partition("-")
    return bool(dash) and all(part.isascii() and part.isdecimal() and len(part) < 20 for part in (ms, seq))
