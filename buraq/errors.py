"""Every error that Buraq raises.

BuraqError
├── ConfigError           a setting has a value that cannot be used
├── TaskNotRegistered     this process knows no task function for that task type
├── DuplicateTaskType     two task functions ask for the same task type
├── PayloadError          an argument cannot travel as JSON (a ValueError too)
│   └── PayloadTooLarge   the payload is over MAX_PAYLOAD_BYTES
├── EnqueueError          the server looked at the task and refused it
├── QueueUnavailable      no answer within ENQUEUE_TIMEOUT: accepted or not, nobody knows
├── ServerUnreachable     there is no connection to Redis
├── TimedOut              a task ran over its timeout
├── Crashed               a task took the child process that ran it down
└── TaskControl           raised by a task, to say how its attempt shall end
    ├── Retry             again, after a while; charges an attempt
    ├── Reject            to the dead-letter queue, without further attempts
    └── Snooze            again, after a while; charges nothing

Redis errors are not wrapped elsewhere: a `redis.ResponseError` reaches the caller as it is.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

_WHERE = "REDIS_URL, REDIS_ADDR, REDIS_SENTINELS or REDIS_ADDRS"  # what says where the server is


def close_match(name: str, known: Iterable[str]) -> str | None:
    """Return the one of `known` that was probably meant by `name`, or None."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return matches[0] if matches else None


class BuraqError(Exception):
    """What all of Buraq's errors have in common, to catch them in one go."""

    def __reduce__(self) -> tuple[Callable[..., "BuraqError"], tuple[Any, ...]]:
        # Unpickling calls the class with `args`, the finished message, which no subclass takes.
        # An error that cannot be unpickled breaks the process pool it was to be carried through.
        return _restore, (type(self), self.args, dict(self.__dict__))


def _restore(kind: type[BuraqError], args: tuple[object, ...], facts: Mapping[str, object]) -> BuraqError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(BuraqError):
    """A setting has a value that cannot be used; `variable` is its name as it was written."""

    def __init__(self, variable: str, value: object, remedy: str) -> None:
        super().__init__(f"{variable}={value!r} cannot be used: {remedy}")
        self.variable = variable
        self.value = value
        self.remedy = remedy


class TaskNotRegistered(BuraqError):
    """No task function is registered under that task type in this process."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = tuple(sorted(known))
        self.close_match = close_match(name, self.known)
        guess = f"; did you mean {self.close_match!r}?" if self.close_match else "."
        listed = f"It knows {_listed(self.known, 10)}" if self.known else "It knows none"
        super().__init__(
            f"no task function is registered as {name!r} in this process{guess} "
            f"{listed}; is the module that defines it imported?"
        )


class DuplicateTaskType(BuraqError):
    """Two task functions ask for the same task type; `first` and `second` say which."""

    def __init__(self, name: str, first: str = "", second: str = "") -> None:
        places = f", by {first} and by {second}" if first and second else ""
        super().__init__(
            f"task type {name!r} is registered twice{places}: "
            "give one of the functions a name of its own with @queue.task(name=…)"
        )
        self.name = name
        self.first = first
        self.second = second


class PayloadError(BuraqError, ValueError):
    """An argument cannot travel as JSON; `path` leads to it, as in `order.lines[3].price`."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path = path
        self.reason = reason


class PayloadTooLarge(PayloadError):
    """The payload has more bytes than MAX_PAYLOAD_BYTES allows."""

    def __init__(self, size: int, limit: int, path: str = "payload") -> None:
        super().__init__(
            path,
            f"{size:,} bytes of JSON are more than MAX_PAYLOAD_BYTES={limit} allows: "
            "store the data elsewhere and enqueue its id, or raise MAX_PAYLOAD_BYTES",
        )
        self.size = size
        self.limit = limit


class EnqueueError(BuraqError):
    """The server looked at a task and refused it for `reason`; nothing of it was written."""

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(f"task {task_id} was refused: {reason}")
        self.task_id = task_id
        self.reason = reason


class QueueUnavailable(BuraqError):
    """No answer came within ENQUEUE_TIMEOUT, so each of `task_ids` may or may not be accepted.

    Enqueueing again with the same id is safe: a task that was accepted is not added twice.
    """

    def __init__(self, task_ids: Sequence[str], seconds: float, reason: str = "") -> None:
        self.task_ids = tuple(task_ids)
        self.seconds = seconds
        self.reason = reason
        what = "task" if len(self.task_ids) == 1 else f"{len(self.task_ids)} tasks:"
        cause = f" ({reason.rstrip('.')}; do {_WHERE} point to it?)" if reason else ""
        super().__init__(
            f"the server did not answer within {seconds:g}s (ENQUEUE_TIMEOUT){cause}; "
            f"{what} {_listed(self.task_ids, 3)} may or may not have been accepted: "
            "enqueue again with the same id, which is safe"
        )


class ServerUnreachable(BuraqError):
    """There is no connection to Redis at `address`, which is masked and may be shown."""

    def __init__(self, address: str, reason: str = "") -> None:
        cause = f" ({reason})" if reason else ""
        super().__init__(f"cannot reach Redis at {address}{cause}: is it running, and do {_WHERE} point to it?")
        self.address = address
        self.reason = reason


class TimedOut(BuraqError):
    """A task ran over its timeout of `seconds`; `grace` is how much longer it went on, until its process was killed."""

    def __init__(self, seconds: float, grace: float | None = None) -> None:
        went_on = "" if grace is None else f", went on for {grace:g}s more (TIMEOUT_GRACE), and its process was killed"
        super().__init__(f"the task ran over its timeout of {seconds:g}s{went_on}")
        self.seconds = seconds
        self.grace = grace


class Crashed(BuraqError):
    """A task took the child process that ran it down, or the system ended that: `how` says which signal or exit code.

    `peak_memory` is in bytes, 0 where it is not known.
    """

    def __init__(self, how: str, peak_memory: int) -> None:
        memory = f"; its peak memory was {peak_memory / 1e6:.0f} MB" if peak_memory else ""
        super().__init__(f"the process that ran the task ended with {how}{memory}")
        self.how = how
        self.peak_memory = peak_memory


class TaskControl(BuraqError):
    """What a task raises to say how its attempt shall end; let it pass through your `except`."""


class Retry(TaskControl):
    """Raised by a task: run me again after `after` seconds, or after the usual backoff if None.

    Charges an attempt, so a task without retries left goes to the dead-letter queue.
    """

    def __init__(self, after: float | timedelta | None = None, reason: str = "") -> None:
        self.after = None if after is None else _seconds("Retry(after=…)", after)
        self.reason = reason
        when = "after its backoff" if self.after is None else f"after {self.after:g}s"
        super().__init__(f"retry {when}" + (f": {reason}" if reason else ""))


class Reject(TaskControl):
    """Raised by a task: send me to the dead-letter queue now, whatever retries are left."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"rejected: {reason}")
        self.reason = reason


class Snooze(TaskControl):
    """Raised by a task: run me again after `seconds`, and charge no attempt."""

    def __init__(self, seconds: float | timedelta) -> None:
        self.seconds = _seconds("Snooze(seconds)", seconds)
        super().__init__(f"snoozed for {self.seconds:g}s")


def _seconds(where: str, value: float | timedelta) -> float:
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{where} takes seconds or a timedelta, zero or more, not {value!r}")
    return seconds


def _listed(names: Sequence[str], at_most: int) -> str:
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")
