"""One request to /api/v1: what it asks for, checked, and who asks."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from flask import Request, Response
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException, NotFound

from buraq.app import Buraq
from buraq.audit import Action, Audit
from buraq.backend import Backend
from buraq.connection import Unreachable
from buraq.inspector import Broken, say_broken
from buraq.keys import DEFAULT_QUEUE
from buraq.web import bodies, contract
from buraq.web.access import Access, client_address

if TYPE_CHECKING:
    from buraq.web.state import ApiState

_log = logging.getLogger("buraq.web")


class Call:
    """A request, as a view sees it. `path` are the variable parts of its path, `query` its parameters, typed."""

    def __init__(
        self,
        request: Request,
        backend: Backend,
        state: ApiState,
        access: Access,
        operation: Mapping[str, Any],
        path: dict[str, str],
        queue: Buraq | None = None,
        hosted: bool = False,
    ) -> None:
        """`queue` is what tasks are enqueued with; `hosted` says that the app around us decides who may.

        Raises 422 naming a query parameter that is wrong, or that there is not.
        """
        self._queue = queue
        self.request = request
        self.backend = backend
        self.state = state
        self.access = access
        self.path = path
        self.hosted = hosted
        self.broken: Broken = {}  # the keys that the answer does without
        self._operation = operation
        try:  # whether the view wants them or not: what is misspelt is not to be ignored
            self.query = contract.parameters(operation, request.args)
        except contract.Unfit as unfit:
            refuse(422, str(unfit), unfit.field)

    @property
    def prefix(self) -> str:
        """Where the blueprint is, as browsers see it; for a request without variable parts in its path."""
        full = self.request.script_root + self.request.path
        return full[: full.rindex("/api/")] or "/"

    def note(self, action: str, *, who: str = "", **more: Any) -> None:
        """Write an action that has been done into the audit list; where that fails, into the log."""
        address = client_address(self.request, self.backend.config.trusted_proxies)
        write_quietly(self.backend, Action(who or self.access.who, action, address, **more))

    @cached_property
    def body(self) -> Any:
        """The body. Raises 422 naming the member that is wrong, 413 for one that is too long."""
        raw = self._raw_body()
        required = self._operation["requestBody"].get("required", False)
        if not raw and not required:
            return {}
        if not raw:
            refuse(422, "the body is empty: it has to be JSON", "body")
        try:
            value = bodies.read(raw)
        except (ValueError, RecursionError):
            refuse(422, "the body is no JSON", "body")
        except contract.Unfit as unfit:
            refuse(422, str(unfit), unfit.field)
        try:
            return contract.body(self._operation, value)
        except contract.Unfit as unfit:
            refuse(422, str(unfit), unfit.field)

    def _raw_body(self) -> bytes:
        most = 2 * self.backend.config.max_payload_bytes + 65_536  # JSON may be written at twice its length
        length = self.request.content_length
        if length is not None and length > most:
            refuse(413, f"the body has {length:,} bytes, at most {most:,} are read", "body")
        raw = self.request.stream.read(most + 1) if length is None else self.request.get_data()
        if len(raw) > most:
            refuse(413, f"the body has more than {most:,} bytes", "body")
        return raw

    @cached_property
    def queues(self) -> list[str]:
        """The names of all queues, the default one first."""
        return self.state.inspector.queues()

    @cached_property
    def known_queues(self) -> list[str]:
        """The names of all queues that are known, also where the key with their names was overwritten."""
        return self.state.inspector.queues(self.broken)

    def has_queue(self, name: str) -> bool:
        """Whether there is a queue of that name. Raises what the server answers where that cannot be told."""
        return name == DEFAULT_QUEUE or name in self.known_queues or name in self.queues

    @property
    def lacking(self) -> Broken | None:
        """Where to note what the answer does without; None where one queue is asked for: what it holds is not to be
        guessed.
        """
        return None if "queue" in self.query else self.broken

    def left_out(self) -> dict[str, list[str]]:
        """Return the member that names the keys that the answer does without, where there are any, and log them."""
        say_broken(self.broken)
        keys = sorted({key for keys in self.broken.values() for key in keys})
        return {"broken": keys} if keys else {}

    @property
    def asked_queues(self) -> list[str]:
        """The queue that the query asks for, or all that are known. Raises 422 for one that there is not."""
        asked = self.query.get("queue")
        if asked is None:
            return self.known_queues
        if not self.has_queue(asked):
            refuse(422, f"queue={asked}: there is none of that name", "queue")
        return [asked]

    @property
    def app(self) -> Buraq:
        """What tasks are enqueued with."""
        if self._queue is None:
            raise RuntimeError("the API was made without a queue")
        return self._queue

    def known_queue(self, name: str) -> str:
        """Return the name of a queue that there is. Raises 404."""
        if not self.has_queue(name):
            raise NotFound(f"there is no queue {name}")
        return name


def write_quietly(backend: Backend, action: Action) -> None:
    """Write into the audit list what has been done and cannot fail any more; where that fails, into the log."""
    try:
        Audit(backend).write(action)
    except (RedisError, *Unreachable) as error:
        said = {name: value for name, value in asdict(action).items() if value}
        _log.warning("action is not in the audit list", extra={**said, "error": str(error)})


def refuse(status: int, said: str, field: str | None = None) -> NoReturn:
    """End a request with an error that names the field that is wrong."""
    raise HTTPException(response=answer({"error": said, **({"field": field} if field else {})}, status))


def answer(value: Any, status: int = 200) -> Response:
    """Return a value as JSON. Whole numbers of any size are exact; what is no JSON number is null."""
    return Response(dumps(value), status, content_type="application/json")


def dumps(value: Any) -> str:
    """Return a value as JSON."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def at(unix_ms: float | None) -> str | None:
    """Return a time as RFC 3339; None for one that is not known or that no calendar has."""
    if unix_ms is None:
        return None
    try:
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
