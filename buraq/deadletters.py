"""The dead letters: read in pages, given another life in batches, deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from typing import NamedTuple

import ujson

from buraq.backend import Backend, Shard
from buraq.broker import BATCH_BYTES, REPLAY_BATCH, Replayable
from buraq.keys import is_entry
from buraq.replies import Broken, checked, leaving_out, unless_broken
from buraq.task import ATTEMPTS, DEATHS, PAYLOAD, Task, Undecodable, decode, recode, whole_number

PAGE = 250


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that was given up. `task` is None when the entry holds none that can be read; then `raw` says what it
    holds.
    """

    entry: str
    reason: str
    died_at_ms: int
    error: str
    traceback: str
    deaths: int
    raw: bytes
    task: Task | None
    attempts: bytes = b""
    group: str = ""  # empty for one that was not counted in a group


class Counted(NamedTuple):
    """A group of dead letters that have type, reason and error in common. `type` is None for what cannot be read."""

    id: str
    type: str | None
    reason: str
    error: str | None  # the newest one's
    letters: int
    first_ms: int  # when the first one died, of those since the group was last empty
    last_ms: int


class Replayed(NamedTuple):
    """How many dead letters went back, and how many stay: unreadable, or their key belongs to another task."""

    replayed: int
    unreadable: int
    owned: int


class ShardLetters:
    """The dead letters of one queue on one shard: on one server those are all.

    Raises one of `connection.Unreachable` when the server is away, and what it answers where it refuses. What takes
    `broken` adds to that the keys that hold another type of value, and takes them for empty.
    """

    def __init__(self, shard: Shard, queue: str) -> None:
        self._broker = shard.broker(queue)
        self._link = shard.server.shared

    def __len__(self) -> int:
        return self.count()

    def count(self, broken: Broken | None = None) -> int:
        """Return how many there are."""
        keys = self._broker.keys
        [length] = self._link.commands([("XLEN", keys.dlq)])
        return int(checked(unless_broken(length, 0, keys.name, keys.dlq, "dead", broken)))

    def page(self, after: str = "-", limit: int = PAGE, until: str = "+") -> list[DeadLetter]:
        """Return at most `limit` dead letters after the entry id `after`, oldest first."""
        start = after if after == "-" else f"({after}"
        rows = self._link.command("XRANGE", self._broker.keys.dlq, start, until, "COUNT", limit)
        return [of_entry(entry, fields) for entry, fields in rows]

    def all(self, broken: Broken | None = None) -> Iterator[DeadLetter]:
        """Go through the dead letters that there are now, oldest first. Those that die meanwhile are left out."""
        keys = self._broker.keys
        with leaving_out(keys.name, keys.dlq, "dead", broken):
            last = self._link.command("XREVRANGE", keys.dlq, "+", "-", "COUNT", 1)
            after, until = "-", last[0][0].decode() if last else ""
            while until and (page := self.page(after, until=until)):
                yield from page
                after = page[-1].entry

    def at(self, entry: str, broken: Broken | None = None) -> DeadLetter | None:
        """Return the dead letter with an entry id; None for what is no entry id, too."""
        keys = self._broker.keys
        rows: list[tuple[bytes, list[bytes]]] = []
        with leaving_out(keys.name, keys.dlq, "dead", broken):
            rows = self._link.command("XRANGE", keys.dlq, entry, entry) if is_entry(entry) else []
        return of_entry(*rows[0]) if rows else None

    def of_task(self, task_id: str, broken: Broken | None = None) -> DeadLetter | None:
        """Return the dead letter of a task."""
        keys, place = self._broker.keys, b""
        with leaving_out(keys.name, keys.index, "dead", broken):
            place = self._link.command("HGET", keys.index, task_id) or b""
        return self.at(place[1:].decode(errors="replace"), broken) if place.startswith(b"d") else None

    def groups(self, broken: Broken | None = None) -> list[Counted]:
        """Return the groups as the scripts have counted them: a thousand at most."""
        keys = self._broker.keys
        [found] = self._link.commands([("HGETALL", keys.groups)])
        rows = checked(unless_broken(found, [], keys.name, keys.groups, "groups", broken))
        said = {name.decode(): value.decode() for name, value in zip(rows[::2], rows[1::2], strict=True)}
        return [_counted(name, said) for name in said if ":" not in name]

    def replay(self, letters: list[DeadLetter]) -> Replayed:
        """Put dead letters back into their streams with no retries used. Each batch is atomic.

        What is interrupted can be repeated: a dead letter that went back is no longer here.
        """
        readable = [(letter, letter.task) for letter in letters if letter.task is not None]
        replayed = owned = 0
        batch: list[Replayable] = []
        size = 0
        for letter, task in readable:
            payload = recode(task, current_retries=0, error="")
            again = Replayable(letter.entry, task, payload, letter.attempts, letter.group)
            if batch and (len(batch) == REPLAY_BATCH or size + len(again.payload) > BATCH_BYTES):
                sent, kept = self._send(batch)
                replayed, owned, batch, size = replayed + sent, owned + kept, [], 0
            batch.append(again)
            size += len(again.payload)
        if batch:
            sent, kept = self._send(batch)
            replayed, owned = replayed + sent, owned + kept
        return Replayed(replayed, len(letters) - len(readable), owned)

    def _send(self, batch: list[Replayable]) -> tuple[int, int]:
        refused = self._link.call(self._broker.replay(batch))
        words = [bytes(word) for word in refused[1::2]]
        return len(batch) - len(words), words.count(b"OWNED")

    def replay_all(self) -> Replayed:
        """Put all dead letters that there are now back into their streams."""
        total = Replayed(0, 0, 0)
        page: list[DeadLetter] = []
        for letter in self.all():
            page.append(letter)
            if len(page) == PAGE:
                total, page = _sum(total, self.replay(page)), []
        return _sum(total, self.replay(page))

    def purge(self, letters: list[DeadLetter]) -> int:
        """Delete dead letters for good. Returns how many were still there."""
        deleted = 0
        for start in range(0, len(letters), PAGE):
            pairs = [(one.entry, one.task.id if one.task else "", one.group) for one in letters[start : start + PAGE]]
            deleted += int(self._link.call(self._broker.purge(pairs)))
        return deleted

    def purge_all(self) -> int:
        """Delete all dead letters that there are now. Returns how many."""
        deleted = 0
        page: list[DeadLetter] = []
        for letter in self.all():
            page.append(letter)
            if len(page) == PAGE:
                deleted += self.purge(page)
                page = []
        return deleted + self.purge(page)

    def trim(self, max_age_ms: int | None, max_length: int | None, now_ms: int) -> int:
        """Delete the dead letters that the retention settings no longer keep; at most a page. Returns how many."""
        excess = len(self) - max_length if max_length is not None else 0
        old: list[DeadLetter] = []
        if excess > 0:
            old = self.page(limit=min(PAGE, excess))
        elif max_age_ms is not None:
            old = self.page(until=str(now_ms - max_age_ms))
        return self.purge(old)


