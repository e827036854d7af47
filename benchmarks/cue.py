"""Inside a process that a benchmark starts: when to begin, when to end, and how to tell what was seen.

The other side of `Child` in benchmarks/children.py. The parent's lines come on stdin, ours go to stdout.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from typing import Any

import psutil


def wait_to_begin() -> None:
    """Say that all is prepared, and block until told to begin. Ends the process when its parent has gone."""
    print("ready", flush=True)
    if not sys.stdin.readline():
        os._exit(1)


def wait_to_end() -> None:
    """Block this greenlet, or this thread where nothing is patched, until told to end, or until the parent is gone."""
    if "gevent" in sys.modules:
        from gevent.os import tp_read

        tp_read(0, 16)
    else:
        os.read(0, 16)


def tell(figures: dict[str, Any]) -> None:
    """Hand the figures to the parent and end this process at once: what else it has open is nobody's any more."""
    print(json.dumps(figures), flush=True)
    os._exit(0)


def peak_bytes() -> int:
    """Return the most memory that this process had resident."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def connections() -> int:
    """Return how many TCP connections this process holds."""
    return sum(one.status == psutil.CONN_ESTABLISHED for one in psutil.Process().net_connections(kind="tcp"))
