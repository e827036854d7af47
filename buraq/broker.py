"""One queue's transitions: each method is a Lua file and returns the call that runs it.

Nothing else in Buraq writes a task's state. What is read for a list or a count is in `inspector`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import ujson

from buraq.groups import LetterGroup
from buraq.keys import DEAD, FRONT, HIGH, LETTERS, LOW, NORMAL, PRIORITIES, SCHEDULED, SUSPECTS, QueueKeys
from buraq.scripts import Argument, Call, Script, load
from buraq.task import COMPLETED, Completed, Dead, Delivery, Retried, Task, recode

KEY_LIFE_MS = 24 * 3600 * 1000  # of an idempotency key
MEMO_LIFE_MS = 5 * 60 * 1000  # of a remembered enqueue reply
LOST_SHOWN_MS = 5 * 60 * 1000  # how long a worker process that vanished is still listed

# No script may hold the server for more than two or three milliseconds.
ENQUEUE_BATCH, SETTLE_BATCH, RECLAIM_BATCH, REPLAY_BATCH, PROMOTE_BATCH = 100, 250, 60, 100, 100
BATCH_BYTES = 1 << 20
_WIDE = 1000  # fields and values in an entry

_STREAM = {HIGH: "1", NORMAL: "2", LOW: "3"}


class Item(NamedTuple):
    """A task on its way in: what `enqueue` writes of it."""

    id: str
    letter: str  # of the stream, by priority
    due: str  # unix ms, '+' before a delay in ms from the server's now, '' for at once
    owner: str  # its idempotency key, '' for none
    payload: bytes
    group: str = ""  # whose tasks lie on one shard; nothing is written of it

    @property
    def place(self) -> str:
        """What decides on its shard. The key before the group: it is known on one shard only."""
        return self.owner or self.group or self.id


class Verdict(NamedTuple):
    """What became of an item that was not simply accepted: KNOWN, DUPLICATE of the task `detail`, or REFUSED."""

    word: str
    detail: str


class Settled(NamedTuple):
    """The reply to a settle call: whether it was remembered, whether anybody heard its events, and which positions were
    gone (from 0).

    `refused`: nothing was written, because somebody listens and the batch had no notes.
    """

    remembered: bool
    heard: bool
    gone: frozenset[int]
    refused: bool = False


class Replayable(NamedTuple):
    """A dead letter on its way back: what `replay` writes of it."""

    entry: str
    task: Task
    payload: bytes
    attempts: bytes = b""
    group: str = ""


class Reclaimable(NamedTuple):
    """An entry of a dead process and where it goes: front, suspects or the dead letters."""

    entry: bytes
    id: str
    target: str
    deaths: int
    note: str
    owner: str
    attempts: bytes = b""
    group: str = ""
    facts: str = ""
    record: str = ""


@dataclass(frozen=True, eq=False)  # one for each queue of a backend: compared by identity, which costs nothing
class Broker:
    """The transitions of one queue."""

    keys: QueueKeys
    group: str = "buraq_workers"
    channel: str = "buraq_events"
    history: int = 10_000  # records of each kind that are kept
    sharded: bool = False  # whether the channel is a sharded one, as in a cluster
    priorities: bool = True  # whether each has a stream, or all share one

    def script(self, name: str) -> Script:
        """Return a transition as this queue runs it."""
        return load(name, self.sharded)

    def letter_of(self, priority: str) -> str:
        """Return the letter of the stream that tasks of a priority go to."""
        return PRIORITIES.get(priority, NORMAL) if self.priorities else NORMAL

    def listeners(self) -> list[tuple[Argument, ...]]:
        """Return the commands that count who listens to the events: by the name of the channel, and by patterns."""
        if self.sharded:
            return [("PUBSUB", "SHARDNUMSUB", self.channel)]
        return [("PUBSUB", "NUMSUB", self.channel), ("PUBSUB", "NUMPAT")]

    @cached_property
    def _queue(self) -> str:
        return ujson.dumps(self.keys.name)

    @cached_property
    def _of_enqueue(self) -> list[str]:
        """KEYS of the enqueue script that are the same for each batch."""
        keys, streams = self.keys, self.keys.streams
        places = [*keys.by_priority, streams[FRONT], streams[SUSPECTS], keys.dlq]
        return [*places, keys.scheduled, keys.tasks, keys.index]

    # -- producers

    def enqueue(self, items: Sequence[Item], producer: str, number: int, now_ms: int | str = "") -> Call:
        """Accept tasks. The same `number` again is answered with the reply that it had the first time."""
        keys = self.keys
        owners: dict[str, int] = {}  # idempotency keys, and where in KEYS they are
        args: list[Argument] = [self.channel, self._queue, number, now_ms, KEY_LIFE_MS, MEMO_LIFE_MS]
        for item in items:
            how = _STREAM[item.letter]
            if item.due or item.owner:
                owner = owners.setdefault(keys.owner(item.owner), 12 + len(owners)) if item.owner else ""
                how = f"{how},{item.due},{owner}"
            args += (item.id, how, item.payload)
        return self.script("enqueue")([*self._of_enqueue, keys.accepted(producer), keys.statistics, *owners], args)

    @staticmethod
    def verdicts(reply: Sequence[Any]) -> dict[int, Verdict]:
        """Read an enqueue reply: position in the batch, from 0, to its verdict."""
        rows = zip(reply[::3], reply[1::3], reply[2::3], strict=True)
        return {int(n) - 1: Verdict(word.decode(), detail.decode()) for n, word, detail in rows}

    def cancel(self, task_id: str, idempotency_key: str = "", record: str = "") -> Call:
        """Take back a task that has not started; the history keeps `record` of it."""
        keys = self.keys
        streams = [*keys.by_priority, keys.streams[FRONT], keys.streams[SUSPECTS]]
        owner = [keys.owner(idempotency_key)] if idempotency_key else []
        kept = [keys.histories["x"], keys.finished, keys.dlq]
        args: list[Argument] = [self.group, task_id, self.history, record if self.history else ""]
        return self.script("cancel")([*streams, keys.scheduled, keys.tasks, keys.index, *kept, *owner], args)

    # -- settling

    def announce(self, started: Iterable[tuple[str, str]]) -> Call:
        """Tell the listeners what has started: pairs of task id and note."""
        return self.script("announce")([], [self.channel, *(word for pair in started for word in pair)])

    def _settle_keys(self, batch: Sequence[Delivery], worker: str) -> list[str]:
        return [batch[0].key[0], self.keys.index, self.keys.settled(worker)]

    def _head(self, verb: str, batch: Sequence[Delivery], number: int, part: int) -> list[Argument]:
        lane = f"{verb}:{batch[0].letter}" + (f":{part}" if part else "")
        return [self.group, self.channel, lane, number, len(batch)]

    @staticmethod
    def _columns(batch: Sequence[Delivery]) -> list[Argument]:
        columns: list[Argument] = [delivery.entry for delivery in batch]
        columns += [delivery.task.id if delivery.task else "" for delivery in batch]
        columns += [delivery.note for delivery in batch]
        return columns

    def settle(self, batch: Sequence[Delivery], worker: str, number: int, part: int = 0, sums: str = "") -> Call:
        """Write the outcomes of deliveries of one stream that ended alike (same outcome class, same `charged`).

        Several such batches of one round are told apart by `part`: the server remembers its reply to each. A batch
        whose deliveries have no notes is refused when somebody listens to the events. `sums` is what their runs add
        to the statistics.
        """
        outcome = batch[0].outcome
        if isinstance(outcome, Completed):
            return self._complete(batch, worker, number, part, sums)
        if isinstance(outcome, Retried):
            return self._retry(batch, worker, number, part, outcome.charged, sums)
        if isinstance(outcome, Dead):
            return self._bury(batch, worker, number, part, sums)
        return self._release(batch, worker, number, part)

    def _complete(self, batch: Sequence[Delivery], worker: str, number: int, part: int, sums: str) -> Call:
        keys, args = self._settle_keys(batch, worker), self._head("complete", batch, number, part)
        keys += (self.keys.statistics, self.keys.histories["c"], self.keys.finished)
        columns = self._columns(batch)
        notes = len(batch) if columns[-1] else 0
        records = [word for n, delivery in enumerate(batch, 1) if delivery.record for word in (n, delivery.record)]
        args += (notes, sums, self.history, len(records) // 2)
        args += (*(columns if notes else columns[: -len(batch)]), *records)
        for position, delivery in enumerate(batch, 1):
            outcome = delivery.outcome
            if outcome is not COMPLETED and outcome.result is not None and outcome.ttl_ms > 0:
                keys.append(self.keys.result(delivery.task.id if delivery.task else ""))
                args += (position, outcome.ttl_ms, outcome.result)
        return self.script("complete")(keys, args)

    def _retry(self, batch: Sequence[Delivery], worker: str, number: int, part: int, charged: bool, sums: str) -> Call:
        args = self._head("retry" if charged else "put_off", batch, number, part)
        args += ["Failed" if charged else "Pending", "", sums or " " if charged else "", self.history]
        args += self._columns(batch)
        args += [delivery.outcome.delay_ms for delivery in batch]
        args += [delivery.outcome.payload for delivery in batch]
        args += [self._scheduled_place(delivery) for delivery in batch]
        args += [delivery.record or "" for delivery in batch]
        kept = [self.keys.statistics, self.keys.histories["f"], self.keys.finished]
        keys = [*self._settle_keys(batch, worker), self.keys.scheduled, self.keys.tasks, *kept]
        return self.script("retry")(keys, args)

    def _scheduled_place(self, delivery: Delivery) -> str:
        """Return what the index says of a delivery that waits for its time: what its next entry must carry."""
        letter = self.letter_of(delivery.task.priority if delivery.task else "")
        attempts = delivery.attempts.decode(errors="replace")
        return f"{SCHEDULED}{letter}{'k' if delivery.claimed else '-'}{delivery.deaths}{attempts}"

    def _bury(self, batch: Sequence[Delivery], worker: str, number: int, part: int, sums: str) -> Call:
        keys = [*self._settle_keys(batch, worker), self.keys.dlq, self.keys.groups]
        keys += (self.keys.statistics, self.keys.histories["d"], self.keys.finished)
        owners: list[Argument] = []
        letters: list[Argument] = []
        for delivery in batch:
            if delivery.task and delivery.task.idempotency_key:
                keys.append(self.keys.owner(delivery.task.idempotency_key))
                owners.append(len(keys))
            else:
                owners.append("")
            fields = dead_letter(delivery, delivery.outcome)
            letters += (len(fields), *fields)
        kin = [LetterGroup.of(delivery.task.type if delivery.task else None, delivery.outcome) for delivery in batch]
        args = [*self._head("bury", batch, number, part), "", sums, self.history, *self._columns(batch), *owners]
        args += [group.id for group in kin]
        args += [group.facts for group in kin]
        args += [delivery.record or "" for delivery in batch]
        return self.script("bury")(keys, [*args, *letters])

    def _release(self, batch: Sequence[Delivery], worker: str, number: int, part: int) -> Call:
        back = batch[0].back
        keys = [*self._settle_keys(batch, worker), self.keys.streams[back]]
        return self.script("release")(keys, [*self._head("release", batch, number, part), back, *self._columns(batch)])

    @staticmethod
    def settled(reply: Sequence[int]) -> Settled:
        """Read a settle reply."""
        gone = frozenset([int(n) - 1 for n in reply[2:]])
        return Settled(reply[0] == 1, reply[1] == 1, gone, refused=reply[0] == 2)

    def duplicate(self, delivery: Delivery, task: Task) -> Call:
        """Ask whose idempotency key it is; drops the delivery of a duplicate."""
        keys = [self.keys.streams[delivery.letter], self.keys.index, self.keys.owner(task.idempotency_key)]
        return self.script("duplicate")(keys, [self.group, delivery.entry, task.id, KEY_LIFE_MS])

    # -- worker processes

    def promote(self, now_ms: int | str = "", limit: int = PROMOTE_BATCH) -> Call:
        """Move due tasks to their streams."""
        keys = self.keys
        moving = [keys.scheduled, keys.tasks, keys.index, *keys.by_priority, keys.streams[SUSPECTS]]
        return self.script("promote")(moving, [self.channel, self._queue, now_ms, limit])

    def lease(self, worker: str, ttl_ms: int, facts: dict[str, Argument], now_ms: int | str = "") -> Call:
        """Renew the lease of a worker process."""
        keys = [self.keys.leases, self.keys.worker(worker), self.keys.settled(worker)]
        pairs = [word for pair in facts.items() for word in pair]
        return self.script("lease")(keys, [worker, ttl_ms, now_ms, LOST_SHOWN_MS, *pairs])

    def died_commands(self, worker: str) -> list[tuple[Argument, ...]]:
        """Return the commands that end the lease of a worker process which is known to be dead, and say that it is."""
        said = self.keys.worker(worker)
        return [("HSET", said, "died", 1), ("PEXPIRE", said, LOST_SHOWN_MS), ("ZREM", self.keys.leases, worker)]

    def died_question(self, worker: str) -> tuple[Argument, ...]:
        """Return the command that asks whether a worker process is known to be dead; nil when it is not."""
        return "HGET", self.keys.worker(worker), "died"

    def leave(self, worker: str, limit: int = SETTLE_BATCH) -> Call:
        """Hand back what is pending under the process's name, then forget the process."""
        keys, streams = self.keys, self.keys.streams
        held = [*keys.by_priority, streams[FRONT], streams[SUSPECTS]]
        known = [keys.index, keys.leases, keys.worker(worker), keys.settled(worker)]
        return self.script("leave")([*held, *known], [self.group, worker, limit])

    def reclaim(
        self, letter: str, caller: str, dead: str, entries: Sequence[Reclaimable], now_ms: int | str = ""
    ) -> Call:
        """Take entries of one stream from a dead process."""
        keys, streams = self.keys, self.keys.streams
        held = [streams[letter], streams[FRONT], streams[SUSPECTS], keys.dlq, keys.index, keys.leases]
        held += (keys.groups, keys.statistics, keys.histories["d"], keys.finished)
        args: list[Argument] = [self.group, self.channel, caller, dead, now_ms, self.history]
        for entry in entries:
            owner: Argument = ""
            if entry.owner:
                held.append(keys.owner(entry.owner))
                owner = len(held)
            target = {FRONT: 2, SUSPECTS: 3, DEAD: 4}[entry.target]
            args += (entry.entry, entry.id, target, entry.deaths, entry.note, owner)
            args += (entry.attempts, entry.group, entry.facts, entry.record)
        return self.script("reclaim")(held, args)

    def group_commands(self) -> list[tuple[Argument, ...]]:
        """Return the commands that make the consumer group on each stream; BUSYGROUP means that it is there.

        From id 0: what was added before the first worker came must run.
        """
        return [("XGROUP", "CREATE", self.keys.streams[letter], self.group, "0", "MKSTREAM") for letter in LETTERS]

    # -- dead letters

    def replay(self, letters: Sequence[Replayable]) -> Call:
        """Put dead letters back into their streams."""
        keys = [self.keys.dlq, *self.keys.by_priority, self.keys.index, self.keys.groups]
        args: list[Argument] = [self.channel, self._queue, KEY_LIFE_MS]
        for letter in letters:
            owner: Argument = ""
            if letter.task.idempotency_key:
                keys.append(self.keys.owner(letter.task.idempotency_key))
                owner = len(keys)
            stream = 1 + int(_STREAM[self.letter_of(letter.task.priority)])
            args += (letter.entry, letter.task.id, stream, letter.payload, owner, letter.attempts, letter.group)
        return self.script("replay")(keys, args)

    def purge(self, letters: Sequence[tuple[str, str, str]]) -> Call:
        """Delete dead letters: entry, task id and group of each."""
        keys = [self.keys.dlq, self.keys.index, self.keys.groups]
        return self.script("purge")(keys, [word for letter in letters for word in letter])


def dead_letter(delivery: Delivery, outcome: Dead) -> list[Argument]:
    """Return the fields and values of a dead letter; one that could not be read keeps its entry as it was."""
    fields: list[Argument] = ["reason", outcome.reason]
    if outcome.error:
        fields += ("error", outcome.error)
    if outcome.traceback:
        fields += ("traceback", outcome.traceback)
    if delivery.deaths:
        fields += ("deaths", delivery.deaths)
    if delivery.attempts and delivery.task is not None:
        fields += ("attempts", delivery.attempts)
    if delivery.task is None:
        if len(delivery.fields) > _WIDE:  # more than a script can hand on: kept as one text
            return [*fields, "fields", b" ".join(delivery.fields)[:BATCH_BYTES]]
        return [*fields, *delivery.fields]
    last = str(outcome.error or outcome.reason)
    payload = recode_error(delivery, last)
    return [*fields, "payload", payload]


def recode_error(delivery: Delivery, error: str) -> bytes:
    """Return the payload with the last error in it, or as it came when it cannot be written again."""
    try:
        assert delivery.task is not None
        return recode(delivery.task, error=error)
    except (ValueError, OverflowError, RecursionError, TypeError):
        return delivery.raw or b""
