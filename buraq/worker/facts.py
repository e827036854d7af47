"""What a worker process says of itself: real readings, never invented."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable

from buraq.scripts import Argument
from buraq.version import __version__

_PAGE = resource.getpagesize()


class Facts:
    """Reads CPU, memory and load of this process. Called from the lease thread: it touches nothing of gevent's."""

    def __init__(self, slots: int, in_flight: Callable[[], int]) -> None:
        self.status = "active"
        self.queues = ""
        self._slots = slots
        self._in_flight = in_flight
        self._started_ms = int(time.time() * 1000)
        self._host = socket.gethostname()
        self._cpu, self._at = _cpu_seconds(), time.monotonic()

    def read(self) -> dict[str, Argument]:
        """Return the fields of the worker hash. CPU is percent of one core since the last reading, memory is in MB."""
        cpu, at = _cpu_seconds(), time.monotonic()
        share = 100 * (cpu - self._cpu) / max(0.001, at - self._at)
        self._cpu, self._at = cpu, at
        return {
            "host": self._host,
            "pid": os.getpid(),
            "cpu": f"{share:.1f}",
            "memory_mb": f"{memory_bytes() / 1e6:.1f}",
            "slots": self._slots,
            "in_flight": self._in_flight(),
            "started_ms": self._started_ms,
            "version": __version__,
            "status": self.status,
            "queues": self.queues,
        }


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory_bytes() -> int:
    """Return the resident memory of this process; its peak where the system does not tell the present value."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * _PAGE
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
