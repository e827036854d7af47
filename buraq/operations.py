"""Work on many dead letters: done in batches, with its state on the server, so that any process can show it and go on.

Each batch is atomic. A process that ends in the middle leaves what it did done; the next one that looks goes on.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ujson
from redis.exceptions import RedisError

from buraq.backend import Backend
from buraq.chosen import Bound, Filter
from buraq.connection import Unreachable
from buraq.deadletters import DeadLetter, DeadLetters, ShardLetters
from buraq.replies import Broken, all_checked, unix_ms

_log = logging.getLogger(__name__)

BATCH = 250  # dead letters that are looked at between two words on the progress
RUNNER_LIFE_MS = 5_000  # a runner that says nothing for so long has ended
LIFE = 24 * 3600  # seconds that an operation is remembered after its end
SHOWN = 50
REFUSED = "Redis refused a command, see the log"
COUNTS = ("total", "seen", "done", "gone", "owned", "unreadable")


@dataclass(slots=True)
class Operation:
    """What is done to which dead letters, and how far that is. Times are unix ms by the server's clock."""

    id: str
    kind: str  # replay or delete
    by: str
    address: str = ""  # they came from
    state: str = "running"  # running, done, stopped or failed
    filter: dict[str, str] | None = None  # None where ids were named
    ids: list[list[str]] = field(default_factory=list)  # queue and entry of each
    # By the names of the queues, or of their parts in a cluster.
    place: dict[str, str] = field(default_factory=dict)  # the last entry that was looked at
    until: dict[str, str] = field(default_factory=dict)  # the last entry when it began, or when it was counted
    begun: list[str] = field(default_factory=list)  # what a batch is at, that has not come to its end: queue and entry
    total: int = 0
    seen: int = 0
    done: int = 0
    gone: int = 0
    owned: int = 0
    unreadable: int = 0
    started_ms: int = 0
    updated_ms: int = 0
    ended_ms: int = 0
    error: str = ""

    def fields(self) -> list[str | int]:
        """Return what the hash holds, field by field."""
        names = [name for name in self.__dataclass_fields__ if name != "id"]
        values = [getattr(self, name) for name in names]
        written = [value if isinstance(value, str | int) else ujson.dumps(value) for value in values]
        return [word for pair in zip(names, written, strict=True) for word in pair]


