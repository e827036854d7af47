"""What a user constructs: a `Buraq`, the task functions registered with it, and handles of what was enqueued."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, ParamSpec, TypeVar, overload

import redis

from buraq.backend import Backend
from buraq.broker import Item, Verdict
from buraq.config import Config
from buraq.envelope import Envelope
from buraq.errors import ConfigError, DuplicateTaskType, EnqueueError
from buraq.function import TaskFunction
from buraq.handle import TaskHandle
from buraq.options import Binder, Options, given_seconds, texts
from buraq.retry import Backoff

P = ParamSpec("P")
R = TypeVar("R")

_OF_ALL = {"queue", "priority", "max_retries", "timeout"}  # options that all tasks of a task function can share


class Buraq:
    """A task queue: registers task functions and enqueues tasks. It connects when it is first used.

    `Buraq()` takes its settings from the environment, `Buraq(redis_url=…, …)` overrides some, `Buraq(client=…)` uses
    the server of a redis-py client. In a Flask app: `queue.init_app(app)`. Settings are read at the first use, too: a
    wrong one raises `ConfigError` then, an unknown keyword `TypeError`.
    """

    def __init__(self, config: Config | None = None, *, client: redis.Redis | None = None, **settings: Any) -> None:
        self.registry: dict[str, TaskFunction[..., Any]] = {}
        self.contexts: list[Callable[[], AbstractContextManager[Any]]] = []
        self.on_enqueued: Callable[[str, int], None] | None = None  # task type and how many; counts them
        self._settings = settings
        self._client = client
        self._backend = Backend(config, client) if config is not None else None
        self._flask = False

    # -- settings and connections

    @property
    def backend(self) -> Backend:
        """Settings, server and producer in force here: those of the current Flask app, else the queue's own."""
        if self._flask:
            flask = sys.modules["flask"]
            if flask.has_app_context():
                extension = flask.current_app.extensions.get("buraq")
                if extension is not None and extension.queue is self:
                    backend: Backend = extension.backend
                    return backend
        if self._backend is None:
            self._backend = Backend(Config.from_env(**self._settings), self._client)
        return self._backend

    @property
    def config(self) -> Config:
        """The settings in force. Raises `ConfigError` naming the variable that is wrong."""
        return self.backend.config

    def use(self, config: Config | None = None, *, client: redis.Redis | None = None) -> None:
        """Take these settings, or the server of this client, from now on.

        For the command line, and for tests of a program whose queue is made when its module is imported:
        `queue.use(client=fakeredis.FakeRedis())`. What was sent before is where it was sent. Raises `ConfigError` for a
        client where the settings ask for a cluster.
        """
        self._client = client or self._client
        self._backend = Backend(config or self.config, self._client)

    def init_app(self, app: Any) -> None:
        """Join a Flask app: settings from its `BURAQ_…` config, state in `app.extensions["buraq"]`.

        Each task runs in a fresh context of the app. Raises `ConfigError` when the app has a queue already, or a
        setting is wrong.
        """
        if "buraq" in app.extensions:
            raise ConfigError("app.extensions['buraq']", app.name, "init_app() was called twice for this app")
        own = {key: value for key, value in app.config.items() if key.startswith("BURAQ_")}
        config = Config.from_mapping(own, env=os.environ, **self._settings)
        backend = Backend(config, self._client)
        app.extensions["buraq"] = FlaskExtension(self, backend, app)
        self._flask = True
        if self._backend is None:
            self._backend = backend
        self.contexts.append(app.app_context)

    @contextmanager
    def context(self) -> Iterator[None]:
        """What surrounds each task: a fresh context of each Flask app that was joined."""
        with ExitStack() as stack:
            for enter in self.contexts:
                stack.enter_context(enter())
            yield

    # -- registering

    @overload
    def task(self, function: Callable[P, R], /) -> TaskFunction[P, R]: ...

    @overload
    def task(
        self,
        /,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        max_retries: int | None = None,
        timeout: float | timedelta | None = None,
        retry_on: tuple[type[BaseException], ...] | type[BaseException] | None = None,
        dont_retry_on: tuple[type[BaseException], ...] | type[BaseException] = (),
        backoff: Backoff | float | timedelta | Callable[[int], float] | None = None,
        concurrency: int | None = None,
        keep_result: bool = False,
        pool: Literal["process"] | None = None,
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...

    def task(self, function: Any = None, /, **options: Any) -> Any:
        """Register a function under a task type: `@queue.task` or `@queue.task(name=…, queue=…, …)`.

        `name` defaults to the function's, `queue` to `default`, `priority` (high, normal or low) to normal. `timeout`
        is seconds or a timedelta; `max_retries=n` means n + 1 attempts, and only exceptions of `retry_on` that are none
        of `dont_retry_on` are worth another one; `backoff` is a `Backoff`, seconds between attempts, or a function from
        the number of the attempt that failed (from 1) to seconds; at most `concurrency` of them run at once in a worker
        process; `keep_result` keeps what it returns for RESULT_TTL; `pool="process"` is for what computes: it runs in
        one of CPU_PROCESSES child processes of the worker.

        Raises `DuplicateTaskType` when the name is taken, `TypeError` when the function cannot be a task,
        `ValueError` naming a wrong option.
        """
        if function is not None:
            return self._register(function, **options)
        return lambda function: self._register(function, **options)

    def _register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        retry_on: Any = None,
        dont_retry_on: Any = (),
        backoff: Any = None,
        concurrency: int | None = None,
        keep_result: bool = False,
        pool: Literal["process"] | None = None,
        **options: Any,
    ) -> TaskFunction[..., Any]:
        if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
            raise ValueError(f"concurrency={concurrency!r}: it is a whole number, 1 or more")
        if pool not in (None, "process"):
            raise ValueError(f'pool={pool!r}: it is "process", or left out')
        if name is not None and (type(name) is not str or not name):
            raise ValueError(f"name={name!r}: it is a text, the task type")
        wrong = options.keys() - _OF_ALL
        if wrong:
            raise TypeError(
                f"task() takes no {min(wrong)}=: an option of one enqueue goes into f.options(…).enqueue(…)"
            )
        binder = Binder(function)
        name = name or function.__name__
        taken = self.registry.get(name)
        if taken is not None:
            raise DuplicateTaskType(name, _where(taken.function), _where(function))
        task: TaskFunction[..., Any] = TaskFunction(
            self,
            function,
            name,
            binder,
            Options().but(**options),
            _classes(BaseException if retry_on is None else retry_on),
            _classes(dont_retry_on),
            _backoff(backoff),
            concurrency,
            keep_result,
            pool,
        )
        self.registry[name] = task
        return task

    # -- enqueueing

    def enqueue(
        self,
        task_type: str,
        payload: Mapping[str, Any] | None = None,
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
    ) -> TaskHandle:
        """Enqueue a task by its type, without its function: `queue.enqueue("email", {"user_id": 1})`.

        `delay` and `timeout` are seconds or a timedelta, `at` is an aware datetime or unix seconds. Where the type is
        registered here, its options and its signature hold. Raises as `TaskFunction.enqueue` does, and `ValueError`
        naming an option that cannot be: nothing is sent then.
        """
        given = {
            key: value
            for key, value in locals().items()
            if key not in ("self", "task_type", "payload") and value is not None
        }
        if type(task_type) is not str or not task_type:
            raise ValueError(f"task_type={task_type!r}: it is a text, the name of a task function")
        known = self.registry.get(task_type)
        if known is not None:
            return known.with_options(given).send(payload or {})
        envelope = Envelope(self.backend, task_type, Options().but(**given))
        return self.send(envelope, texts(payload or {}))

    def send(self, envelope: Envelope, payload: dict[str, Any]) -> TaskHandle:
        """Send one task, whose payload was checked. For task functions."""
        item = envelope.item(payload)
        if envelope.shard is not None:
            verdicts = envelope.shard.producer.send(envelope.broker, (item,))
        else:
            verdicts = envelope.backend.send(envelope.queue, (item,))
        return self._handles(envelope, (item,), verdicts)[0]

    def _handles(
        self, envelope: Envelope, items: Sequence[Item], verdicts: dict[int, Verdict] | None
    ) -> list[TaskHandle]:
        """Return the handles of items that were sent, and count what was accepted. Raises `EnqueueError`."""
        task_type, queue, backend = envelope.task_type, envelope.queue, envelope.backend
        accepted = len(items) - len(verdicts or ())
        if accepted and self.on_enqueued is not None:
            self.on_enqueued(task_type, accepted)
        handles = [TaskHandle(item.id, task_type, queue, True, backend, item.place) for item in items]
        for n, verdict in verdicts.items() if verdicts else ():
            if verdict.word == "REFUSED":
                raise EnqueueError(items[n].id, verdict.detail)
            handles[n] = TaskHandle(verdict.detail or items[n].id, task_type, queue, False, backend, items[n].place)
        return handles

    def send_many(self, envelope: Envelope, payloads: list[dict[str, Any]]) -> list[TaskHandle]:
        """Send many tasks, whose payloads were checked: all are written before any is sent. For task functions."""
        items, backend = envelope.items(payloads), envelope.backend
        handles: list[TaskHandle] = []
        for chunk in backend.chunks(items):
            handles += self._handles(envelope, chunk, backend.send(envelope.queue, chunk))
        return handles


class FlaskExtension:
    """What `app.extensions["buraq"]` holds: the queue, the app's own settings and connections, and the app."""

    def __init__(self, queue: Buraq, backend: Backend, app: Any) -> None:
        self.queue = queue
        self.backend = backend
        self.app = app


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _classes(value: Any) -> tuple[type[BaseException], ...]:
    classes = value if isinstance(value, tuple) else (value,)
    for one in classes:
        if not (isinstance(one, type) and issubclass(one, BaseException)):
            raise ValueError(f"retry_on and dont_retry_on take exception classes, not {one!r}")
    return classes


def _backoff(value: Any) -> Backoff | Callable[[int], float] | None:
    if value is None or isinstance(value, Backoff):
        return value
    if callable(value):
        own: Callable[[int], float] = value
        return own
    fixed = given_seconds("backoff", value)
    if not 0 <= fixed < math.inf:
        raise ValueError(f"backoff={value!r}: it is seconds or a timedelta, 0 or more")
    return lambda attempt: fixed
