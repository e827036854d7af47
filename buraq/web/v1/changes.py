"""Changes of one task or dead letter."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from flask import Response
from redis.exceptions import ResponseError
from werkzeug.exceptions import Conflict, HTTPException, NotFound

from buraq import attempts
from buraq.connection import Unreachable
from buraq.deadletters import DeadLetter, DeadLetters
from buraq.errors import EnqueueError, PayloadError, PayloadTooLarge, QueueUnavailable
from buraq.keys import DEFAULT_QUEUE
from buraq.known import KnownTask
from buraq.replies import checked, unix_ms
from buraq.task import Task
from buraq.template import Template, timestamp
from buraq.web import contract
from buraq.web.answers import server_away
from buraq.web.v1.call import Call, answer, refuse
from buraq.web.v1.letters import find as find_letter
from buraq.web.v1.tasks import find, shown

# Options of Python's enqueue by the same name in the contract.
_SAME = ("queue", "priority", "max_retries", "id", "idempotency_key", "group")
# How the contract calls what Python's enqueue names otherwise.
FIELDS = {"delay": "delay_ms", "at": "due_at", "timeout": "timeout_ms", "task_type": "type"}


def enqueue_task(call: Call) -> Response:
    """Enqueue a task."""
    asked = call.body
    options = {name: asked[name] for name in _SAME if name in asked}
    if "delay_ms" in asked and "due_at" in asked:
        refuse(422, "delay_ms and due_at were both given: a task can wait for one time only", "due_at")
    if "delay_ms" in asked:
        options["delay"] = asked["delay_ms"] / 1000
    if "due_at" in asked:
        options["at"] = contract.moment(asked["due_at"])
    if "timeout_ms" in asked:
        options["timeout"] = timedelta(milliseconds=asked["timeout_ms"])
    try:
        handle = call.app.enqueue(asked["type"], asked.get("payload", {}), **options)
    except PayloadTooLarge as error:
        refuse(413, str(error), "payload")
    except PayloadError as error:
        refuse(422, str(error), _payload_field(error))
    except QueueUnavailable as error:
        again = f"; task {error.task_ids[0]} may have been accepted: enqueued again with that id, it is not added twice"
        raise HTTPException(response=server_away(error, again)) from None
    except EnqueueError as error:
        raise HTTPException(response=server_away(error)) from None
    except (TypeError, ValueError, OverflowError) as error:
        refuse(422, str(error), _field_of(error))
    ref = {"id": handle.id, "type": handle.type, "queue": handle.queue, "created": handle.created}
    # It is accepted: whatever fails from here on, an error would have the client send it again.
    if handle.created:
        call.note("enqueue", queue=handle.queue, target=handle.id)
    ref["known_type"] = known_type(call, handle.queue, handle.type)
    answered = answer(ref, 201 if handle.created else 200)
    if handle.created:
        query = "" if handle.queue == DEFAULT_QUEUE else f"?queue={handle.queue}"
        answered.headers["Location"] = f"tasks/{quote(handle.id, safe='')}{query}"
    return answered


def _payload_field(error: PayloadError) -> str:
    return error.path if error.path.startswith("payload") else f"payload.{error.path}"


def _field_of(error: Exception) -> str:
    """Return the member of the body that an error of `enqueue` is about: its text begins with the option."""
    name = str(error).partition("=")[0].partition(" ")[0]
    name = FIELDS.get(name, name)
    return name if name in (*_SAME, *FIELDS.values()) else "payload"


def known_type(call: Call, queue: str, task_type: str) -> bool:
    """Whether a live worker process of a queue knows a task type. True when that cannot be asked."""
    keys = call.backend.names.queue(queue)
    try:
        replies = call.backend.server.shared.commands([("ZSCORE", keys.types, task_type), ("TIME",)])
        score, now_ms = checked(replies[0]), unix_ms(replies[1])
    except (ResponseError, *Unreachable):
        return True
    return isinstance(score, bytes) and float(score) > now_ms


def cancel_task(call: Call) -> Response:
    """Cancel a task that has not started."""
    known = find(call)
    said = "UNKNOWN"
    if known.state in ("waiting", "scheduled"):
        past = attempts.write(known.attempts, known.attempts_left_out) if known.attempts else b""
        cancelled = shown(call, _cancelled(known))  # now: once it is taken back, an error would deny that
        said = call.state.inspector.cancel(known.queue, known.task.id, past, known.deaths)
        if said == "CANCELLED":
            call.note("cancel", queue=known.queue, target=known.task.id)
            return answer(cancelled)
    state = {"RUNNING": "running", "DEAD": "dead"}.get(said, known.state)
    if state in ("waiting", "scheduled"):  # that was when it was found: it has started since, or ended
        state = find(call).state
        if state in ("waiting", "scheduled"):
            raise Conflict(f"task {known.task.id} was elsewhere for a moment, and is {state} again: ask again")
    raise Conflict(f"task {known.task.id} is {state}: only what waits or is scheduled can be cancelled")


def _cancelled(known: KnownTask) -> KnownTask:
    now_ms = int(time.time() * 1000)
    return dataclasses.replace(known, state="cancelled", since_ms=now_ms, due_ms=None, key="", line="", entry="")


def replay_letter(call: Call) -> Response:
    """Replay a dead letter, changed or as it is."""
    queue, found = find_letter(call)
    if found.task is None:
        raise Conflict(f"dead letter {call.path['id']} holds no task that can be read: it can only be deleted")
    edited = "payload" in call.body
    if edited:
        found = _edited(call, found, found.task, call.body["payload"])
    replayed = DeadLetters(call.backend, queue).replay([found])
    if replayed.owned:
        raise Conflict(f"another task owns the idempotency key {found.task.idempotency_key}: it stays")  # type: ignore[union-attr]
    if not replayed.replayed:
        raise NotFound(f"there is no dead letter {call.path['id']}: somebody else replayed or deleted it")
    task = found.task
    assert task is not None
    call.note("edit_and_replay" if edited else "replay", queue=queue, target=task.id)
    known = known_type(call, queue, task.type)
    return answer({"id": task.id, "type": task.type, "queue": queue, "created": True, "known_type": known})


def _edited(call: Call, letter: DeadLetter, task: Task, payload: dict[str, Any]) -> DeadLetter:
    """Return a dead letter with another payload; what still reads as hidden is what is stored, or refused."""
    payload, lost = call.state.redaction.restore(payload, task.payload)
    if lost:
        field = f"payload.{lost[0]}"
        refuse(422, f"{field} reads as hidden, and nothing that is stored belongs there: write its value", field)
    try:
        Template(task.type, {}, call.backend.config.max_payload_bytes).write(task.id, payload, timestamp())
    except PayloadTooLarge as error:
        refuse(413, str(error), "payload")
    except PayloadError as error:
        refuse(422, str(error), _payload_field(error))
    changed = dataclasses.replace(task, payload=payload, members={**task.members, "payload": payload})
    return dataclasses.replace(letter, task=changed)


def delete_letter(call: Call) -> Response:
    """Delete a dead letter for good."""
    queue, found = find_letter(call)
    if not DeadLetters(call.backend, queue).purge([found]):
        raise NotFound(f"there is no dead letter {call.path['id']}: somebody else replayed or deleted it")
    call.note("delete", queue=queue, target=found.task.id if found.task is not None else call.path["id"])
    return Response(status=204)
