"""Runs one task: calls its function within its time, and says what the run ended in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
import ujson

from buraq.app import Buraq
from buraq.errors import TaskControl, TimedOut
from buraq.function import TaskFunction
from buraq.task import COMPLETED, Completed, Dead, Delivery, Outcome, Released, Task, running_task
from buraq.worker.judge import describe, failed

log = logging.getLogger(__name__)


class SlotTimeout(gevent.Timeout):
    """A task's time is up. A class of its own, so that a task's own gevent timeouts are not taken for it.

    A task that goes on is told again, each time that `again` seconds have passed.
    """

    def __init__(self, seconds: float, again: float) -> None:
        super().__init__(seconds)
        self.again = again
        self.expired = False  # whether it was raised

    def _on_expiration(self, prev_greenlet: Any, ex: BaseException) -> None:
        self.expired = True
        self.timer.close()
        self.timer = gevent.get_hub().loop.timer(self.again)
        self.timer.start(self._on_expiration, prev_greenlet, ex)
        prev_greenlet.throw(ex)


class Executor:
    """Runs tasks in the greenlet of its caller, whatever their code does."""

    def __init__(self, app: Buraq, stopping: Callable[[], bool], timer: type[SlotTimeout] = SlotTimeout) -> None:
        """`stopping` says whether a task that is killed is to be handed back: the process stops."""
        self._app = app
        self._stopping = stopping
        self._timer = timer

    def run(self, delivery: Delivery, task: Task, function: TaskFunction[..., Any]) -> Outcome:
        """Run the task. What it raised, whatever that is, is the outcome."""
        running_task.set(task)
        timer = self._timer(task.timeout, self._app.config.timeout_grace) if task.timeout is not None else None
        try:
            if timer is None or task.timeout is None:
                result = run_task(delivery, self._app, function, task.payload)
            else:
                timer.start()
                try:
                    result = run_task(delivery, self._app, function, task.payload)
                finally:
                    timer.close()
                if timer.expired:  # the task swallowed it: it did not do its work in time
                    raise TimedOut(task.timeout)
        except gevent.GreenletExit as error:
            if self._stopping():
                return Released()
            return self.failed(task, function, error)
        except SlotTimeout as error:
            if error is not timer or task.timeout is None:
                return self.failed(task, function, error)
            timer.close()  # where a signal raises it, that may be just before it was closed
            return self.failed(task, function, TimedOut(task.timeout).with_traceback(error.__traceback__))
        except BaseException as error:  # SystemExit and KeyboardInterrupt would end the worker process
            return self.failed(task, function, error)
        return self._completed(function, result)

    def failed(self, task: Task, function: TaskFunction[..., Any], error: BaseException) -> Outcome:
        """Return the outcome of a run that raised, and log it."""
        try:
            outcome = failed(task, error, function.policy)
        except BaseException as broken:  # a backoff function of the user's
            if self._stopping() and isinstance(broken, gevent.GreenletExit):
                return Released()
            log.exception("failure could not be judged", extra={"error": describe(error)})
            return Dead("exhausted", f"{describe(error)}; and its retry could not be decided: {describe(broken)}")
        expected = isinstance(error, TaskControl)
        log.log(
            logging.INFO if expected else logging.WARNING,
            "task failed" if not expected else "task steered",
            extra={"error": describe(error), "outcome": type(outcome).__name__},
        )
        return outcome

    def _completed(self, function: TaskFunction[..., Any], result: Any) -> Outcome:
        if not function.keep_result:
            return COMPLETED
        try:
            raw: str = ujson.dumps(result, ensure_ascii=False, escape_forward_slashes=False, allow_nan=False)
            return Completed(raw.encode(), int(self._app.config.result_ttl * 1000))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            # Not what the error says: it quotes the value.
            what = {"error": type(error).__name__, "result": type(result).__name__}
            log.warning("result is not JSON and is not kept", extra=what)
            return COMPLETED


def run_task(delivery: Delivery, app: Buraq, function: TaskFunction[..., Any], payload: dict[str, Any]) -> Any:
    """Call the task function. The name of this function and of `delivery` are what the lease thread looks for."""
    if not app.contexts:
        return function.function(**payload)
    with app.context():
        return function.function(**payload)
