"""Replay and deletion of many dead letters, as operations that can be watched."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import Conflict, NotFound

from buraq.audit import Action, Audit
from buraq.inspector import say_broken
from buraq.keys import DEFAULT_QUEUE
from buraq.operations import Operation, Operations
from buraq.web.access import client_address
from buraq.web.v1.call import Call, answer, at, refuse, write_quietly
from buraq.web.v1.cursors import read_until
from buraq.web.v1.letters import valid_entry

PATIENCE = 0.1  # seconds that an answer waits, so that what is small is done in it


def operations(call: Call) -> Operations:
    """Return the operations. Their begin and their end are written into the audit list, whoever works on them."""
    backend = call.backend

    def note(operation: Operation) -> None:
        begins = operation.state == "running"
        state = "begins" if begins else f"{operation.state} {operation.error}".strip()
        action = Action(
            operation.by,
            operation.kind,
            operation.address,
            (operation.filter or {}).get("queue"),
            _target(operation),
            None if begins else operation.done,
            f"operation {operation.id}: {state}",
        )
        if begins:
            Audit(backend).write(action)  # what is not in the list is not done
        else:
            write_quietly(backend, action)

    return Operations(backend, note)


def _go_on(call: Call, known: Operations, operation: Operation) -> None:
    """Work on what somebody has begun where nobody does any longer. A read-only API leaves it to others."""
    if not call.backend.config.read_only:
        known.work(operation)


def _target(operation: Operation) -> str:
    if operation.filter is None:
        return f"{len(operation.ids)} chosen"
    return " ".join(f"{name}={value}" for name, value in operation.filter.items()) or "all"


def replay_letters(call: Call) -> Response:
    """Begin to replay many."""
    return _begin(call, "replay")


def delete_letters(call: Call) -> Response:
    """Begin to delete many."""
    return _begin(call, "delete")


def _begin(call: Call, kind: str) -> Response:
    asked, known, who = call.body, operations(call), call.access.who
    address = client_address(call.request, call.backend.config.trusted_proxies)
    if "ids" in asked:
        chosen = [_place(call, one) for one in asked["ids"]]
        operation = known.begin(kind, who, (), None, chosen, address)
    else:
        wanted = asked["filter"]
        if "queue" in wanted and not call.has_queue(wanted["queue"]):
            refuse(422, f"filter.queue={wanted['queue']}: there is none of that name", "filter.queue")
        queues, lacking = ([wanted["queue"]], None) if "queue" in wanted else (call.known_queues, call.broken)
        operation = known.begin(kind, who, queues, wanted, (), address, read_until(asked.get("until")), lacking)
        say_broken(call.broken)
    known.work(operation, PATIENCE)
    return answer(describe(known.get(operation.id) or operation), 202)


def _place(call: Call, letter_id: str) -> tuple[str, str]:
    """Return queue and entry of a dead letter. Of an id that none can have: those of one that is gone."""
    queue, _, entry = letter_id.rpartition(":")
    return (queue, entry) if valid_entry(entry) and call.has_queue(queue) else (DEFAULT_QUEUE, "0-0")


def list_operations(call: Call) -> Response:
    """Answer with the operations that are remembered."""
    known = operations(call)
    found = known.newest()
    for operation in found:
        _go_on(call, known, operation)
    return answer({"operations": [describe(operation) for operation in found]})


def get_operation(call: Call) -> Response:
    """Answer with one operation."""
    known = operations(call)
    operation = _find(call, known)
    _go_on(call, known, operation)
    return answer(describe(operation))


def stop_operation(call: Call) -> Response:
    """Stop an operation after the batch that is under way."""
    known = operations(call)
    operation = _find(call, known)
    if operation.state != "running":
        raise Conflict(f"operation {operation.id} has ended: it is {operation.state}")
    known.stop(operation.id)
    call.note("stop_operation", target=operation.id)
    return answer(describe(_find(call, known)))


def _find(call: Call, known: Operations) -> Operation:
    found = known.get(call.path["id"]) if call.path["id"].isalnum() and len(call.path["id"]) <= 32 else None
    if found is None:
        raise NotFound(f"there is no operation {call.path['id'][:512]}")
    return found


def describe(operation: Operation) -> dict[str, Any]:
    """Return an operation as the answers show it."""
    return {
        "id": operation.id,
        "kind": operation.kind,
        "state": operation.state,
        "filter": operation.filter,
        "total": operation.total,
        "seen": operation.seen,
        "done": operation.done,
        "skipped": {"gone": operation.gone, "owned": operation.owned, "unreadable": operation.unreadable},
        "by": operation.by,
        "started_at": at(operation.started_ms),
        "updated_at": at(operation.updated_ms),
        "ended_at": at(operation.ended_ms) if operation.ended_ms else None,
        "error": operation.error or None,
    }
