"""The children of a worker process: who runs in a sandbox, in whose company, and what its death means.

Suspects run there in small cohorts. When a cohort's process dies, each of those that were in it runs alone; one that
dies alone is guilty. Tasks with `pool="process"` run there one to a process, so that they may compute.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from buraq.app import Buraq
from buraq.errors import Crashed, TimedOut
from buraq.function import TaskFunction
from buraq.keys import SUSPECTS
from buraq.log import RateLimited
from buraq.task import Dead, Delivery, Outcome, Released, Task, running_task
from buraq.worker.executor import Executor
from buraq.worker.judge import describe, trace
from buraq.worker.sandbox import NotStarted, Origin, Sandbox

log = logging.getLogger(__name__)
troubles = RateLimited(log)

COHORT = 32  # suspects that a worker process has at once; about the root of how many a death may bring
IDLE = 60.0  # seconds after which a child that has nothing to do is ended
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 10.0  # seconds between two tries to start a child


def cohort_of(concurrency: int) -> int:
    """Return how many suspects a process with so many slots has at once: half, so that others run beside them."""
    return max(1, min(COHORT, concurrency // 2))


class Children:
    """Runs tasks in child processes, which are started when there is something for them."""

    def __init__(
        self,
        app: Buraq,
        origin: Origin,
        processes: int,
        stopping: Callable[[], bool],
        start: Callable[[Origin, Callable[[str, int], None]], Sandbox] = Sandbox,
    ) -> None:
        """`processes` is how many tasks with `pool="process"` run at once."""
        self._app = app
        self._origin = origin
        self._stopping = stopping
        self._start = start
        self._executor = Executor(app, stopping)  # judges what a death means
        self._sandboxes: set[Sandbox] = set()
        self._cohort: Sandbox | None = None
        self._cell: Sandbox | None = None  # where suspects run alone
        self._alone = BoundedSemaphore(1)
        self._pool = BoundedSemaphore(processes)
        self._idle: list[Sandbox] = []  # of the pool

    def run(self, delivery: Delivery, task: Task, function: TaskFunction[..., Any]) -> Outcome:
        """Run a task in a child and return its outcome, as `Executor.run` does here. Blocks."""
        running_task.set(task)
        try:
            if delivery.letter == SUSPECTS:
                return self._run_suspect(delivery, task, function)
            with self._pool:
                return self._run_in_pool(delivery, task, function)
        except gevent.GreenletExit:
            return Released()

    # -- suspects

    def _run_suspect(self, delivery: Delivery, task: Task, function: TaskFunction[..., Any]) -> Outcome:
        try:
            return self._try(self._take_cohort, delivery, task, alone=False)
        except _Died as death:
            if death.only:
                return self._guilty(task, function, death)
        with self._alone:
            try:
                return self._try(self._take_cell, delivery, task, alone=True)
            except _Died as death:
                if death.only or isinstance(death.error, TimedOut):
                    return self._guilty(task, function, death)
            # Others ran there before, and one of them may have left behind what killed it.
            try:
                return self._try(self._take_cell, delivery, task, alone=True)
            except _Died as death:
                return self._guilty(task, function, death)

    def _guilty(self, task: Task, function: TaskFunction[..., Any], death: _Died) -> Outcome:
        """Judge a suspect that a process died of in which nothing else ever ran."""
        if not isinstance(death.error, Crashed):
            return self._executor.failed(task, function, death.error)
        return Dead("crashed", describe(death.error), trace(death.error))

    def _take_cohort(self) -> Sandbox:
        if self._cohort is None or self._cohort.ended:
            self._cohort = self._new()
        return self._cohort

    def _take_cell(self) -> Sandbox:
        if self._cell is None or self._cell.ended:
            self._cell = self._new()
        return self._cell

    # -- tasks that compute

    def _run_in_pool(self, delivery: Delivery, task: Task, function: TaskFunction[..., Any]) -> Outcome:
        taken: list[Sandbox] = []
        try:
            return self._try(lambda: self._take_of_pool(taken), delivery, task, alone=True)
        except _Died as death:
            return self._executor.failed(task, function, death.error)
        finally:
            self._idle += [sandbox for sandbox in taken[-1:] if not sandbox.ended]

    def _take_of_pool(self, taken: list[Sandbox]) -> Sandbox:
        self._idle = [sandbox for sandbox in self._idle if not sandbox.ended]
        taken.append(self._idle.pop() if self._idle else self._new())
        return taken[-1]

    # -- children

    def _new(self) -> Sandbox:
        sandbox = self._start(self._origin, self._enqueued)
        self._sandboxes.add(sandbox)
        return sandbox

    def _enqueued(self, task_type: str, count: int) -> None:
        if self._app.on_enqueued is not None:
            self._app.on_enqueued(task_type, count)

    def _try(self, take: Callable[[], Sandbox], delivery: Delivery, task: Task, alone: bool) -> Outcome:
        """Run a task in a child, once there is one. Raises `_Died`.

        Where no child will start, the task waits: it is not its fault.
        """
        pause = _FIRST_PAUSE
        while not self._stopping():
            try:
                sandbox = take()
                return sandbox.run(delivery, task, self._app.config.timeout_grace, alone)
            except (NotStarted, OSError) as error:
                troubles.error("a child process did not start, tasks wait for it", extra={"error": str(error)})
                gevent.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
            except (Crashed, TimedOut) as error:
                only = sandbox.ran == 1
                log.warning(
                    "a child process died of a task" if only else "a child process died, its tasks run alone",
                    extra={"error": str(error), "pid": sandbox.pid, "ran": sandbox.ran},
                )
                raise _Died(error.with_traceback(None), only) from None  # where it was raised says nothing
        return Released()

    def tend(self) -> None:
        """End children that have had nothing to do for a while. Called now and then."""
        late = time.monotonic() - IDLE
        self._sandboxes = {sandbox for sandbox in self._sandboxes if not sandbox.gone}
        for sandbox in self._sandboxes:
            if not sandbox.busy and not sandbox.ended and sandbox.idle_since < late:
                sandbox.leave()

    def close(self, timeout: float = 1.0) -> None:
        """Kill all children, and wait for their end, `timeout` seconds at most."""
        deadline = time.monotonic() + timeout
        for sandbox in self._sandboxes:
            sandbox.kill()
        for sandbox in self._sandboxes:
            sandbox.join(max(0.0, deadline - time.monotonic()))


class _Died(Exception):
    """A child ended before the task did. `only` says whether nothing else ever ran in it."""

    def __init__(self, error: Crashed | TimedOut, only: bool) -> None:
        self.error = error
        self.only = only
