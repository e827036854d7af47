"""Fail points: a test has a worker process die, or one of its loops break, at a labelled step.

They are there only where the environment variable BURAQ_FAIL_POINTS names a folder: then the steps are wrapped, once,
when the process starts. Everywhere else this file is not even imported, and no step is slower for it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buraq.worker.worker import Worker

log = logging.getLogger(__name__)

VARIABLE = "BURAQ_FAIL_POINTS"

# What a test calls a step: whose it is, the attribute that does it, and whether the fault comes before or after it.
STEPS: Mapping[str, tuple[str, str, bool]] = {
    "fetched": ("fetcher", "_receive", True),  # the server has handed entries out, nobody here knows them
    "adopted": ("fetcher", "_dispatch", True),  # they are known, and have not started
    "before the run": ("slots", "_execute", True),
    "after the run": ("slots", "_ended", True),  # its outcome exists in this process only
    "before settling": ("settler", "_call", True),
    "settled": ("settler", "_forget", True),  # the server has written the outcomes, nobody here knows
    "known to be settled": ("settler", "_forget", False),
    "before renewing": ("lease", "renew", True),
    "renewed": ("lease", "renew", False),
    "promoted": ("promoter", "_promoted", True),
    "before reclaiming": ("reclaimer", "_take_from", True),
    "reclaimed": ("reclaimer", "_reclaimed", True),  # a batch of it
    "before leaving": ("fetcher", "leave", True),
    "left": ("fetcher", "leave", False),
    "fetch loop": ("fetcher", "step", True),
    "settle loop": ("settler", "step", True),
    "promote loop": ("promoter", "step", True),
    "reclaim loop": ("reclaimer", "step", True),
    "control loop": ("control", "step", True),
}


class Planted(RuntimeError):
    """The error that a fail point raises."""


def arm(worker: Worker, folder: str) -> None:
    """Wrap the steps of a worker.

    A step fails once for each file of its name in the folder: who takes the file away is who fails, so that of several
    processes one does. `kill` in the file ends the process as SIGKILL does, `hang` stands still for as long as the file
    lies there under its new name, which ends in the process's id, anything else raises `Planted`.
    """
    log.critical("fail points are armed: this process dies when a test says so", extra={"folder": folder})
    for step, (part, attribute, before) in STEPS.items():
        owner = getattr(worker, part)
        setattr(owner, attribute, _wrapped(getattr(owner, attribute), Path(folder, step), before))


def _wrapped(function: Callable[..., Any], order: Path, before: bool) -> Callable[..., Any]:
    def step(*args: Any, **kwargs: Any) -> Any:
        if before:
            _obey(order)
        result = function(*args, **kwargs)
        if not before:
            _obey(order)
        return result

    return step


def _obey(order: Path) -> None:
    taken = order.with_name(f"{order.name}.{os.getpid()}")
    try:
        order.rename(taken)
    except FileNotFoundError:
        return
    what = taken.read_text()
    while what == "hang":
        time.sleep(0.05)
        if not taken.exists():
            return
    taken.unlink()
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise Planted(f"planted at the step {order.name!r}")
