"""Tasks as people look at them: one by its id, and lists of those in a state, page by page.

A page costs the same however many tasks there are: it ends after so many entries looked at.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import ujson
from redis.exceptions import ResponseError

from buraq.backend import Backend, Part
from buraq.deadletters import DeadLetter, of_entry, of_fields
from buraq.history import History
from buraq.keys import DEAD, HISTORIES, LETTERS, SCHEDULED, is_entry
from buraq.known import KnownTask, in_stream, of_letter, of_record, scheduled
from buraq.newest import Place, newest_first
from buraq.replies import (
    Broken,
    all_checked,
    checked,
    group_of,
    leaving_out,
    pending_of,
    put_off,
    unix_ms,
    unless_broken,
)

LOOKED_AT, BYTES, SECONDS = 1000, 4 << 20, 0.015  # what a page may cost: entries, bytes, time
CHUNK = 100  # entries that are read at once, and that no page is too late for
_CARRIED = 1000  # characters of an id as JSON, in a cursor
LIVE = ("waiting", "running", "scheduled")
STATES = ("scheduled", "waiting", "running", "completed", "failed", "dead", "cancelled")


class Page(NamedTuple):
    """A part of a list: what was found, where to go on (None at its end), and how many entries were looked at."""

    items: list[KnownTask]
    next: list[Any] | None
    scanned: int


Seen = tuple[list[Any], int, KnownTask | None]  # where to go on after it, bytes, and what it is


class Budget:
    """What a page may still cost. A page that finds little ends, and is gone on with by the next one."""

    def __init__(self) -> None:
        self.looked_at = 0
        self._bytes = 0
        self._until = time.monotonic() + SECONDS

    def spend(self, size: int) -> bool:
        """Pay for an entry of so many bytes. Returns False when that was the last one."""
        self.looked_at += 1
        self._bytes += size
        late = self.looked_at >= CHUNK and time.monotonic() > self._until
        return self.looked_at < LOOKED_AT and self._bytes <= BYTES and not late


class Tasks:
    """Looks tasks up. Raises one of `connection.Unreachable` when the server, or a part of it, is away, and what it
    answers where it refuses. What takes `broken` adds to that the keys that hold another type of value, and takes
    them for empty; without it, they are an error too.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._group = backend.config.group_name
        self.history = History(backend)

    # -- one

    def find(self, queues: Sequence[str], task_id: str) -> KnownTask | None:
        """Return a task of the first queue that has it, else of the first whose history does.

        Of a key that says where the tasks of a queue are, and was overwritten, the error is raised when no other knows
        the task: it may be that one's.
        """
        errors: list[ResponseError] = []
        for shard in self._backend.likely_first(task_id):
            keys = [shard.names.queue(queue) for queue in queues]
            places = put_off(shard.server.shared.commands([("HGET", key.index, task_id) for key in keys]), errors)
            for key, place in zip(keys, places, strict=True):
                found = self._follow(Part(shard, key), task_id, place or b"")
                if found is not None:
                    return replace(found, shard=shard.number)
        for shard in self._backend.likely_first(task_id):
            ended = self.history.find(shard, queues, task_id, errors)
            if ended is not None:
                return replace(of_record(ended), shard=shard.number)
        if errors:
            raise errors[0]
        return None

    def _follow(self, part: Part, task_id: str, place: bytes) -> KnownTask | None:
        """Return the task at the place that the index named, or wherever it has been moved since."""
        while place:
            found = self._at(part, task_id, place.decode(errors="replace"))
            if found is not None:
                return found
            now = part.link.command("HGET", part.keys.index, task_id)
            place = now if now and now != place else b""
        return None

    def _at(self, part: Part, task_id: str, place: str) -> KnownTask | None:
        """Return the task at the place that the index names, None when it is no longer there."""
        letter, entry = place[:1], place[1:]
        keys, link = part.keys, part.link
        if letter == SCHEDULED:
            asked_for = [("ZSCORE", keys.scheduled, task_id), ("HGET", keys.tasks, task_id)]
            due, payload = all_checked(link.commands(asked_for))
            return scheduled(keys, due, payload, place) if due is not None else None
        stream = keys.dlq if letter == DEAD else keys.streams.get(letter)
        if stream is None or not is_entry(entry):
            return None
        asked = [("XRANGE", stream, entry, entry), ("XPENDING", stream, self._group, entry, entry, 1), ("TIME",)]
        body, pending, clock = link.commands(asked)
        if not checked(body):
            return None
        if letter == DEAD:
            return _dead(self._backend, part, of_entry(*body[0]))
        holder = next(iter(pending_of(pending)), None)
        found, words = body[0]
        return in_stream(keys, letter, found, words, holder, unix_ms(clock))

    # -- lists

    def page(
        self,
        state: str,
        queues: Sequence[str],
        cursor: list[Any] | None = None,
        limit: int = 50,
        wanted: Callable[[KnownTask], bool] = lambda task: True,
        worker: str = "",
        broken: Broken | None = None,
    ) -> Page:
        """Return the next at most `limit` tasks in a state that are `wanted`; `worker` with running ones only."""
        items: list[KnownTask] = []
        budget = Budget()
        for place, size, task in self._walk(state, list(queues), cursor, limit, worker, broken):
            if task is not None and wanted(task):
                items.append(task)
            if not budget.spend(size) or len(items) == limit:
                return Page(items, place, budget.looked_at)
        return Page(items, None, budget.looked_at)

    def count(self, state: str, queues: Sequence[str], broken: Broken | None = None) -> int | None:
        """Return how many tasks are in a state that has a count of its own; None for waiting and running."""
        if state in LIVE[:2]:
            return None
        if state in HISTORIES.values() and state != "dead":
            return self.history.count(queues, state, broken)
        total = 0
        for shard in self._backend.shards:
            keys = [shard.names.queue(queue) for queue in queues]
            asked = [("XLEN", key.dlq) if state == "dead" else ("ZCARD", key.scheduled) for key in keys]
            total += sum(
                checked(unless_broken(reply, 0, key.name, counted, state, broken))
                for reply, key, (_, counted) in zip(shard.server.shared.commands(asked), keys, asked, strict=True)
            )
        return total

    def _walk(
        self, state: str, queues: list[str], cursor: list[Any] | None, first: int, worker: str, broken: Broken | None
    ) -> Iterator[Seen]:
        if state in LIVE:
            yield from self._live(state, queues, cursor, worker, broken)
            return
        after = Place(*cursor) if cursor else None
        if state == "dead":
            parts = self._backend.parts(queues)
            for place, size, letter in newest_letters(parts, after, first, broken):
                yield list(place), size, of_letter(parts[place.part].keys, letter)
        else:
            for place, size, ended in self.history.newest(queues, state, after, first, broken):
                yield list(place), size, of_record(ended) if ended else None

    def _live(
        self, state: str, queues: list[str], cursor: list[Any] | None, worker: str, broken: Broken | None
    ) -> Iterator[Seen]:
        """Go through the queues one after another, and through the streams of each as workers take from them.

        In a cluster each of its parts is a queue of its own.
        """
        letters = (SCHEDULED,) if state == "scheduled" else LETTERS
        at_part, at_letter, at = cursor or ("", "", None)
        begun = cursor is None
        for name, part in self._backend.parts(queues).items():
            for letter in letters:
                if not begun and (name, letter) != (at_part, at_letter):
                    continue
                after, begun = (None, True) if begun else (at, True)
                if state == "scheduled":
                    found = self._scheduled(part, after, broken)
                elif state == "running":
                    found = self._running(part, letter, after, worker)
                else:
                    found = self._waiting(part, letter, after)
                key = part.keys.streams.get(letter, part.keys.scheduled)
                what = "scheduled" if state == "scheduled" else "waiting"
                with leaving_out(part.keys.name, key, what, broken):
                    for place, size, task in found:
                        yield [name, letter, place], size, task

    def _waiting(self, part: Part, letter: str, after: str | None) -> Iterator[tuple[Any, int, KnownTask | None]]:
        keys, link = part.keys, part.link
        stream = keys.streams[letter]
        asked = [("XINFO", "GROUPS", stream), ("TIME",)]
        groups, clock = link.commands(asked)
        delivered = group_of(groups, self._group).get(b"last-delivered-id", b"0-0").decode()
        start = max(after or "0-0", delivered, key=_order)
        while True:
            rows = link.command("XRANGE", stream, f"({start}", "+", "COUNT", CHUNK)
            for entry, fields in rows:
                start = entry.decode()
                yield start, _size(fields), in_stream(keys, letter, entry, fields, None, unix_ms(clock))
            if len(rows) < CHUNK:
                return

    def _running(
        self, part: Part, letter: str, after: str | None, worker: str
    ) -> Iterator[tuple[Any, int, KnownTask | None]]:
        keys, link = part.keys, part.link
        stream, consumer = keys.streams[letter], (worker,) if worker else ()
        start = f"({after}" if after else "-"
        while True:
            held, clock = link.commands([("XPENDING", stream, self._group, start, "+", CHUNK, *consumer), ("TIME",)])
            rows = pending_of(held)
            bodies = all_checked(link.commands([("XRANGE", stream, row[0], row[0]) for row in rows])) if rows else []
            for row, body in zip(rows, bodies, strict=True):
                start = f"({row[0].decode()}"
                fields = body[0][1] if body else []
                yield row[0].decode(), _size(fields), in_stream(keys, letter, row[0], fields, row, unix_ms(clock))
            if len(rows) < CHUNK:
                return

    def _scheduled(
        self, part: Part, after: list[Any] | None, broken: Broken | None
    ) -> Iterator[tuple[Any, int, KnownTask | None]]:
        """Go through what is due later: after a time, so many of that time, and the id of the last of them."""
        keys, link = part.keys, part.link
        score, skip, last = after or ("-inf", 0, "")
        while True:
            skip, rows = _due_after(part, score, skip, last)
            ids, dues = rows[::2], rows[1::2]
            if not ids:
                return
            replies = link.commands([("HMGET", keys.tasks, *ids), ("HMGET", keys.index, *ids)])
            payloads, places = (
                checked(unless_broken(reply, [None] * len(ids), keys.name, key, "scheduled", broken))
                for reply, key in zip(replies, (keys.tasks, keys.index), strict=True)
            )
            for task_id, due, payload, place in zip(ids, dues, payloads, places, strict=True):
                score, skip = (due.decode(), 1) if due.decode() != score else (score, skip + 1)
                last = _carried(task_id)
                task = scheduled(keys, due, payload, (place or b"").decode(errors="replace"))
                yield [score, skip, last], len(payload or b""), task
            if len(ids) < CHUNK:
                return


