"""The web server that this process is run by, in whatever app: whether it is told to stop, how much room it has."""

from __future__ import annotations

import signal
from typing import Any

from gevent import monkey

ROOM = 100  # streams where the web server does not say how many connections it takes


def greenlets() -> bool:
    """Whether threads are greenlets here, of which one runs until it waits."""
    return bool(monkey.is_module_patched("threading") and monkey.is_module_patched("socket"))


def web_worker() -> Any:
    """Return the gunicorn worker that this process is, None when it is none.

    In any app under gunicorn, without a hook in its configuration: SIGTERM calls a method of the worker.
    """
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if hasattr(owner, "alive") and hasattr(owner, "cfg") else None


def is_stopping() -> bool:
    """Whether this process was told to stop."""
    worker = web_worker()
    return worker is not None and not worker.alive


def most_streams() -> int:
    """How many streams may be open at once: a quarter of the connections stays free for everything else."""
    worker = web_worker()
    if worker is None:
        return ROOM
    from gunicorn.workers.base_async import AsyncWorker

    at_once: int = worker.worker_connections if isinstance(worker, AsyncWorker) else worker.cfg.threads
    return at_once - max(1, at_once // 4)
