"""Inside a process of any system: what really ran, written down outside the server.

Each process appends to a file of its own, `start`, `end`, `accepted` or `refused`, the task, and the machine's
monotonic clock, which all processes share. Only the standard library, because it is imported by programs that know
nothing of Buraq.
"""

import os
import threading
import time

_files: dict[int, int] = {}  # by process: a fork must not write to its parent's
_opening = threading.Lock()  # a process with threads has one file, too


def note(what: str, task: str) -> None:
    """Write one line, in one write: a kill cuts no line in half."""
    os.write(_file(), f"{what} {task} {time.monotonic():.6f}\n".encode())


def _file() -> int:
    process = os.getpid()
    if process not in _files:
        with _opening:
            if process not in _files:
                name = f"{os.environ['LEDGER']}/{process}.{time.monotonic_ns()}"
                _files[process] = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    return _files[process]


def nap(task: str, seconds: float) -> None:
    """Wait, as most tasks do."""
    note("start", task)
    time.sleep(seconds)
    note("end", task)


def burn(task: str, seconds: float) -> None:
    """Compute in Python for so many CPU seconds."""
    note("start", task)
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    note("end", task)