def newest_letters(
    parts: Mapping[str, Part], after: Place | None = None, first: int = 50, broken: Broken | None = None
) -> Iterator[tuple[Place, int, DeadLetter]]:
    """Go through the dead letters of parts of queues, the newest first: place, size in bytes, and what is there.

    What are no dead letters, because something else has overwritten them, is added to `broken`, as `newest_first` does.
    """
    for one in newest_first({name: (part.link, part.keys.dlq) for name, part in parts.items()}, after, first, broken):
        letter = of_fields(one.place.entry, one.fields)
        yield one.place, one.size, replace(letter, entry=one.place.marked)


def _dead(backend: Backend, part: Part, letter: DeadLetter) -> KnownTask | None:
    if len(backend.shards) > 1:
        letter = replace(letter, entry=f"{part.shard.number}/{letter.entry}")
    return of_letter(part.keys, letter)


def _due_after(part: Part, score: str, skip: int, last: str) -> tuple[int, list[Any]]:
    """Return what is due after a task, ids and times, and how many of its own time come before that.

    Those of one time lie in the order of their ids, and it was the one with the number `skip`. Where it is no more, it
    or some before it have gone, and the others have moved up: by the number alone they would be left out.
    """
    asked = ("ZRANGEBYSCORE", part.keys.scheduled, score, "+inf", "WITHSCORES", "LIMIT")
    if last:
        rows: list[Any] = part.link.command(*asked, max(0, skip - 1), CHUNK + 1)
        if rows[:2] == [last.encode(errors="surrogatepass"), score.encode()]:
            return skip, rows[2:]
        skip = _up_to(part, score, last.encode(errors="surrogatepass"))
    return skip, part.link.command(*asked, skip, CHUNK)


def _up_to(part: Part, score: str, last: bytes) -> int:
    """Return how many of those that are due at a time have an id up to `last`."""

    def id_of(n: int) -> bytes:
        rows: list[bytes] = part.link.command("ZRANGEBYSCORE", part.keys.scheduled, score, score, "LIMIT", n, 1)
        return rows[0] if rows else b"\xff"  # there are not so many; no text begins with that

    return bisect_right(range(part.link.command("ZCARD", part.keys.scheduled)), last, key=id_of)


def _carried(task_id: bytes) -> str:
    """Return an id as a cursor carries it; nothing for one that is no text, or longer there than a cursor may be."""
    text = task_id.decode(errors="replace")
    return text if text.encode() == task_id and len(ujson.dumps(text)) <= _CARRIED else ""


def _size(words: list[bytes]) -> int:
    return sum(map(len, words))


def _order(entry: str) -> tuple[int, int]:
    ms, _, seq = entry.partition("-")
    return int(ms), int(seq or 0)
