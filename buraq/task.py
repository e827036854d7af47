"""A task as it is read, a delivery of it, and what a run can end in. How new ones are written is in `template`."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ujson

from buraq.errors import BuraqError
from buraq.keys import FRONT, SUSPECTS, QueueKeys

PAYLOAD, DEATHS, CLAIMED, ATTEMPTS = b"payload", b"deaths", b"claimed", b"attempts"


class Undecodable(BuraqError):
    """An entry holds no task that could be run; the message says why."""


@dataclass(slots=True)
class Task:
    """One unit of work: what to run, with which payload, and what has happened to it.

    `timeout` is in seconds, None for none. `members` is the JSON object as it was read: members that Buraq does not
    know survive retries and replay.
    """

    id: str
    type: str
    payload: dict[str, Any]
    created_at: str = ""
    max_retries: int = 3
    current_retries: int = 0
    error: str = ""
    idempotency_key: str = ""
    priority: str = "normal"
    timeout: float | None = None
    members: dict[str, Any] = field(default_factory=dict, repr=False)
    worker_id: str = ""  # where it runs: worker process and slot

    @property
    def attempt(self) -> int:
        """Number of the run that is under way or comes next, counted from 1."""
        return self.current_retries + 1


def _member(members: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = members.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        raise Undecodable(f"member {name!r} is {type(value).__name__}, not {kind.__name__}")
    return value


def decode(raw: bytes) -> Task:
    """Read a task from the JSON of an entry. Raises `Undecodable`, which names what is wrong."""
    try:
        members = ujson.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Undecodable(f"payload is not JSON: {error}") from None
    # Nearly all tasks have the six members that each task has, and no other. To ask for those that are not there would
    # cost as much as to parse the JSON.
    if type(members) is dict and len(members) == 6:
        try:
            task_id, task_type, payload = members["id"], members["type"], members["payload"]
            created_at, most, retries = members["created_at"], members["max_retries"], members["current_retries"]
        except KeyError:
            return _read(members)
        if (
            type(task_id) is type(task_type) is type(created_at) is str
            and type(most) is type(retries) is int
            and type(payload) is dict
            and task_id
            and task_type
            and task_id.isascii()
            and task_type.isascii()
        ):
            return Task(task_id, task_type, payload, created_at, most, retries, "", "", "normal", None, members)
    return _read(members)


def _read(members: Any) -> Task:
    """Read a task member by member."""
    if type(members) is not dict:
        raise Undecodable(f"payload is {type(members).__name__}, not an object")
    for name in ("id", "type"):
        if type(members.get(name)) is not str or not members[name]:
            raise Undecodable(f"member {name!r} is missing or not a text")
    for name in ("id", "type", "idempotency_key"):
        if not _sendable(members.get(name)):
            raise Undecodable(f"member {name!r} holds half a surrogate pair, which no key can")
    timeout = min(_member(members, "timeout", int, 0), 1 << 63)  # as the original has it; no float holds any integer
    return Task(
        members["id"],
        members["type"],
        _member(members, "payload", dict, {}),
        _member(members, "created_at", str, ""),
        _member(members, "max_retries", int, 0),
        _member(members, "current_retries", int, 0),
        _member(members, "error", str, ""),
        _member(members, "idempotency_key", str, ""),
        _member(members, "priority", str, "normal"),
        timeout / 1e9 if timeout > 0 else None,
        members,
    )


def _sendable(value: Any) -> bool:
    if type(value) is not str or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole_number(raw: bytes, default: int = 0) -> int:
    """Return the number that a field of an entry holds, `default` for what is none, or none that we have written."""
    return int(raw) if raw.isdigit() and len(raw) <= 15 else default


def recode(task: Task, **changes: Any) -> bytes:
    """Write a task that was read before, with some members changed and all others as they were.

    Lenient where `Template` is strict: what came in must be able to go on, even a lone surrogate or a NaN.
    """
    members = {**task.members, **changes}
    text: str = ujson.dumps(members, ensure_ascii=True, escape_forward_slashes=False)
    return text.encode()


class Delivery:
    """An entry handed to this worker process: the task, where it came from, and what the entry says of it.

    `task` is None until it was decoded, and stays None when the entry holds none that could be run. `outcome` is None
    until it has ended. `note` is what its event says beside type and task id, as JSON members without braces, and
    `where` the part of it that says where it runs: both are empty while nobody is known to listen. `attempts` is the
    history of the task as its entry has it, `record` what is kept of it when it has ended.
    """

    __slots__ = (
        "attempts",
        "claimed",
        "deaths",
        "entry",
        "epoch",
        "fields",
        "key",
        "letter",
        "note",
        "outcome",
        "queue",
        "raw",
        "record",
        "slot",
        "started",
        "task",
        "took",
        "waited",
        "where",
    )

    def __init__(self, queue: QueueKeys, letter: str, entry: bytes, fields: list[bytes], epoch: int) -> None:
        self.queue = queue
        self.letter = letter
        self.entry = entry
        self.epoch = epoch
        self.fields = fields
        self.key = (queue.streams[letter], entry)
        self.task: Task | None = None
        self.outcome: Any = None  # an Outcome; the first one counts
        self.note = ""
        self.where = ""
        self.slot = 0
        self.started = 0.0  # monotonic; 0 while it has not started
        self.took = 0.0  # seconds that the run took
        self.waited = 0.0  # seconds in the stream before it started, known when it is settled
        self.record: str | None = None  # None while nobody has looked what to keep of it
        if len(fields) == 2 and fields[0] == PAYLOAD:
            self.raw: bytes | None = fields[1]
            self.deaths = 0
            self.claimed = False
            self.attempts = b""
        else:
            members = dict(zip(fields[::2], fields[1::2], strict=False))
            self.raw = members.get(PAYLOAD)
            self.deaths = whole_number(members.get(DEATHS, b""))
            self.claimed = CLAIMED in members
            self.attempts = members.get(ATTEMPTS, b"")

    @property
    def added_ms(self) -> int:
        """When the entry was added, by the server's clock."""
        entry = self.entry
        return int(entry[:13] if entry[13:14] == b"-" else entry.split(b"-", 1)[0])

    @property
    def back(self) -> str:
        """Letter of the stream that this delivery is handed back to: a suspect stays one."""
        return SUSPECTS if self.letter == SUSPECTS else FRONT


@dataclass(frozen=True, slots=True)
class Completed:
    """The task returned. `result` is the JSON to keep for `ttl_ms`, None to keep nothing."""

    result: bytes | None = None
    ttl_ms: int = 0


@dataclass(frozen=True, slots=True)
class Retried:
    """The task runs again in `delay_ms`, with `payload`. `charged` says whether it failed, or was only put off."""

    delay_ms: int
    payload: bytes
    charged: bool = True
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Dead:
    """The task goes to the dead letters, with a one-word `reason`."""

    reason: str
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The delivery is handed back as it is."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Another task owns the idempotency key; the delivery is already gone."""


# What ends most tasks: one for all, for it costs less to ask whether it is this one.
COMPLETED = Completed()

Outcome = Completed | Retried | Dead | Released | Duplicate

# The task that runs in this context. One variable for all who ask: each costs every task.
running_task: contextvars.ContextVar[Task] = contextvars.ContextVar("buraq_task")


def current_task() -> Task:
    """Return the task that runs here. Raises `LookupError` outside a task."""
    try:
        return running_task.get()
    except LookupError:
        raise LookupError("current_task() was called outside a task") from None