class Operations:
    """Begins operations, works on them and shows them. Raises one of `connection.Unreachable`."""

    def __init__(self, backend: Backend, note: Callable[[Operation], None] = lambda operation: None) -> None:
        """`note` is called before an operation begins, and when one comes to its end in this process."""
        self._backend = backend
        self._names = backend.names
        self._link = backend.server.shared
        self._note = note
        self._me = secrets.token_hex(8)

    # -- asking

    def begin(
        self,
        kind: str,
        by: str,
        queues: Sequence[str],
        filter: dict[str, str] | None,
        ids: Sequence[tuple[str, str]],
        address: str = "",
        counted: Mapping[str, Bound] | None = None,
        broken: Broken | None = None,
    ) -> Operation:
        """Begin an operation for the dead letters that are there now and fit, or for those named: queue and entry.

        Of those that fit it takes those alone that were `counted`, by part of a queue, where that is said: whoever
        confirmed a number has not seen what died since. It is noted first: where that fails nothing has been done.
        Dead letters that something else has overwritten are left out, added to `broken`, and named in the operation's
        error; without `broken` they are an error here.
        """
        operation = Operation(secrets.token_hex(6), kind, by, address, filter=filter, ids=[list(one) for one in ids])
        if filter is not None:
            for name, part in self._backend.parts(queues).items():
                there = Bound.of(part, broken) if counted is None or name in counted else None
                if there is not None:
                    bound = there if counted is None else there.within(counted[name])
                    operation.until[name] = bound.entry
                    operation.total += bound.letters
            if broken:
                keys = ", ".join(sorted(key for keys in broken.values() for key in keys))
                operation.error = f"done without what is in {keys}: something else has overwritten that"
        else:
            operation.total = len(ids)
        operation.started_ms = operation.updated_ms = self._now_ms()
        self._note(operation)
        key = self._names.operation(operation.id)
        self._checked(
            [
                ("HSET", key, *operation.fields()),
                ("EXPIRE", key, 7 * LIFE),
                ("ZADD", self._names.operations, operation.started_ms, operation.id),
                ("ZREMRANGEBYSCORE", self._names.operations, "-inf", operation.started_ms - 8000 * LIFE),
            ]
        )
        return operation

    def get(self, operation_id: str) -> Operation | None:
        """Return an operation, None for one that is not remembered."""
        return _read(operation_id, self._link.command("HGETALL", self._names.operation(operation_id)))

    def newest(self) -> list[Operation]:
        """Return the operations that are remembered, the newest first."""
        ids = self._link.command("ZREVRANGE", self._names.operations, 0, SHOWN - 1)
        found = [self.get(one.decode()) for one in ids]
        return [operation for operation in found if operation is not None]

    def stop(self, operation_id: str) -> None:
        """Have an operation end after the batch that is under way."""
        self._checked([("HSET", self._names.operation(operation_id), "state", "stopped", "ended_ms", self._now_ms())])
        self._checked([("EXPIRE", self._names.operation(operation_id), LIFE)])

    # -- working

    def work(self, operation: Operation, patience: float = 0.0) -> None:
        """See to it that somebody works on an operation: a thread here, where nobody does.

        Waits `patience` seconds for its end.
        """
        if operation.state != "running" or not self._take(operation.id):
            return
        thread = threading.Thread(target=self._run, args=(operation.id,), name="buraq-operation", daemon=True)
        thread.start()
        thread.join(patience)

    def _take(self, operation_id: str) -> bool:
        words = ("SET", self._names.runner(operation_id), self._me, "PX", RUNNER_LIFE_MS, "NX")
        return bool(self._link.command(*words) == b"OK")

    def _run(self, operation_id: str) -> None:
        """Work on an operation until its end, or until the server is away: then somebody else goes on."""
        try:
            operation = self.get(operation_id)
            while operation is not None and operation.state == "running" and self._mine(operation_id):
                if not self.step(operation):
                    self._finish(operation, "done", operation.error)
                    break
                operation = self.get(operation_id)
            if operation is not None and operation.state == "stopped":
                self._note(operation)
        except Unreachable as error:  # whoever asks for it next goes on with it
            _log.warning("operation interrupted", extra={"operation": operation_id, "error": str(error)})
        except RedisError as error:
            _log.warning("operation failed", extra={"operation": operation_id, "error": str(error)})
            self._give_up(operation_id)
        finally:
            self._release(operation_id)

    def step(self, operation: Operation) -> bool:
        """Do one batch, and write down how far it is. Returns False when there is nothing left to do."""
        more = self._step_named(operation) if operation.filter is None else self._step_through(operation)
        operation.updated_ms = self._now_ms()
        operation.begun = []
        place, updated = ujson.dumps(operation.place), operation.updated_ms
        self._checked(
            [
                (*self._counted(operation), "place", place, "updated_ms", updated),
                ("SET", self._names.runner(operation.id), self._me, "PX", RUNNER_LIFE_MS),
            ]
        )
        return more

    def _counted(self, operation: Operation) -> list[str | int]:
        words = [word for name in COUNTS for word in (name, getattr(operation, name))]
        return ["HSET", self._names.operation(operation.id), *words, "begun", ujson.dumps(operation.begun)]

    def _begin_batch(
        self, operation: Operation, found: Sequence[tuple[str, Sequence[DeadLetter]]], missing: int = 0
    ) -> None:
        """Count what a batch had done that was interrupted here, and write down what it is at now.

        What that was at and is no longer there has been done, unless somebody else did it in these moments: its reply
        has been lost with the connection, or with the process. So only a batch that begins counts what is `missing`.
        """
        there = [f"{name} {letter.entry}" for name, letters in found for letter in letters]
        if operation.begun:
            operation.done += len(set(operation.begun).difference(there))
        else:
            operation.gone += missing
        if there:  # else there is nothing left to do: how far it is will be written down with the counts, or neither
            operation.begun = there
            self._checked([self._counted(operation)])

    def _step_named(self, operation: Operation) -> bool:
        """Do a batch of those that were named."""
        part = operation.ids[operation.seen : operation.seen + BATCH]
        by_queue: dict[str, list[str]] = {}
        for queue, entry in part:
            by_queue.setdefault(queue, []).append(entry)
        letters = {queue: DeadLetters(self._backend, queue) for queue in by_queue}
        found = {
            queue: [letter for entry in entries if (letter := letters[queue].at(entry)) is not None]
            for queue, entries in by_queue.items()
        }
        self._begin_batch(operation, list(found.items()), len(part) - sum(map(len, found.values())))
        for queue in by_queue:
            self._do(operation, letters[queue], found[queue])
        operation.seen += len(part)
        return operation.seen < len(operation.ids)

    def _step_through(self, operation: Operation) -> bool:
        """Do a batch of those that fit, the oldest first, of the first queue that has some left."""
        wanted = Filter.of(operation.filter or {})
        for name, until in operation.until.items():
            after = operation.place.get(name, "-")
            if after == until:
                continue
            shard, _, queue = name.rpartition("/")
            letters = ShardLetters(self._backend.shards[int(shard or 0)], queue)
            page = letters.page(after, BATCH, until)
            found = [letter for letter in page if wanted.fits(letter)]
            self._begin_batch(operation, [(name, found)])
            self._do(operation, letters, found)
            operation.seen = min(operation.total, operation.seen + len(page))
            operation.place[name] = page[-1].entry if len(page) == BATCH else until
            return True
        operation.seen = operation.total
        return False

    def _do(self, operation: Operation, letters: DeadLetters | ShardLetters, found: list[DeadLetter]) -> None:
        if not found:
            return
        if operation.kind == "delete":
            done = letters.purge(found)
            operation.gone += len(found) - done
        else:
            replayed = letters.replay(found)
            done = replayed.replayed
            operation.owned += replayed.owned
            operation.unreadable += replayed.unreadable
            operation.gone += len(found) - done - replayed.owned - replayed.unreadable
        operation.done += done

    def _finish(self, operation: Operation, state: str, error: str = "") -> None:
        operation.state, operation.error, operation.ended_ms = state, error, self._now_ms()
        # First: a process that ends here has its successor note it once more, where else nobody would.
        self._note(operation)
        key = self._names.operation(operation.id)
        words = ("state", state, "error", error, "ended_ms", operation.ended_ms, "seen", operation.seen)
        self._checked([("HSET", key, *words), ("EXPIRE", key, LIFE)])

    def _give_up(self, operation_id: str) -> None:
        """Say that it failed: the server refuses something. What, is for the log alone: everybody may read this."""
        try:
            operation = self.get(operation_id)
            if operation is not None:
                self._finish(operation, "failed", REFUSED)
        except (RedisError, *Unreachable) as failed:
            _log.warning("operation failed, unsaid", extra={"operation": operation_id, "error": str(failed)})

    def _mine(self, operation_id: str) -> bool:
        """Whether nobody else has taken it over, as after a long sleep of this process."""
        holder = self._link.command("GET", self._names.runner(operation_id))
        return holder is None or holder == self._me.encode()

    def _release(self, operation_id: str) -> None:
        try:
            if self._mine(operation_id):  # else a third would begin beside whoever has taken it over
                self._link.command("DEL", self._names.runner(operation_id))
        except (RedisError, *Unreachable):
            return  # it ends by itself

    def _now_ms(self) -> int:
        return unix_ms(self._link.command("TIME"))

    def _checked(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return all_checked(self._link.commands(commands))


def _read(operation_id: str, rows: Any) -> Operation | None:
    if not rows:
        return None
    said: dict[str, Any] = {name.decode(): value.decode() for name, value in zip(rows[::2], rows[1::2], strict=True)}
    for name in (*COUNTS, "started_ms", "updated_ms", "ended_ms"):
        said[name] = int(said.get(name, 0))
    for name in ("filter", "ids", "place", "until"):
        said[name] = ujson.loads(said.get(name, "null"))
    said["begun"] = ujson.loads(said.get("begun", "[]"))
    return Operation(id=operation_id, **said)
