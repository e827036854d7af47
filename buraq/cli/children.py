"""Commands of ours that one command runs beside itself, and that end with it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import gevent
from gevent.event import Event

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Child:
    """A `buraq` command in a session of its own: a Ctrl-C reaches its parent alone.

    It gets SIGTERM when its parent ends, whatever ended that.
    """

    def __init__(self, name: str, arguments: Sequence[str], env: Mapping[str, str] = os.environ) -> None:
        self.name = name
        parent = os.getpid()

        def end_with_the_parent() -> None:
            # The kernel binds this to the thread that forks, which under gevent is the main one.
            if _LIBC is not None:
                _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != parent:
                    os._exit(1)

        self._process = subprocess.Popen(
            # -P: a signal.py in the user's folder must not be taken for the library's.
            [sys.executable, "-P", "-m", "buraq", *arguments],
            env={**env, "PYTHONPATH": _python_path(env)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_the_parent,
        )

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send it SIGTERM: the first makes it drain, the next one hurry."""
        if self.status is None:
            self._process.terminate()

    def stop(self, grace: float, hurry: Signals) -> int:
        """Have it drain, wait for its end and return its status.

        Passes each further signal on, and kills it with all its processes after `grace` seconds.
        """
        self.terminate()
        passed_on = hurry.count
        deadline = time.monotonic() + grace
        while self.status is None and time.monotonic() < deadline:
            hurry.wait(0.05)
            if hurry.count > passed_on:
                passed_on = hurry.count
                self.terminate()
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()


class Signals:
    """What was sent to this process to stop it: how often, and a way to wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._news = Event()

    def _came(self) -> None:
        self.count += 1
        self._news.set()

    def wait(self, seconds: float) -> bool:
        """Wait until one comes, `seconds` at most. Returns whether any has come so far."""
        seen = self.count
        self._news.clear()
        if self.count == seen:
            self._news.wait(seconds)
        return self.count > 0


@contextmanager
def stop_signals() -> Iterator[Signals]:
    """Count SIGINT, SIGTERM and SIGHUP inside the block, instead of ending by them."""
    signals = Signals()
    # gevent's, whose handlers run as greenlets: Python's own would run in the middle of the hub.
    watchers = [gevent.signal_handler(number, signals._came) for number in STOPPING]
    try:
        yield signals
    finally:
        for watcher in watchers:
            watcher.cancel()


def _python_path(env: Mapping[str, str]) -> str:
    """Let the child import the Buraq that this process runs, wherever it came from."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = env.get("PYTHONPATH")
    return f"{here}{os.pathsep}{inherited}" if inherited else here
