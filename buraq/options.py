"""How one task is to be run: the options of an enqueue, and the binding of its arguments to names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from buraq.keys import PRIORITIES, check_queue_name
from buraq.retry import seconds


@dataclass(frozen=True, slots=True)
class Options:
    """What an enqueue can say of a task. None means: as the task function, or else the setting, has it.

    `delay` and `timeout` are seconds or a timedelta, `at` is an aware datetime or unix seconds. In a cluster all tasks
    of a `group` go to one shard.
    """

    queue: str | None = None
    priority: str | None = None
    max_retries: int | None = None
    timeout: float | timedelta | None = None
    delay: float | timedelta | None = None
    at: datetime | float | None = None
    id: str | None = None
    idempotency_key: str | None = None
    group: str | None = None

    def but(self, **changes: Any) -> Options:
        """Return these options with some changed. Raises `TypeError` or `ValueError` naming the wrong one."""
        changed = replace(self, **changes)
        changed.check()
        return changed

    def check(self) -> None:
        """Raise `TypeError` or `ValueError` naming the option that cannot be."""
        if self.queue is not None:
            if not isinstance(self.queue, str):
                raise ValueError(f"queue={self.queue!r}: it is a text, the name of a queue")
            check_queue_name(self.queue)
        if self.priority is not None and self.priority not in tuple(PRIORITIES):
            raise ValueError(f"priority={self.priority!r}: it is high, normal or low")
        if self.max_retries is not None and (type(self.max_retries) is not int or not 0 <= self.max_retries < 1 << 31):
            raise ValueError(f"max_retries={self.max_retries!r}: it is a whole number, 0 or more")
        # It travels as nanoseconds in 64 bits.
        if self.timeout is not None and not 1e-9 <= given_seconds("timeout", self.timeout) < 9e9:
            raise ValueError(f"timeout={self.timeout!r}: it is seconds or a timedelta, more than 0")
        if self.delay is not None and self.at is not None:
            raise ValueError("delay= and at= were both given: a task can wait for one time only")
        for name in ("id", "idempotency_key", "group"):
            text = getattr(self, name)
            if text is not None and (type(text) is not str or not 0 < len(text) <= 512):
                raise ValueError(f"{name}={text!r}: it is a text of 1 to 512 characters")
        self.due()

    def due(self) -> str:
        """Return the due time as the enqueue script takes it: a delay counts from the server's now."""
        if self.delay is not None:
            wait = given_seconds("delay", self.delay)
            if not 0 <= wait < 1e11:
                raise ValueError(f"delay={self.delay!r}: it is seconds or a timedelta, 0 or more")
            return f"+{math.ceil(wait * 1000)}" if wait else ""
        if self.at is None:
            return ""
        if isinstance(self.at, datetime):
            if self.at.tzinfo is None:
                raise ValueError(f"at={self.at!r} has no time zone: use datetime.now(timezone.utc) and the like")
            moment = self.at.timestamp()
        else:
            moment = given_seconds("at", self.at)
        if not 0 <= moment < 1e11:
            raise ValueError(f"at={self.at!r}: it is an aware datetime, or unix time in seconds")
        return str(math.ceil(moment * 1000))


def given_seconds(name: str, value: Any) -> float:
    """Return seconds or a timedelta as seconds. Raises `ValueError` naming the option when it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta):
        raise ValueError(f"{name}={value!r}: it is a number of seconds")
    return seconds(value)


class Binder:
    """Binds the arguments of a call to the names of a function's parameters, because the payload has names."""

    def __init__(self, function: Callable[..., Any]) -> None:
        if not callable(function) or not hasattr(function, "__qualname__"):
            raise TypeError(f"a task is a function: {function!r} is none. Wrap what you mean in a def of its own")
        where = self.where = f"{function.__module__}.{function.__qualname__}"
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{where} is async: a slot runs plain functions, an event loop in one would stop all others. "
                "Write it as def; blocking calls are cooperative in a worker"
            )
        if inspect.isgeneratorfunction(function):
            raise TypeError(f"{where} is a generator: calling it runs nothing. Return a list, or loop inside")
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
                raise TypeError(f"{where}: {parameter} has no name in the payload. Name it, without * and /")
        self.open = any(p.kind is p.VAR_KEYWORD for p in parameters)
        named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
        self.names = frozenset(p.name for p in named)
        self.required = frozenset(p.name for p in named if p.default is p.empty)
        self.positional = tuple(p.name for p in named if p.kind is p.POSITIONAL_OR_KEYWORD)
        self._passed: set[tuple[Any, ...]] = set()  # shapes of calls that were found to fit

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the payload for a call. Raises `TypeError` as the call itself would."""
        payload = dict(zip(self.positional, args, strict=False))
        payload.update(kwargs)
        # Whether a call fits depends on how many arguments it has, and on the names of the others.
        shape = (len(args), *kwargs)
        if shape in self._passed:
            return payload
        if len(args) > len(self.positional) or len(payload) != len(args) + len(kwargs):
            self.signature.bind(*args, **kwargs)
        payload = self.check(payload)
        if len(self._passed) < 1000:  # a function that takes any keyword has no end of shapes
            self._passed.add(shape)
        return payload

    def check(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return `payload` as a dict. Raises `TypeError` when the function cannot be called with it."""
        if not self.open and not payload.keys() <= self.names:
            [stranger, *_] = payload.keys() - self.names
            known = ", ".join(self.signature.parameters) or "none"
            raise TypeError(f"{self.where} has no argument {stranger!r}; it has {known}")
        if not self.required <= payload.keys():
            self.signature.bind(**payload)
        return texts(payload)


def texts(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return `payload` as a dict. Raises `TypeError` when a name in it is not a text: JSON would make it one."""
    for name in payload:
        if not isinstance(name, str):
            raise TypeError(f"the payload has the name {name!r}, which is not a text: use str()")
    return dict(payload)
