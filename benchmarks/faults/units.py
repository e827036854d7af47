"""Worker processes under a supervisor, and the process that enqueues."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.faults.systems import System
from benchmarks.peers import build
from tests.servers import end_with_this_thread

INSIDE = Path(__file__).parent / "inside"
RESTART_S = 0.1  # what systemd waits before it starts a service again


class Unit:
    """One service: a command that is started again when its process ends, until it is stopped."""

    def __init__(self, system: System, name: str, environment: Mapping[str, str], folder: Path, processes: int) -> None:
        words = {
            "processes": str(processes),
            "slots": environment["SLOTS"],
            "unit": name,
            "url": environment["REDIS_URL"],
        }
        program, *arguments = (word.format(**words) for word in system.command)
        self.system, self.name = system, name
        self.restarts = 0
        self.log = folder / f"{name}.log"
        self._command = [str(build(system.venv) / program), *arguments]
        self._environment = {**os.environ, **environment}
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._due: float | None = None  # when it is started again

    def start(self) -> None:
        """Start its process."""
        self._due = None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_this_thread,
            )

    def supervise(self) -> None:
        """Start it again a moment after it has ended. Called every few milliseconds; never waits."""
        if self._process is None or self._process.poll() is None:
            return
        if self._due is None:
            self._due = time.monotonic() + RESTART_S
        elif time.monotonic() >= self._due:
            self.restarts += 1
            self.start()

    @property
    def pid(self) -> int | None:
        """The process that its command started, None when it is not started."""
        return self._process.pid if self._process is not None else None

    def tree(self) -> list[psutil.Process]:
        """Return its process and all that came of it."""
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            return [main, *main.children(recursive=True)]
        return []

    def terminate(self) -> None:
        """Ask it to stop, and no longer start it again."""
        assert self._process is not None
        self._stopping, self._process = self._process, None
        self._stopping.send_signal(signal.SIGTERM)

    def ended(self) -> int | None:
        """Return the exit code of the process that was asked to stop, once it has one."""
        return self._stopping.poll()

    def kill(self) -> None:
        """End all its processes at once, and no longer start it again."""
        process = self._process or getattr(self, "_stopping", None)
        if process is None:
            return
        self._process = process
        for one in self.tree():
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
        self._process = None


class Producer:
    """Enqueues what it is told, in a process of the system's own environment."""

    def __init__(self, system: System, environment: Mapping[str, str], folder: Path) -> None:
        self.log = folder / "producer.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [build(system.venv) / "python", INSIDE / "submit.py", system.module],
                cwd=folder,
                env={**os.environ, **environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                bufsize=1,
                start_new_session=True,
                preexec_fn=end_with_this_thread,
            )

    def send(self, kind: str, task: str, seconds: float) -> None:
        """Have one task enqueued."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{kind} {task} {seconds:.3f}\n")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
