"""A task function: what `@queue.task` makes of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from buraq.backend import Backend
from buraq.envelope import Envelope
from buraq.handle import TaskHandle
from buraq.keys import DEFAULT_QUEUE
from buraq.options import Binder, Options
from buraq.retry import Backoff, Policy, seconds

P = ParamSpec("P")
R = TypeVar("R")


class Home(Protocol):
    """What a task function needs of the queue that it is registered with."""

    @property
    def backend(self) -> Backend: ...

    def send(self, envelope: Envelope, payload: dict[str, Any]) -> TaskHandle: ...

    def send_many(self, envelope: Envelope, payloads: list[dict[str, Any]]) -> list[TaskHandle]: ...


class TaskFunction(Generic[P, R]):
    """A function registered under a task type. Calling it just calls it; `enqueue` has a worker call it."""

    def __init__(
        self,
        app: Home,
        function: Callable[P, R],
        name: str,
        binder: Binder,
        defaults: Options,
        retry_on: tuple[type[BaseException], ...],
        dont_retry_on: tuple[type[BaseException], ...],
        backoff: Backoff | Callable[[int], float] | None,
        concurrency: int | None,
        keep_result: bool,
        pool: str | None = None,
    ) -> None:
        self.app = app
        self.function = function
        self.name = name
        self.concurrency = concurrency
        self.keep_result = keep_result
        self.pool = pool
        self.plain = concurrency is None and pool is None  # most are, and a worker asks for each task
        self._defaults = defaults
        self._retry_on = retry_on
        self._dont_retry_on = dont_retry_on
        self._backoff = backoff
        self._binder = binder
        self._envelope: Envelope | None = None  # the last one
        self.__name__ = getattr(function, "__name__", name)
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function here and now."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<TaskFunction {self.name!r}>"

    @property
    def queue(self) -> str:
        """Name of the queue that its tasks go to."""
        return self._defaults.queue or DEFAULT_QUEUE

    @property
    def timeout(self) -> float | None:
        """Seconds that a task of this type may run when its enqueuer said nothing; None for no limit."""
        return None if self._defaults.timeout is None else seconds(self._defaults.timeout)

    @property
    def policy(self) -> Policy:
        """Which failures are retried, and when."""
        config = self.app.backend.config
        backoff = self._backoff or Backoff(config.retry_backoff, config.retry_backoff_max)
        return Policy(self._retry_on, self._dont_retry_on, backoff)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle:
        """Have a worker call the function with these arguments; return when the server has the task.

        Raises `TypeError` when the function could not be called with them, `PayloadError` when one of them is not
        JSON: nothing is sent then. Raises `QueueUnavailable` when the server does not answer within ENQUEUE_TIMEOUT:
        the task may have been accepted, and enqueueing again with the same id is safe. Raises `EnqueueError` when the
        server refuses it, and `ConfigError` for a setting that is wrong.
        """
        return self.app.send(self._envelope_now(), self._binder.bind(args, kwargs))

    def send(self, payload: Mapping[str, Any]) -> TaskHandle:
        """Enqueue with the arguments in a mapping. Raises as `enqueue` does."""
        return self.app.send(self._envelope_now(), self._binder.check(payload))

    def _envelope_now(self) -> Envelope:
        backend = self.app.backend
        if self._envelope is None or self._envelope.backend is not backend:
            self._envelope = Envelope(backend, self.name, self._defaults)
        return self._envelope

    def options(
        self,
        *,
        delay: float | timedelta | None = None,
        at: datetime | float | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
        group: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        max_retries: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> TaskFunction[P, R]:
        """Return the same task function with other options: `f.options(delay=60).enqueue(…)`.

        `delay` and `timeout` are seconds or a timedelta, `at` is an aware datetime or unix seconds. Raises `ValueError`
        naming the option that cannot be.
        """
        return self.with_options({name: value for name, value in locals().items() if name != "self"})

    def with_options(self, given: Mapping[str, Any]) -> TaskFunction[P, R]:
        """Return the same task function with other options; None is one that was not given. Raises as `options`."""
        other = object.__new__(TaskFunction)
        other.__dict__.update(self.__dict__)
        other._defaults = self._defaults.but(**{name: value for name, value in given.items() if value is not None})
        other._envelope = None
        return other

    def enqueue_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[TaskHandle]:
        """Have a worker call the function once for each mapping of arguments, and return the handles in that order.

        All are checked before any is sent. Raises as `enqueue` does, and `ValueError` when the options name an id or an
        idempotency key. When the server fails midway, `QueueUnavailable` names the tasks that may not have been
        accepted, and all before them were; in a cluster it names what was not sent as well, and all others were.
        `EnqueueError` names one that the server refused: what was sent with it or before it may be accepted, the rest
        was not sent.
        """
        if self._defaults.id is not None or self._defaults.idempotency_key is not None:
            raise ValueError("enqueue_many() sends many tasks: they cannot all have one id or idempotency_key")
        checked = [self._binder.check(payload) for payload in payloads]
        return self.app.send_many(self._envelope_now(), checked)
