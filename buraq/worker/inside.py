"""What runs inside a child of a worker process: it loads the same queue, and runs the tasks that its parent sends.

It writes nothing about a task to the server; its parent settles. A task's own code may use the queue as it does in the
worker.
"""

from __future__ import annotations

import contextvars
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Any

import gevent
from gevent import monkey

from buraq.app import Buraq
from buraq.config import Config
from buraq.keys import DEFAULT_QUEUE, NORMAL
from buraq.log import TaskFilter, facts, traceback_of
from buraq.target import load
from buraq.task import Delivery, Outcome, decode
from buraq.worker.executor import Executor, SlotTimeout
from buraq.worker.frames import Frame, bytes_of, pack, receive, write_outcome
from buraq.worker.judge import describe, unknown_type
from buraq.worker.mock import register

PR_SET_PDEATHSIG = 1
BROKE = 70  # exit code of a child that could not say what a run ended in
_SENT_TO_ALL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    """Run tasks until the parent closes its end. Arguments: the channel, a file for a crash, the parent's pid."""
    channel, crash, parent = (int(word) for word in sys.argv[1:4])
    die_with(parent)
    # A platform's stop reaches every process at once, and the parent may let what runs here finish. Handlers, because
    # SIG_IGN would be inherited by the programs that tasks start.
    for number in _SENT_TO_ALL:
        signal.signal(number, lambda *_: None)
    for descriptor in (channel, crash):
        os.set_inheritable(descriptor, False)
    faulthandler.enable(crash)
    with socket.socket(fileno=channel) as sock:
        Inside(sock).run()


def die_with(parent: int) -> None:
    """End this process when its parent ends, even in the middle of a task that lets nothing else run."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def queue_of(target: str | None) -> Buraq:
    """Return the queue that the parent has: the target's, else one of the settings alone."""
    config = Config.from_env()
    queue = load(target) if target else Buraq(config)
    if config.enable_mock_tasks:
        register(queue)
    return queue


class Inside:
    """The child's side of the channel."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = monkey.get_original("_thread", "allocate_lock")()
        self._running: dict[int, gevent.Greenlet[..., None]] = {}
        self._stopping = False

    def run(self) -> None:
        """Load the queue, then run what is asked for until the parent closes its end."""
        frames = receive(self._sock)
        hello = next(frames, None)
        if hello is None:
            return
        sys.path[:], sys.argv[:] = hello["path"], hello["argv"]
        os.environ.pop("PYTHONPATH", None)
        if hello["PYTHONPATH"]:
            os.environ["PYTHONPATH"] = hello["PYTHONPATH"]
        self._log_to_the_parent(hello["level"])
        try:
            self._app = app = queue_of(hello["target"])
            self._queue = app.backend.names.queue(DEFAULT_QUEUE)
        except BaseException as error:
            self.send({"failed": describe(error)})
            os._exit(1)
        app.on_enqueued = lambda task_type, n: self.send({"enqueued": [task_type, n]})
        self._executor = Executor(app, lambda: self._stopping)
        self._executor_of_one = Executor(app, lambda: self._stopping, AlarmedTimeout)
        self.send({"ready": True})
        for frame in frames:
            if "run" in frame:
                self._running[frame["run"]] = gevent.spawn(self._work, frame)
            elif "stop" in frame:
                self._stopping = True
                gevent.killall([g for n, g in self._running.items() if n == frame["stop"]], block=False)
        if self._running:  # nobody waits for what they end in
            os._exit(1)

    def _work(self, frame: Frame) -> None:
        """Run one task and say what it ended in."""
        number = frame["run"]
        try:
            outcome = write_outcome(self._outcome(frame))
            del self._running[number]
            self.send({"end": number, "outcome": outcome})
        except BaseException:  # no memory left to say it, for instance: then the end of the process says it
            traceback.print_exc()
            os._exit(BROKE)

    def _outcome(self, frame: Frame) -> Outcome:
        raw = bytes_of(frame["raw"])
        task = decode(raw)
        task.timeout, task.worker_id = frame["timeout"], frame["worker_id"]
        function = self._app.registry.get(task.type)
        if function is None:  # the code on disk is not the parent's any more
            return unknown_type(task, known_elsewhere=True)
        delivery = Delivery(self._queue, NORMAL, b"0-0", [b"payload", raw], 0)
        delivery.task = task
        executor = self._executor_of_one if frame["alone"] else self._executor
        outcome: Outcome = contextvars.Context().run(executor.run, delivery, task, function)
        return outcome

    # -- what the parent hears

    def send(self, frame: Frame) -> None:
        """Send a frame. Any thread may, and no greenlet gets a turn meanwhile."""
        data = memoryview(pack(frame))
        with self._lock:
            while data:
                try:
                    data = data[os.write(self._sock.fileno(), data) :]
                except BlockingIOError:  # gevent has it that way, for the reading side
                    monkey.get_original("select", "select")([], [self._sock], [])
                except OSError:
                    os._exit(1)  # the parent is gone

    def _log_to_the_parent(self, level: int) -> None:
        handler = ToTheParent(self)
        handler.addFilter(TaskFilter())
        root = logging.getLogger()
        root.setLevel(level)
        root.addHandler(handler)


class ToTheParent(logging.Handler):
    """Has the parent write the log lines of a child, among its own."""

    def __init__(self, inside: Inside) -> None:
        super().__init__()
        self._inside = inside

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record, with its facts and its traceback as text."""
        try:
            line = {
                "name": record.name,
                "levelno": record.levelno,
                "levelname": record.levelname,
                "msg": record.getMessage(),
                "created": record.created,
                "process": record.process,
                "exc_text": traceback_of(logging.Formatter(), record) or None,
            }
            self._inside.send({"log": facts(record) | line})
        except Exception:
            self.handleError(record)


class AlarmedTimeout(SlotTimeout):
    """A timeout that reaches Python code which computes, too: a signal comes where the hub has no turn.

    For a process that runs one task at a time.
    """

    def start(self) -> None:
        """Start to count."""
        super().start()
        self._counted: Any = gevent.getcurrent()
        signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds or 0.0, self.again)

    def _ring(self, number: int, frame: object) -> None:
        if gevent.getcurrent() is self._counted:  # else the hub has its turn, and its own timer comes
            self.expired = True
            raise self

    def close(self) -> None:
        """Count no more."""
        self._counted = None  # a signal that is already on its way finds nobody
        signal.setitimer(signal.ITIMER_REAL, 0)
        super().close()