class DeadLetters:
    """The dead letters of one queue, in a cluster those of all shards: there an entry is `<shard>/<entry id>`.

    Raises one of `connection.Unreachable` when the server, or a part of it, is away, and what it answers where it
    refuses. What takes `broken` adds to that the keys that hold another type of value, and takes them for empty.
    """

    def __init__(self, backend: Backend, queue: str) -> None:
        self._shards = [ShardLetters(shard, queue) for shard in backend.shards]
        self._several = len(self._shards) > 1

    def __len__(self) -> int:
        return self.count()

    def count(self, broken: Broken | None = None) -> int:
        """Return how many there are."""
        return sum(shard.count(broken) for shard in self._shards)

    def all(self, broken: Broken | None = None) -> Iterator[DeadLetter]:
        """Go through the dead letters that there are now, oldest first. Those that die meanwhile are left out."""
        parts = [self._marked(number, shard.all(broken)) for number, shard in enumerate(self._shards)]
        return merge(*parts, key=lambda letter: letter.died_at_ms) if self._several else parts[0]

    def at(self, entry: str, broken: Broken | None = None) -> DeadLetter | None:
        """Return the dead letter with an entry."""
        if not self._several:
            return self._shards[0].at(entry, broken)
        number, _, own = entry.partition("/")
        if number not in map(str, range(len(self._shards))):
            return None
        found = self._shards[int(number)].at(own, broken)
        return replace(found, entry=entry) if found is not None else None

    def groups(self, broken: Broken | None = None) -> list[Counted]:
        """Return the groups as the scripts have counted them: a thousand at most of each shard."""
        found: dict[str, Counted] = {}
        for shard in self._shards:
            for group in shard.groups(broken):
                found[group.id] = _merged(found[group.id], group) if group.id in found else group
        return list(found.values())

    def get(self, entry_or_id: str, broken: Broken | None = None) -> DeadLetter | None:
        """Return one dead letter, by its task's id or its entry."""
        for number, shard in enumerate(self._shards):
            found = shard.of_task(entry_or_id, broken)
            if found is not None:
                return next(self._marked(number, (found,)))
        return self.at(entry_or_id, broken)

    def replay(self, letters: list[DeadLetter]) -> Replayed:
        """Put dead letters back into their streams with no retries used. Each batch is atomic.

        What is interrupted can be repeated: a dead letter that went back is no longer here.
        """
        total = Replayed(0, 0, 0)
        for shard, part in self._by_shard(letters):
            total = _sum(total, shard.replay(part))
        return total

    def replay_all(self) -> Replayed:
        """Put all dead letters that there are now back into their streams."""
        total = Replayed(0, 0, 0)
        for shard in self._shards:
            total = _sum(total, shard.replay_all())
        return total

    def purge(self, letters: list[DeadLetter]) -> int:
        """Delete dead letters for good. Returns how many were still there."""
        return sum(shard.purge(part) for shard, part in self._by_shard(letters))

    def purge_all(self) -> int:
        """Delete all dead letters that there are now. Returns how many."""
        return sum(shard.purge_all() for shard in self._shards)

    def _marked(self, number: int, letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
        """Yield dead letters of a shard with its number before their entries."""
        for letter in letters:
            yield replace(letter, entry=f"{number}/{letter.entry}") if self._several else letter

    def _by_shard(self, letters: list[DeadLetter]) -> Iterator[tuple[ShardLetters, list[DeadLetter]]]:
        """Yield each shard with those that lie there, without its number before their entries."""
        if not self._several:
            yield self._shards[0], letters
            return
        parts: dict[int, list[DeadLetter]] = {}
        for letter in letters:
            shard, _, entry = letter.entry.partition("/")
            parts.setdefault(int(shard), []).append(replace(letter, entry=entry))
        for number, part in parts.items():
            yield self._shards[number], part


def _sum(one: Replayed, other: Replayed) -> Replayed:
    return Replayed(*(a + b for a, b in zip(one, other, strict=True)))


def _merged(one: Counted, other: Counted) -> Counted:
    """Return what two shards know of a group."""
    newest = max(one, other, key=lambda group: group.last_ms)
    first = min((group.first_ms for group in (one, other) if group.first_ms), default=0)
    return newest._replace(letters=one.letters + other.letters, first_ms=first)


def _counted(group: str, said: dict[str, str]) -> Counted:
    last, _, facts = said.get(f"{group}:last", "").partition(" ")
    common = ujson.loads(facts or "{}")
    letters, first = int(said[group]), said.get(f"{group}:first", "")
    return Counted(
        group,
        common.get("type"),
        common.get("reason", ""),
        common.get("error"),
        letters,
        int(first) if first.isdigit() else 0,
        int(last) if last.isdigit() else 0,
    )


def of_entry(entry: bytes, fields: list[bytes]) -> DeadLetter:
    """Return the dead letter that an entry holds."""
    # Ours come first: what could not be read may have fields of the same names.
    return of_fields(entry.decode(), dict(zip(reversed(fields[::2]), reversed(fields[1::2]), strict=False)))


def of_fields(entry: str, said: dict[bytes, bytes]) -> DeadLetter:
    """Return the dead letter that an entry holds, by its fields."""
    raw = said.get(PAYLOAD, b"")
    try:
        task = decode(raw)
    except Undecodable:
        task = None

    def text(name: bytes) -> str:
        return said.get(name, b"").decode(errors="replace")

    return DeadLetter(
        entry=entry,
        reason=text(b"reason") or "exhausted",  # the original writes none
        died_at_ms=whole_number(said.get(b"died_at", b""), int(entry.split("-")[0])),
        error=text(b"error"),
        traceback=text(b"traceback"),
        deaths=whole_number(said.get(DEATHS, b"")),
        raw=raw,
        task=task,
        attempts=said.get(ATTEMPTS, b"") if task is not None else b"",
        group=text(b"group"),
    )
