"""gunicorn's arbiter with a stop of our own.

By itself it drops a second SIGTERM, turns SIGINT into an immediate quit, and lets one Ctrl-C reach each worker twice.
Here SIGTERM and SIGINT alike drain; a second one has the workers hand back at once. Workers ignore SIGINT.
"""

from __future__ import annotations

import logging
import queue
import signal
import time
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from buraq.worker.handover import Handover

log = logging.getLogger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_LOOK_EVERY = 0.2
_TELL_EVERY = 1.0  # seconds
_HURRY = 5.0  # seconds that workers have to hand back after the second signal
_QUICK_DEATH = 2.0  # a process that lived shorter than this is not replaced at once
_FAREWELL = 2.0  # seconds; where the server does not answer a new process has nothing to do either
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0


class GroupArbiter(Arbiter):
    """Forks, watches and stops the worker processes of a group."""

    def __init__(self, group: Any, burst: bool, grace: float) -> None:
        super().__init__(group)
        self._farewells = group.farewells
        self._deputy = group.deputy
        self._burst = burst
        self._grace = grace
        self._born: dict[int, float] = {}
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._handover = Handover()
        self._ending = False
        self.killed = False  # workers had to be killed in the end
        self.gave_up = False  # a burst has left something that the server refuses

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop and exit; without a last word when all has been said."""
        if exit_status == getattr(self.app, "target_error", None):
            logging.getLogger("gunicorn.error").setLevel(logging.CRITICAL)
        super().halt(reason, exit_status)

    def handle_int(self) -> None:
        """Drain and stop, as for SIGTERM."""
        raise StopIteration

    handle_quit = handle_int

    def wait_for_signals(self, timeout: float | None = 1.0) -> list[int]:
        """Wait for signals, and look after the children now and then, and after who asks for their health.

        Under gevent libev takes the SIGCHLD and reaps; the handler may be called before the status can be had, and
        never again.
        """
        signals = super().wait_for_signals(_LOOK_EVERY if timeout is None else min(timeout, _LOOK_EVERY))
        self.reap_workers()
        self._deputy.step(self.LISTENERS)
        return signals

    def spawn_worker(self) -> Any:
        """Fork a worker process."""
        self._farewells.wait(_FAREWELL)
        pid = super().spawn_worker()
        self._born[pid] = time.monotonic()
        return pid

    def reap_workers(self) -> None:
        """Note who has ended: a burst's process that is done is not replaced, one that dies young waits."""
        before: dict[int, Any] = dict(self.WORKERS)
        self._reap()
        for pid in before.keys() - self.WORKERS.keys():
            lived = time.monotonic() - self._born.pop(pid, 0.0)
            if self._burst and before[pid].finished():
                self.num_workers -= 1
                self.gave_up = self.gave_up or before[pid].gave_up
            elif before[pid].relieved:
                continue
            elif lived < _QUICK_DEATH:
                self._not_before = time.monotonic() + self._pause
                self._pause = min(_LONGEST_PAUSE, self._pause * 2)
            else:
                self._pause = _FIRST_PAUSE

    def _reap(self) -> None:
        """Reap as gunicorn does, but for two exit codes for which it ends the whole group.

        They say that no process would do better. Of one that was at work they do not: a task ended it, with that code.
        And while the group ends they say nothing new: where one fails, all do.
        """
        while True:
            before: dict[int, Any] = dict(self.WORKERS)
            try:
                return super().reap_workers()
            except HaltServer:
                gone = [before[pid] for pid in before.keys() - self.WORKERS.keys()]
                # Who was seen to has an empty row, and so has who gave up or never began.
                at_work = [worker for worker in gone if worker.row.read().pid > 0]
                if not at_work and not self._ending:
                    raise
                for worker in at_work:
                    worker.tmp.close()
                    self.cfg.child_exit(self, worker)

    def manage_workers(self) -> None:
        """Keep as many processes as there should be."""
        if self._burst and self.num_workers <= 0 and not self.WORKERS:
            raise StopIteration
        leaving = self._handover.step(self.WORKERS, self.num_workers)
        self.num_workers += leaving
        try:
            super().manage_workers()
        finally:
            self.num_workers -= leaving

    def spawn_workers(self) -> None:
        """Fork those that are missing, unless the last one died young: then after a while."""
        if time.monotonic() >= self._not_before:
            super().spawn_workers()

    def stop(self, graceful: bool = True) -> None:
        """Have the workers drain; at a second signal, hand back at once; kill what is left in the end.

        The listeners stay open in the workers, which answer probes while they drain.
        """
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS.clear()
        self._ending = True
        self.kill_workers(signal.SIGTERM)
        told_at, hurried = time.monotonic(), False
        limit = told_at + self._grace
        while self.WORKERS and time.monotonic() < limit:
            if not hurried and self._asked_again():
                log.warning("second signal: handing back at once")
                hurried = True
                limit = min(limit, time.monotonic() + _HURRY)
                self.kill_workers(signal.SIGQUIT)
            elif time.monotonic() - told_at > _TELL_EVERY:
                told_at = time.monotonic()
                self._tell_again(signal.SIGQUIT if hurried else signal.SIGTERM)
            time.sleep(0.02)
            self._reap()  # last: who has ended and is not reaped can be told
        if self.WORKERS:
            self.killed = True
            log.error("workers did not stop in time and are killed", extra={"pids": ",".join(map(str, self.WORKERS))})
        self.kill_workers(signal.SIGKILL)
        self._reap()

    def _tell_again(self, number: int) -> None:
        """Signal those that do not stop. Who has just been forked still has our handlers, and notes it for nobody."""
        workers: dict[int, Any] = dict(self.WORKERS)
        for pid, worker in workers.items():
            if not worker.row.read().stopping:
                self.kill_worker(pid, number)

    def _asked_again(self) -> bool:
        try:
            while True:
                if self.SIG_QUEUE.get_nowait() in STOPPING:
                    return True
        except queue.Empty:
            return False
