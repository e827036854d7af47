"""The name of every key Buraq writes, and its type. Nothing else builds a key.

A queue's keys derive from its base: `STREAM_NAME` for the default queue, `<STREAM_NAME>:<queue>` for another.
The index says where a task is: one letter for the place, then the entry id (`n1795287924796-0`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

DEFAULT_QUEUE = "default"

SUSPECTS, FRONT, HIGH, NORMAL, LOW = "s", "f", "h", "n", "l"
LETTERS = (SUSPECTS, FRONT, HIGH, NORMAL, LOW)  # in the order in which they are fetched
SCHEDULED, DEAD = "z", "d"  # the two places of the index that are no streams of the group
PRIORITIES = {"high": HIGH, "normal": NORMAL, "low": LOW}
HISTORIES = {"c": "completed", "f": "failed", "d": "dead", "x": "cancelled"}  # by the letter that `finished` uses

_ENTRY = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_TAKEN = {
    "scheduled",
    "index",
    "leases",
    "queues",
    "paused",
    "types",
    "audit",
    "worker",
    "memo",
    "result",
    "stats",
    "limits",
    "history",
    "operations",
}
_SUFFIXES = ("_dlq", "_high", "_low", "_front", "_suspects")


def check_queue_name(name: str) -> str:
    """Return `name`, or raise `ValueError` when a queue of that name would share a key with something else."""
    if not _QUEUE_NAME.fullmatch(name):
        raise ValueError(f"queue {name!r}: a queue's name has letters, digits, '_', '.' and '-', at most 100")
    if name in _TAKEN or name.endswith(_SUFFIXES):
        raise ValueError(f"queue {name!r}: the name collides with a key of Buraq's own, choose another")
    return name


def is_entry(text: str) -> bool:
    """Whether a text is the id of an entry of a stream. To ask a server for any other is an error, not a miss."""
    return _ENTRY.fullmatch(text) is not None


@dataclass(frozen=True)
class QueueKeys:
    """The keys of one queue."""

    name: str
    base: str
    dlq: str  # STREAM of the dead letters
    owners: str = "idemp"  # prefix of the idempotency keys
    shard: int = 0  # which part of the queue it is, in a cluster

    @cached_property
    def streams(self) -> dict[str, str]:
        """STREAMs of the consumer group, by the letter that the index uses."""
        return {
            SUSPECTS: f"{self.base}_suspects",
            FRONT: f"{self.base}_front",
            HIGH: f"{self.base}_high",
            NORMAL: self.base,
            LOW: f"{self.base}_low",
        }

    @cached_property
    def by_priority(self) -> tuple[str, str, str]:
        """The three STREAMs that producers add to, as the scripts take them."""
        return self.streams[HIGH], self.streams[NORMAL], self.streams[LOW]

    @cached_property
    def scheduled(self) -> str:
        """ZSET task id -> due time, unix ms. Delayed tasks and retries."""
        return f"{self.base}:scheduled"

    @cached_property
    def tasks(self) -> str:
        """HASH task id -> payload of a scheduled task."""
        return f"{self.base}:scheduled:tasks"

    @cached_property
    def index(self) -> str:
        """HASH task id -> place."""
        return f"{self.base}:index"

    @cached_property
    def statistics(self) -> str:
        """STRING of counters, see `statistics`."""
        return f"{self.base}:stats"

    @cached_property
    def groups(self) -> str:
        """HASH of the dead letters counted by what they have in common, see `lua/parts/group.lua`."""
        return f"{self.dlq}:groups"

    @cached_property
    def histories(self) -> dict[str, str]:
        """STREAMs of what has become of tasks, by the letter that `finished` uses."""
        return {letter: f"{self.base}:history:{state}" for letter, state in HISTORIES.items()}

    @cached_property
    def finished(self) -> str:
        """HASH task id -> its newest record: letter of the history, entry id."""
        return f"{self.base}:history"

    @cached_property
    def leases(self) -> str:
        """ZSET worker process -> lease expiry by the server's clock, unix ms."""
        return f"{self.base}:leases"

    @cached_property
    def types(self) -> str:
        """ZSET task type -> unix ms until which it is known to live in a worker process."""
        return f"{self.base}:types"

    def worker(self, name: str) -> str:
        """HASH of what a worker process says of itself; `died` is written by its arbiter."""
        return f"{self.base}:worker:{name}"

    def settled(self, name: str) -> str:
        """HASH lane -> last settle reply to a worker process."""
        return f"{self.base}:memo:{name}"

    def accepted(self, producer: str) -> str:
        """STRING, the last enqueue reply to a producer."""
        return f"{self.base}:memo:{producer}"

    def result(self, task_id: str) -> str:
        """STRING with a TTL, the JSON that a task returned."""
        return f"{self.base}:result:{task_id}"

    def owner(self, idempotency_key: str) -> str:
        """STRING with a TTL, the id of the task that owns an idempotency key. For all queues, as in the original."""
        return f"{self.owners}:{idempotency_key}"


@dataclass(frozen=True)
class Names:
    """Where the keys of each queue are: the two settings that the names derive from."""

    stream_name: str = "buraq_tasks"
    dlq_stream_name: str = "buraq_tasks_dlq"
    shard: int = 0
    tag: str = ""  # of the shard in a cluster: what all its keys are hashed by, so that they lie in one slot

    @property
    def base(self) -> str:
        """What the keys of all queues begin with."""
        return f"{{{self.tag}}}" if self.tag else self.stream_name

    @property
    def queues(self) -> str:
        """SET of the names of the queues that exist."""
        return f"{self.base}:queues"

    @property
    def paused(self) -> str:
        """HASH queue -> since when and by whom it is paused, as JSON."""
        return f"{self.base}:paused"

    @property
    def audit(self) -> str:
        """STREAM of what was done through the API, and by whom."""
        return f"{self.base}:audit"

    @property
    def operations(self) -> str:
        """ZSET of the ids of operations on many dead letters, by when they began in unix ms."""
        return f"{self.base}:operations"

    def operation(self, operation_id: str) -> str:
        """HASH of how far an operation is; with a TTL once it has ended."""
        return f"{self.base}:operations:{operation_id}"

    def runner(self, operation_id: str) -> str:
        """STRING with a TTL, the process that works on an operation."""
        return f"{self.base}:operations:{operation_id}:runner"

    @property
    def limits(self) -> str:
        """Prefix of the API's rate limits, ZSETs with a TTL."""
        return f"{self.base}:limits"

    def of_shard(self, shard: int, tag: str) -> Names:
        """Return where the keys of a shard are."""
        own = self.dlq_stream_name == f"{self.stream_name}_dlq"
        dlq = f"{{{tag}}}_dlq" if own else f"{self.dlq_stream_name}:{{{tag}}}"
        return Names(self.stream_name, dlq, shard, tag)

    def queue(self, name: str = DEFAULT_QUEUE) -> QueueKeys:
        """Return the keys of the queue `name`."""
        owners = f"idemp:{self.base}" if self.tag else "idemp"
        if name == DEFAULT_QUEUE:
            return QueueKeys(name, self.base, self.dlq_stream_name, owners, self.shard)
        base = f"{self.base}:{name}"
        return QueueKeys(name, base, f"{base}_dlq", owners, self.shard)
