"""What a user constructs: a `Buraq`, the task functions registered with it, and handles of what was enqueued."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import Any, Generic, ParamSpec, TypeVar, overload

import redis

from buraq.backend import Backend
from buraq.broker import Item, Verdict
from buraq.config import Config
from buraq.errors import ConfigError, DuplicateTaskType, EnqueueError
from buraq.handle import TaskHandle
from buraq.keys import DEFAULT_QUEUE, NORMAL, PRIORITIES
from buraq.options import Binder, Options, given_seconds, texts
from buraq.producer import ROUND
from buraq.retry import Backoff, Policy, seconds
from buraq.task import Ids, encode, timestamp

P = ParamSpec("P")
R = TypeVar("R")

_OF_ALL = {"queue", "priority", "max_retries", "timeout"}  # options that all tasks of a task function can share

_ids = Ids()
os.register_at_fork(after_in_child=_ids.reseed)


class TaskFunction(Generic[P, R]):
    """A function registered under a task type. Calling it just calls it; `enqueue` has a worker call it."""

    def __init__(
        self,
        app: Buraq,
        function: Callable[P, R],
        name: str,
        binder: Binder,
        defaults: Options,
        retry_on: tuple[type[BaseException], ...],
        dont_retry_on: tuple[type[BaseException], ...],
        backoff: Backoff | Callable[[int], float] | None,
        concurrency: int | None,
        keep_result: bool,
    ) -> None:
        self.app = app
        self.function = function
        self.name = name
        self.concurrency = concurrency
        self.keep_result = keep_result
        self._defaults = defaults
        self._retry_on = retry_on
        self._dont_retry_on = dont_retry_on
        self._backoff = backoff
        self._binder = binder
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
        config = self.app.config
        backoff = self._backoff or Backoff(config.retry_backoff, config.retry_backoff_max)
        return Policy(self._retry_on, self._dont_retry_on, backoff)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> TaskHandle:
        """Have a worker call the function with these arguments; return when the server has the task.

        Raises `TypeError` when the function could not be called with them, `PayloadError` when one of them is not
        JSON: nothing is sent then. Raises `QueueUnavailable` when the server does not answer within ENQUEUE_TIMEOUT:
        the task may have been accepted, and enqueueing again with the same id is safe. Raises `EnqueueError` when the
        server refuses it.
        """
        return self.app._enqueue(self.name, self._binder.bind(args, kwargs), self._defaults)

    def options(
        self,
        *,
        delay: float | timedelta | None = None,
        at: datetime | float | None = None,
        id: str | None = None,
        idempotency_key: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        max_retries: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> TaskFunction[P, R]:
        """Return the same task function with other options: `f.options(delay=60).enqueue(…)`.

        `delay` and `timeout` are seconds or a timedelta, `at` is an aware datetime or unix seconds. Raises `ValueError`
        naming the option that cannot be.
        """
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        other = object.__new__(TaskFunction)
        other.__dict__.update(self.__dict__)
        other._defaults = self._defaults.but(**given)
        return other

    def enqueue_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[TaskHandle]:
        """Have a worker call the function once for each mapping of arguments, and return the handles in that order.

        All are checked before any is sent. Raises as `enqueue` does; when the server fails midway, `QueueUnavailable`
        names the tasks that may not have been accepted, and all before them were.
        """
        checked = [self._binder.check(payload) for payload in payloads]
        return self.app._enqueue_many(self.name, checked, self._defaults)


class Buraq:
    """A task queue: registers task functions and enqueues tasks. It connects when it is first used.

    `Buraq()` takes its settings from the environment, `Buraq(redis_url=…, …)` overrides some, `Buraq(client=…)` uses
    the server of a redis-py client. In a Flask app: `queue.init_app(app)`.
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
        `queue.use(client=fakeredis.FakeRedis())`. What was sent before is where it was sent.
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
    ) -> Callable[[Callable[P, R]], TaskFunction[P, R]]: ...

    def task(self, function: Any = None, /, **options: Any) -> Any:
        """Register a function under a task type: `@queue.task` or `@queue.task(name=…, queue=…, …)`.

        `name` defaults to the function's. `timeout` is seconds or a timedelta; `max_retries=n` means n + 1 attempts;
        `backoff` is a `Backoff`, seconds between attempts, or a function of the attempt's number; at most
        `concurrency` of them run at once in a worker process; `keep_result` keeps what it returns for RESULT_TTL.
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
        **options: Any,
    ) -> TaskFunction[..., Any]:
        if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
            raise ValueError(f"concurrency={concurrency!r}: it is a whole number, 1 or more")
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
        queue: str | None = None,
        priority: str | None = None,
        max_retries: int | None = None,
        timeout: float | timedelta | None = None,
    ) -> TaskHandle:
        """Enqueue a task by its type, without its function: `queue.enqueue("email", {"user_id": 1})`.

        Where the type is registered here, its options and its signature hold. Raises as `TaskFunction.enqueue` does.
        """
        given = {
            key: value
            for key, value in locals().items()
            if key not in ("self", "task_type", "payload") and value is not None
        }
        if type(task_type) is not str or not task_type:
            raise ValueError(f"task_type={task_type!r}: it is a text, the name of a task function")
        known = self.registry.get(task_type)
        options = (known._defaults if known else Options()).but(**given)
        check = known._binder.check if known else texts
        return self._enqueue(task_type, check(payload or {}), options)

    def _item(self, backend: Backend, task_type: str, payload: dict[str, Any], options: Options) -> Item:
        config = backend.config
        priority = options.priority or "normal"
        members: dict[str, Any] = {
            "id": options.id or _ids.new(),
            "type": task_type,
            "payload": payload,
            "created_at": timestamp(),
            "max_retries": config.max_retries if options.max_retries is None else options.max_retries,
            "current_retries": 0,
        }
        if options.idempotency_key:
            members["idempotency_key"] = options.idempotency_key
        if priority != "normal":
            members["priority"] = priority
        timeout = options.timeout if options.timeout is not None else config.task_timeout
        if timeout is not None:
            members["timeout"] = round(seconds(timeout) * 1e9)
        letter = PRIORITIES[priority] if config.enable_priority else NORMAL
        raw = encode(members, config.max_payload_bytes)
        return Item(members["id"], letter, options.due(), options.idempotency_key or "", raw)

    def _enqueue(self, task_type: str, payload: dict[str, Any], options: Options) -> TaskHandle:
        backend = self.backend
        item = self._item(backend, task_type, payload, options)
        broker = backend.broker(options.queue or DEFAULT_QUEUE)
        verdicts = backend.producer.send(broker, (item,))
        return self._handle(backend, task_type, item, verdicts.get(0), broker.keys.name)

    def _handle(self, backend: Backend, task_type: str, item: Item, verdict: Verdict | None, queue: str) -> TaskHandle:
        if verdict is None:
            if self.on_enqueued is not None:
                self.on_enqueued(task_type, 1)
            return TaskHandle(item.id, task_type, queue, True, backend)
        if verdict.word == "REFUSED":
            raise EnqueueError(item.id, verdict.detail)
        return TaskHandle(verdict.detail or item.id, task_type, queue, False, backend)

    def _enqueue_many(self, task_type: str, payloads: list[dict[str, Any]], options: Options) -> list[TaskHandle]:
        if options.id is not None or options.idempotency_key is not None:
            raise ValueError("enqueue_many() sends many tasks: they cannot all have one id or idempotency_key")
        backend = self.backend
        items = [self._item(backend, task_type, payload, options) for payload in payloads]
        broker = backend.broker(options.queue or DEFAULT_QUEUE)
        handles: list[TaskHandle] = []
        for start in range(0, len(items), ROUND):
            chunk = items[start : start + ROUND]
            verdicts = backend.producer.send(broker, chunk)
            handles += [
                self._handle(backend, task_type, item, verdicts.get(n), broker.keys.name)
                for n, item in enumerate(chunk)
            ]
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
