"""What a worker process says of itself: real readings, never invented."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections import deque
from collections.abc import Callable

from buraq.scripts import Argument
from buraq.version import __version__

_PAGE = resource.getpagesize()
_READINGS = 6  # five renewals are ten seconds with the usual LEASE_TTL
_HALF_MINUTE = 30.0


class Facts:
    """Reads CPU, memory and load of this process. Called from the lease thread: it touches nothing of gevent's."""

    def __init__(self, slots: int, in_flight: Callable[[], int], lease_ttl: float = 0.0) -> None:
        self.status = "active"
        self.queues = ""
        self.lag = Lag()
        self.done = {"completed": 0, "retried": 0, "dead": 0}  # since the start
        self._readings: deque[tuple[float, dict[str, int]]] = deque(maxlen=_READINGS)
        self._lease_ttl_ms = round(lease_ttl * 1000)
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
        self._readings.append((at, dict(self.done)))
        then, before = self._readings[0]
        rates = {
            f"{name}_s": f"{(count - before[name]) / max(0.001, at - then):.1f}" if at > then else "0"
            for name, count in self.done.items()
        }
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
            "lease_ttl_ms": self._lease_ttl_ms,
            "hub_lag_ms": f"{self.lag.worst() * 1000:.1f}",
            **rates,
        }


class Lag:
    """The longest time of the last minute for which the hub did not turn. Noted by a greenlet, read by the thread."""

    def __init__(self) -> None:
        self._began = 0.0
        self._now = self._before = 0.0  # the longest of this half minute, and of the one before

    def note(self, at: float, seconds: float) -> None:
        """Note how late the hub was."""
        if at - self._began > _HALF_MINUTE:
            self._before = self._now if at - self._began < 2 * _HALF_MINUTE else 0.0
            self._began, self._now = at, 0.0
        self._now = max(self._now, seconds)

    def worst(self) -> float:
        """Return the longest in seconds."""
        return max(self._now, self._before)


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
