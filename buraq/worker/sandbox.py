"""A sandbox: a child process of the worker that runs tasks for it, and may die of them.

A fresh interpreter that loads the same queue, never a fork of a process with greenlets and open connections.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event
from gevent.queue import SimpleQueue

from buraq.errors import BuraqError, Crashed, TimedOut
from buraq.metrics import forget_process
from buraq.task import Delivery, Outcome, Released, Task
from buraq.worker.frames import Frame, pack, read_outcome, receive, text_of
from buraq.worker.judge import TRACEBACK_CHARS, describe

log = logging.getLogger(__name__)

START_TIME = 60.0  # seconds that a child has to load the queue
LAST_WORDS = 0.5  # seconds for what is still to be read of a dead child, and for a task to let itself be ended
LEAVE_TIME = 5.0  # seconds that a child has to end when it is asked to
_LOOK_EVERY = 0.1  # seconds between two looks at the memory of a child that runs tasks


@dataclass(frozen=True)
class Origin:
    """How a child makes the queue that its worker has: `target` names it, None is one of the settings alone."""

    target: str | None


class NotStarted(BuraqError):
    """A child ended before it was ready to run tasks, or did not become so; the message says why."""


class _Run:
    """A task in the child, from when it is sent until what it ended in is known."""

    __slots__ = ("done", "ended")

    def __init__(self) -> None:
        self.done = Event()
        self.ended: Outcome | Crashed | None = None


class Sandbox:
    """One child process. Tasks run in it side by side, as in a worker process; who wants one alone sends one."""

    def __init__(self, origin: Origin, enqueued: Callable[[str, int], None]) -> None:
        """Start it. `enqueued` hears what its tasks enqueue: task type and how many. Raises `OSError`."""
        self.ran = 0  # tasks that were sent to it
        self.ended = False
        self.idle_since = time.monotonic()
        self._enqueued = enqueued
        self._runs: dict[int, _Run] = {}
        self._ready = Event()
        self._refused = ""  # why it cannot run tasks
        self._exited = Event()
        self._peak = _Peak()
        self._crash = tempfile.TemporaryFile()  # noqa: SIM115  where the interpreter writes the stack that it died in
        self._sock, theirs = socket.socketpair()
        try:
            self.pid = _spawn(theirs.fileno(), self._crash.fileno())
        except BaseException:
            self._sock.close()
            self._crash.close()
            raise
        finally:
            theirs.close()
        # Before the hub has a turn: it would reap the child and tell nobody.
        self._watcher = gevent.get_hub().loop.child(self.pid, ref=False)
        self._watcher.start(self._exited.set)
        self._outbox: SimpleQueue[Frame] = SimpleQueue()
        level = logging.getLogger().level
        hello = {"path": sys.path, "argv": sys.argv, "PYTHONPATH": os.environ.get("PYTHONPATH")}
        self._outbox.put(hello | {"target": origin.target, "level": level})
        self._writer = gevent.spawn(self._write)
        self._reader = gevent.spawn(self._read)
        gevent.spawn(self._watch)

    # -- running

    @property
    def busy(self) -> bool:
        """Whether a task is in it."""
        return bool(self._runs)

    @property
    def gone(self) -> bool:
        """Whether its process has ended; `ended` only says that it takes no more tasks."""
        return bool(self._exited.is_set())

    def run(self, delivery: Delivery, task: Task, grace: float, alone: bool) -> Outcome:
        """Run a task and return what it ended in. Blocks.

        `grace` is how many seconds it may go on after its timeout, `alone` says that no other is sent meanwhile.
        Raises `NotStarted` when the child could not be had, `Crashed` when it ended before the task did, `TimedOut`
        when it had to be killed for this task. A caller that is killed has the task handed back.
        """
        if not _wait(self._ready, START_TIME) or self._refused:
            self.kill()
            raise NotStarted(self._refused or f"it was not ready within {START_TIME:g}s")
        self.ran += 1
        number, run = self.ran, _Run()
        self._runs[number] = run
        self._peak.look(self.pid)
        frame = {"run": number, "raw": text_of(delivery.raw or b""), "timeout": task.timeout, "alone": alone}
        self._outbox.put(frame | {"worker_id": task.worker_id})
        try:
            in_time = _wait(run.done, None if task.timeout is None else task.timeout + grace)
        except gevent.GreenletExit:
            return self._hand_back(number, run)
        finally:
            self._runs.pop(number, None)
            self.idle_since = time.monotonic()
        if not in_time:
            self.kill()
            raise TimedOut(task.timeout or 0.0, grace)
        if isinstance(run.ended, Crashed):
            raise run.ended
        return run.ended or Released()

    def _hand_back(self, number: int, run: _Run) -> Outcome:
        """End a task as a stopping worker ends its own: it may clean up. One that does not listen goes with its
        process.
        """
        self._outbox.put({"stop": number})
        with suppress(gevent.GreenletExit):
            _wait(run.done, LAST_WORDS)
        if run.ended is None:
            self.kill()
        return Released() if run.ended is None or isinstance(run.ended, Crashed) else run.ended

    # -- ending

    def leave(self) -> None:
        """Ask the child to end; it is killed when it has not in a while. Does not block."""
        if not self.ended:
            self.ended = True
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_WR)
            gevent.spawn_later(LEAVE_TIME, self.kill)

    def kill(self) -> None:
        """Kill the child, and what its tasks have started. Does not block."""
        self.ended = True
        if not self._exited.is_set():  # its number may be another's now
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def join(self, timeout: float) -> None:
        """Wait for its end, `timeout` seconds at most."""
        self._exited.wait(timeout)

    # -- greenlets

    def _write(self) -> None:
        # In one place: a slot that is killed must not leave half a frame.
        with suppress(OSError):
            while True:
                self._sock.sendall(pack(self._outbox.get()))

    def _read(self) -> None:
        for frame in receive(self._sock):
            if "end" in frame:
                run = self._runs.get(frame["end"])
                if run is not None:
                    run.ended = read_outcome(frame["outcome"])
                    run.done.set()
            elif "log" in frame:
                _log_again(frame["log"])
            elif "enqueued" in frame:
                self._enqueued(*frame["enqueued"])
            elif "ready" in frame:
                self._ready.set()
            elif "failed" in frame:
                self._refused = str(frame["failed"])
        if not self._exited.wait(LEAVE_TIME):  # it has closed its end, and lives
            self.kill()

    def _watch(self) -> None:
        """Wait for the end, and tell those that wait for their tasks."""
        while not self._exited.wait(_LOOK_EVERY):
            if self._runs:
                self._peak.look(self.pid)
        self.ended = True
        self._peak.look_back()
        self._reader.join(LAST_WORDS)
        gevent.killall([self._reader, self._writer], block=False)
        how = _how(self._watcher.rstatus)
        self._watcher.close()
        self._sock.close()
        crash = Crashed(how, self._peak.bytes)
        with self._crash:
            self._crash.seek(0)
            if stack := self._crash.read(TRACEBACK_CHARS).decode(errors="replace").strip():
                crash.add_note(stack)
        self._refused = self._refused or f"it ended with {how}"
        self._ready.set()
        for run in self._runs.values():
            if run.ended is None:
                run.ended = crash
                run.done.set()
        forget_process(self.pid)


def _spawn(*descriptors: int) -> int:
    """Start a child that inherits these descriptors, and return its pid."""
    here = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{path}" if path else here}
    words = [sys.executable, "-P", "-m", "buraq.worker", *map(str, descriptors), str(os.getpid())]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)
    try:
        # Not a fork: nothing of this process's greenlets, locks and connections runs on in there. A group of its own:
        # what its tasks start is killed with it, and a Ctrl-C reaches the arbiter alone.
        return os.posix_spawn(
            sys.executable, words, env, file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)], setpgroup=0
        )
    finally:
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)


def _wait(event: Event, timeout: float | None) -> bool:
    """Wait for an event, whatever an earlier task of this slot left behind that goes off now. A kill passes."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            return bool(event.wait(None if deadline is None else max(0.0, deadline - time.monotonic())))
        except gevent.GreenletExit:
            raise
        except BaseException as error:
            log.warning("a task left behind what went off after its end", extra={"error": describe(error)})


def _log_again(line: dict[str, Any]) -> None:
    """Write a child's log line as one of this process."""
    logger = logging.getLogger(line["name"])
    if logger.isEnabledFor(line["levelno"]):
        try:
            logger.handle(logging.makeLogRecord(line))
        except Exception:  # a filter of the user's; nobody would hear any more what the child's tasks end in
            with suppress(Exception):  # standard error may be gone
                traceback.print_exc()


def _how(status: int) -> str:
    """Say how a process ended."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"signal {-code}"


class _Peak:
    """The most memory that a child has had, as far as can be seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._others = _of_all_children()

    def look(self, pid: int) -> None:
        """Read what the system says of a child that lives."""
        self._others = _of_all_children()
        with suppress(OSError, ValueError), open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    self.bytes = int(line.split()[1]) * 1024

    def look_back(self) -> None:
        """Take what the system says of all children that have ended, where this one must have set it.

        It counts a child's beginning too, when it still was a copy of this process.
        """
        peak = _of_all_children()
        if peak > max(self._others, _maxrss(resource.RUSAGE_SELF), self.bytes):
            self.bytes = peak


def _of_all_children() -> int:
    return _maxrss(resource.RUSAGE_CHILDREN)


def _maxrss(who: int) -> int:
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
