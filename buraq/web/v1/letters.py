"""Dead letters: read as a list, one by one, and by what they have in common."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ujson
from flask import Response
from werkzeug.exceptions import NotFound

from buraq.browse import Budget, newest_letters
from buraq.chosen import Bound, Filter
from buraq.deadletters import DeadLetter, DeadLetters
from buraq.keys import is_entry
from buraq.newest import Place
from buraq.web.v1.call import Call, answer, at, dumps
from buraq.web.v1.cursors import in_records, read_cursor, write_cursor, write_until
from buraq.web.v1.show import letter, letter_detail

GROUPS = 500


def list_letters(call: Call) -> Response:
    """Answer with a page of dead letters."""
    query, queues = call.query, call.asked_queues
    cursor = read_cursor(query.get("cursor"), ["letters", query.get("queue")], in_records)
    wanted, items = Filter.of(query), []
    after = Place(*cursor) if cursor else None
    place, more, budget = after, False, Budget()
    for place, size, dead in newest_letters(call.backend.parts(queues), after, query["limit"], call.lacking):
        if wanted.fits(dead):
            items.append(letter(place.queue, dead, call.state.redaction))
        if more := not budget.spend(size) or len(items) == query["limit"]:
            break
    total = sum(DeadLetters(call.backend, queue).count(call.lacking) for queue in queues)
    return answer(
        {
            "items": items,
            "next": write_cursor(list(place), ["letters", query.get("queue")]) if more and place else None,
            "scanned": budget.looked_at,
            "total": total,
            **call.left_out(),
        }
    )


def find(call: Call) -> tuple[str, DeadLetter]:
    """Return the dead letter that the path names, and its queue. Raises 404."""
    queue, _, entry = call.path["id"].rpartition(":")
    if valid_entry(entry) and call.has_queue(queue):
        found = DeadLetters(call.backend, queue).at(entry)
        if found is not None:
            return queue, found
    raise NotFound(f"there is no dead letter {call.path['id'][:512]}")


def valid_entry(entry: str) -> bool:
    """Whether a text is the id of an entry, in a cluster with its shard before it."""
    return is_entry(entry.rpartition("/")[2])


def get_letter(call: Call) -> Response:
    """Answer with one dead letter."""
    queue, found = find(call)
    return answer(letter_detail(queue, found, call.state.redaction))


def list_groups(call: Call) -> Response:
    """Answer with the groups, the largest first. One that is asked for is among them, whatever its size."""
    found: list[tuple[tuple[int, str, str], dict[str, Any]]] = []
    total = 0
    bounds: dict[str, Bound | None] = {}
    for queue in call.asked_queues:
        letters, lacking = DeadLetters(call.backend, queue), call.lacking
        # Before they are counted: what dies in between is counted, and beyond it.
        ends = {name: Bound.of(part, lacking) for name, part in call.backend.parts([queue]).items()}
        length, groups = letters.count(lacking), letters.groups(lacking)
        if {"dead", "groups"}.intersection(call.broken.get(queue, {}).values()):
            continue  # what is done to all that were counted would be refused there, and come to no other queue
        bounds |= ends
        total += length
        for group in groups:
            shown_group = {
                "group": group.id,
                "queue": queue,
                "type": group.type,
                "reason": group.reason,
                "error": group.error,
                "count": group.letters,
                "first_died_at": at(group.first_ms),
                "last_died_at": at(group.last_ms),
            }
            found.append(((-group.letters, queue, group.id), shown_group))
        found.sort(key=lambda pair: pair[0])
    every = [group for _, group in found]
    asked = [group for group in every[GROUPS:] if group["group"] == call.query.get("group")]
    shown = every[: GROUPS - len(asked)] + asked
    until = write_until({name: bound for name, bound in bounds.items() if bound is not None})
    grouped = -sum(rank[0] for rank, _ in found)
    return answer({"groups": shown, "grouped": grouped, "total": total, "until": until, **call.left_out()})


def export(call: Call) -> Response:
    """Answer with dead letters as JSON lines, streamed. One that does not hold all ends with a line that says so."""
    wanted, redaction = Filter.of(call.query), call.state.redaction
    runs = {queue: DeadLetters(call.backend, queue) for queue in call.asked_queues}
    for letters in runs.values():
        letters.count(call.lacking)  # what one queue's are not is found while the status can still say so

    def lines() -> Iterator[str]:
        try:
            for queue, letters in runs.items():
                for dead in letters.all(call.broken):
                    if wanted.fits(dead):
                        yield dumps(letter_detail(queue, dead, redaction)) + "\n"
            if lacking := call.left_out():
                yield dumps({"error": "not complete: something else has overwritten keys", **lacking}) + "\n"
        except Exception as error:  # the status is sent: what broke can only be said here
            yield ujson.dumps({"error": f"broke off: {type(error).__name__}"}) + "\n"

    answered = Response(lines(), content_type="application/x-ndjson")
    answered.headers["Content-Disposition"] = 'attachment; filename="dead-letters.jsonl"'
    return answered
