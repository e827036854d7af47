"""Decides what the end of a run means: pure, apart from the randomness and the clock that are passed in."""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable

from buraq.errors import Crashed, Reject, Retry, Snooze
from buraq.retry import Policy
from buraq.task import Dead, Outcome, Retried, Task, recode

ERROR_CHARS, TRACEBACK_CHARS = 1_000, 8_000
LONGEST_DELAY = 100 * 365 * 86_400.0  # seconds; the server refuses a batch with a time that it cannot write
# An unknown type is put back this often where no live worker process knows it: a new release may be on its way.
UNKNOWN_PATIENCE = 4  # some fifteen seconds
UNKNOWN_PAUSE, LONGEST_UNKNOWN_PAUSE = 1.0, 30.0


def describe(error: BaseException) -> str:
    """Return an error as one text that can be sent: its type and what it says."""
    try:
        said = str(error)
    except Exception:  # a user's __str__
        said = ""
    return sendable(f"{type(error).__name__}: {said}" if said else type(error).__name__)[:ERROR_CHARS]


def sendable(text: str) -> str:
    """Return a text in UTF-8's reach: an error may quote a file name that was not, and half a surrogate pair would
    break the settling of all that is in the batch.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def milliseconds(seconds: float) -> int:
    """Return a delay as the server can write it."""
    return round(min(seconds, LONGEST_DELAY) * 1000)


def failed(task: Task, error: BaseException, policy: Policy, rand: Callable[[], float] = random.random) -> Outcome:
    """Return the outcome of a run that raised: another attempt after a while, or the dead letters."""
    if isinstance(error, Snooze):
        return put_off(task, error.seconds)
    text = describe(error)
    if isinstance(error, Reject):
        return Dead("rejected", sendable(str(error.reason))[:ERROR_CHARS])
    if not isinstance(error, Retry) and not policy.retries(error):
        return Dead("not_retryable", text, trace(error))
    if task.current_retries >= task.max_retries:
        return Dead("crashed" if isinstance(error, Crashed) else "exhausted", text, trace(error))
    asked = error.after if isinstance(error, Retry) else None
    delay = policy.delay(task.attempt, rand) if asked is None else asked
    payload = recode(task, current_retries=task.current_retries + 1, error=text)
    return Retried(milliseconds(delay), payload, True, text, trace(error))


def put_off(task: Task, seconds: float) -> Retried:
    """Return the outcome of a task that runs later and is charged nothing."""
    return Retried(milliseconds(seconds), recode(task), False)


def unknown_type(task: Task, known_elsewhere: bool) -> Outcome:
    """Return the outcome for a task type that no function here is registered for.

    It is put back while another worker process may know it, then buried. How often it was put back travels with it.
    """
    times = task.members.get("put_back")
    times = times if type(times) is int else 0
    if not known_elsewhere and times >= UNKNOWN_PATIENCE:
        return Dead("unknown_type", f"no live worker process knows the task type {task.type!r}"[:ERROR_CHARS])
    pause = min(LONGEST_UNKNOWN_PAUSE, UNKNOWN_PAUSE * 2.0 ** min(times, 10))
    return Retried(milliseconds(pause), recode(task, put_back=times + 1), False)


def trace(error: BaseException) -> str:
    """Return the traceback of an error, its own frames only, the last ones when it is long."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and _ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    text = sendable("".join(traceback.format_exception(type(error), error, frames)))
    return text if len(text) <= TRACEBACK_CHARS else "…" + text[-TRACEBACK_CHARS:]


_HERE = __file__.rpartition("/")[0]


def _ours(filename: str) -> bool:
    return filename.startswith(_HERE)
