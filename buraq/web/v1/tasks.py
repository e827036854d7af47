"""Tasks: lists of those in a state, and one by its id."""

from __future__ import annotations

from typing import Any

import ujson
from flask import Response
from werkzeug.exceptions import NotFound

from buraq.browse import Tasks
from buraq.keys import HISTORIES
from buraq.known import KnownTask
from buraq.records import COMPLETED_A_SECOND
from buraq.replies import Broken
from buraq.web.v1.call import Call, answer, at, refuse
from buraq.web.v1.cursors import in_records, in_schedule, in_streams, read_cursor, write_cursor
from buraq.web.v1.show import detail, summary

_PLACES = {"waiting": in_streams, "running": in_streams, "scheduled": in_schedule}  # of other states: in_records


def list_tasks(call: Call) -> Response:
    """Answer with a page of tasks in one state."""
    query = call.query
    state, worker = query["state"], query.get("worker", "")
    if worker and state != "running":
        refuse(422, f"worker={worker}: it goes with state=running only", "worker")
    queues, tasks, wanted = call.asked_queues, Tasks(call.backend), query.get("type")
    cursor = read_cursor(query.get("cursor"), [state, query.get("queue")], _PLACES.get(state, in_records))
    page = tasks.page(
        state,
        queues,
        cursor,
        query["limit"],
        lambda task: wanted is None or task.task.type == wanted,
        worker,
        call.lacking,
    )
    total = _total(call, tasks, state, queues, worker)
    past = state in HISTORIES.values() and state != "dead"
    return answer(
        {
            "items": [summary(task, call.state.redaction) for task in page.items],
            "next": write_cursor(page.next, [state, query.get("queue")]) if page.next is not None else None,
            "scanned": page.scanned,
            "total": total,
            "history": history(tasks, queues, call.lacking, state) if past else None,
            **call.left_out(),
        }
    )


def _total(call: Call, tasks: Tasks, state: str, queues: list[str], worker: str) -> int | None:
    if worker:
        return None
    if state in ("waiting", "running"):
        counts = [call.state.inspector.counts(queue, call.lacking) for queue in queues]
        return sum(one.waiting if state == "waiting" else one.running for one in counts)
    return tasks.count(state, queues, call.lacking)


def history(tasks: Tasks, queues: list[str], broken: Broken | None, state: str | None = None) -> dict[str, Any]:
    """Return how much of the past the histories of queues hold: of one state, or of all."""
    span = tasks.history.span(queues, state, broken)
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
    shard = call.backend.shards[known.shard]
    raw = shard.server.shared.command("GET", shard.names.queue(known.queue).result(known.task.id))
    result, has_result = None, raw is not None
    if has_result:
        try:
            result = ujson.loads(raw)
        except ValueError:
            has_result = False
    return detail(known, call.state.redaction, result, has_result)


def list_types(call: Call) -> Response:
    """Answer with the task types that live worker processes know."""
    found = call.state.inspector.task_types(call.known_queues, call.broken)
    types = [{"type": name, "queues": queues} for name, queues in found.items()]
    return answer({"types": types, **call.left_out()})
