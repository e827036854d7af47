"""Buraq: a task queue with greenlets, on Redis or Valkey Streams.

The names below are imported when they are first used: the command line has to patch before `redis` is imported, and
importing `buraq.cli` runs this file first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buraq.version import __version__

if TYPE_CHECKING:
    from buraq.app import Buraq
    from buraq.errors import (
        BuraqError,
        ConfigError,
        Crashed,
        DuplicateTaskType,
        EnqueueError,
        PayloadError,
        PayloadTooLarge,
        QueueUnavailable,
        Reject,
        Retry,
        Snooze,
        TimedOut,
    )
    from buraq.function import TaskFunction
    from buraq.handle import TaskHandle
    from buraq.retry import Backoff
    from buraq.task import Task, current_task

_HOMES = {
    "Buraq": "app",
    "TaskFunction": "function",
    "BuraqError": "errors",
    "ConfigError": "errors",
    "Crashed": "errors",
    "DuplicateTaskType": "errors",
    "EnqueueError": "errors",
    "PayloadError": "errors",
    "PayloadTooLarge": "errors",
    "QueueUnavailable": "errors",
    "Reject": "errors",
    "Retry": "errors",
    "Snooze": "errors",
    "TimedOut": "errors",
    "TaskHandle": "handle",
    "Backoff": "retry",
    "Task": "task",
    "current_task": "task",
}

__all__ = [
    "Backoff",
    "Buraq",
    "BuraqError",
    "ConfigError",
    "Crashed",
    "DuplicateTaskType",
    "EnqueueError",
    "PayloadError",
    "PayloadTooLarge",
    "QueueUnavailable",
    "Reject",
    "Retry",
    "Snooze",
    "Task",
    "TaskFunction",
    "TaskHandle",
    "TimedOut",
    "__version__",
    "current_task",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'buraq' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"buraq.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
