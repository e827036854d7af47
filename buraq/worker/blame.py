"""Who holds the hub, read from outside, off the stack of the hub's thread: running a task pays nothing for it."""

from __future__ import annotations

import os
import sysconfig
from dataclasses import dataclass
from types import FrameType

from buraq.metrics import NO_TASK
from buraq.task import Delivery
from buraq.worker.executor import run_task

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PATHS = (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_LIBRARIES = tuple({f"{path}{os.sep}" for path in (*_PATHS, _OURS) if path} | {"<frozen "})


@dataclass(frozen=True)
class Culprit:
    """What the hub's thread was doing when it was looked at."""

    task_type: str = NO_TASK
    task_id: str = ""
    at: str = "?"  # `file:line function`, of the user's code where it can be told
    inside: str = ""  # the same of the library code that it has called, if any

    @property
    def facts(self) -> dict[str, object]:
        """Return what a log line says of it."""
        told = {"task_id": self.task_id, "task_type": self.task_type, "at": self.at, "inside": self.inside}
        return {name: fact for name, fact in told.items() if fact}


def culprit_of(frame: FrameType | None) -> Culprit:
    """Return what a stack says, `frame` being its innermost one.

    The line is the innermost of code that is neither Python's, nor installed, nor ours. When a task's function is
    installed itself, it is that function's line.
    """
    if frame is None:
        return Culprit()
    innermost = _place(frame)
    users = called = ""  # the user's line; and the line of the frame looked at last, in the end the task function's
    delivery: Delivery | None = None
    while frame is not None:
        if frame.f_code is run_task.__code__:
            delivery = frame.f_locals["delivery"]
            break
        called = _place(frame)
        if not users and not frame.f_code.co_filename.startswith(_LIBRARIES):
            users = called
        frame = frame.f_back
    task = delivery.task if delivery is not None else None
    at = users or (called if task is not None else innermost)
    inside = innermost if innermost != at else ""
    return Culprit(at=at, inside=inside) if task is None else Culprit(task.type, task.id, at, inside)


def _place(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} {code.co_qualname}"
