"""Connections to the server: dedicated ones for what is fast, pooled ones for what is rare, no hidden retries on
either.

redis-py resends a command whose reply was lost, up to ten times, so that one `xadd` adds several entries. Here
nothing is sent twice unless the caller says so.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from buraq.lookup import Directory, NotHere, looking_up, not_here
from buraq.replies import checked
from buraq.scripts import Argument, Call
from buraq.wire import Wire

# The server is away, or not yet itself: wait and ask again. (LOADING and MASTERDOWN arrive as ConnectionError.)
Unreachable = (RedisConnectionError, RedisTimeoutError, OSError)

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0
_DISTRUST = "CERTIFICATE_VERIFY_FAILED"  # how OpenSSL says that nobody we know has signed the server's certificate
_TRUST = (
    "name the authority that signed the server's certificate, rediss://…?ssl_ca_certs=/path/to/ca.crt, or trust every "
    "certificate with REDIS_SSL_CERT_REQS=none"
)
_LOOKED_FOR = 1.0  # seconds for which a shared link asks again where its server is
_PAUSE = 0.05  # seconds between two such questions


class Link:
    """One dedicated connection, for one user at a time. It connects when it is first used, and again after a failure.

    A pooled connection is checked on every checkout, which costs five times the command itself under gevent.
    """

    def __init__(self, server: Server, answer_timeout: float = ANSWER_TIMEOUT) -> None:
        self._server = server
        self._answer_timeout = answer_timeout
        self._connection: Any = None
        self._wire: Wire | None = None  # of the open connection, where it has one
        self._limit = answer_timeout  # in force on the connection
        self._pid = 0  # of the process that opened it
        self.deadline = math.inf  # by time.monotonic(): no answer is waited for beyond it

    def _open(self) -> Any:
        """Return the connection, connected, with its timeouts cut to the deadline."""
        if self._connection is not None and self._pid != os.getpid():
            self._connection = self._wire = None  # it is still the parent's
        if self._connection is None:
            self._limit = self._time_left()
            self._pid = os.getpid()
            self._connection = self._server.connection(self._limit)
            try:
                with self._in_time():
                    self._connection.connect()
            except BaseException as error:
                self.close()
                if _DISTRUST in str(error):
                    raise RedisConnectionError(f"{str(error).rstrip('.')}: {_TRUST}") from error
                raise
            self._wire = Wire.over(self._connection)
        limit = self._time_left()
        if limit != self._limit:
            self._limit = limit
            self._connection.socket_timeout = self._connection.socket_connect_timeout = limit
            sock = self._connection._sock
            if isinstance(sock, socket.socket):  # fakeredis has none
                sock.settimeout(limit)
        return self._connection

    def _time_left(self) -> float:
        if self.deadline == math.inf:
            return self._answer_timeout
        return max(0.001, min(self._answer_timeout, self.deadline - time.monotonic()))

    def _in_time(self) -> AbstractContextManager[object]:
        """Have what is done inside break off at the deadline, under gevent.

        To look a name up knows no timeout, and in a plain thread nothing ends it.
        """
        monkey = sys.modules.get("gevent.monkey")
        if self.deadline == math.inf or monkey is None or not monkey.is_module_patched("socket"):
            return nullcontext()
        from gevent import Timeout  # it is there, and not imported for those who do not use it

        late = RedisTimeoutError(f"not connected to {self._server.address()} in time")
        return Timeout(max(0.001, self.deadline - time.monotonic()), late)

    def close_if_broken(self) -> None:
        """Close the connection if the server has closed its end, or said something that nobody asked for."""
        connection = self._connection
        try:
            broken = connection is not None and self._pid == os.getpid() and connection.can_read(0)
        except Unreachable:
            broken = True
        if broken:
            self.close()

    def close(self) -> None:
        """Close the connection. The next use opens a new one."""
        connection, self._connection, self._wire = self._connection, None, None
        if connection is not None:
            connection.disconnect()

    def commands(
        self, commands: Sequence[Sequence[Argument]], meanwhile: Callable[[], None] | None = None
    ) -> list[Any]:
        """Send commands in one go and return their replies; an error reply is returned, not raised.

        `meanwhile` is called when they are on their way, and before the replies are waited for. Raises one of
        `Unreachable` when the connection breaks or the answer does not come in time: then it is not known
        which of the commands were executed.
        """
        connection = self._open()
        try:
            if self._wire is not None:
                return self._wire.ask(commands, meanwhile)
            return _ask(connection, commands, meanwhile)
        except BaseException:
            # Whatever it was, a late reply must not be taken for the answer to the next command.
            self.close()
            raise

    def command(self, *words: Argument) -> Any:
        """Send one command and return its reply. Raises its error reply, and as `commands` does."""
        [reply] = self.commands([words])
        return checked(reply)

    def calls(self, calls: Sequence[Call], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """Run scripts in one go and return their replies; an error reply is returned, not raised.

        A script that the server does not have (after a restart or a failover) is loaded and run again. `meanwhile` is
        as with `commands`.
        """
        replies = self.commands([call.command() for call in calls], meanwhile)
        missing = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            sources = {calls[n].script.name: calls[n].script.source for n in missing}
            again = [("SCRIPT", "LOAD", source) for source in sources.values()]
            answers = self.commands([*again, *(calls[n].command() for n in missing)])
            loaded = dict(zip(sources, answers, strict=False))
            for n, answer in zip(missing, answers[len(sources) :], strict=True):
                refused = loaded[calls[n].script.name]  # else it is still missing, and that is all that its call says
                replies[n] = refused if isinstance(refused, ResponseError) else answer
        return replies

    def call(self, call: Call) -> Any:
        """Run one script and return its reply. Raises its error reply."""
        [reply] = self.calls([call])
        return checked(reply)

    @property
    def fileno(self) -> int | None:
        """File descriptor of the open connection, None while it is closed."""
        sock = getattr(self._connection, "_sock", None)
        return None if sock is None else int(sock.fileno())


def _ask(connection: Any, commands: Sequence[Sequence[Argument]], meanwhile: Callable[[], None] | None) -> list[Any]:
    """Do as `Wire.ask`, with redis-py's own means."""
    replies: list[Any] = []
    connection.send_packed_command(connection.pack_commands(commands))
    if meanwhile is not None:
        meanwhile()
    for _ in commands:
        try:
            replies.append(connection.read_response())
        except ResponseError as error:
            told = not_here(error)
            if told is not error:
                raise told from error
            replies.append(error)
    return replies


class SharedLink:
    """A link that several greenlets or threads take in turns, for what is rare.

    Each use looks first whether the connection still stands: after an hour of rest, or a restart of the server, what
    was not sent yet need not fail. Nor when another server is to be asked by now; where only some of several commands
    were run then, all are sent again: they are reads, or may be repeated.
    """

    def __init__(self, server: Server) -> None:
        self._link = Link(server)
        self._lock = threading.Lock()

    def call(self, call: Call) -> Any:
        """Run one script and return its reply. Raises its error reply, and as `Link.commands` does."""
        return self._ask(lambda link: link.call(call))

    def command(self, *words: Argument) -> Any:
        """Send one command and return its reply. Raises its error reply, and as `Link.commands` does."""
        [reply] = self.commands([words])
        return checked(reply)

    def commands(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Send commands in one go, as `Link.commands`."""
        replies: list[Any] = self._ask(lambda link: link.commands(commands))
        return replies

    def _ask(self, ask: Callable[[Link], Any]) -> Any:
        until = time.monotonic() + _LOOKED_FOR
        while True:
            try:
                return self.once(ask)
            except NotHere:
                if time.monotonic() >= until:
                    raise
            time.sleep(_PAUSE)

    def once(self, ask: Callable[[Link], Any]) -> Any:
        """Do something with the connection when it is its turn, and return what it returns."""
        with self._lock:
            self._link.close_if_broken()
            return ask(self._link)

    def close(self) -> None:
        """Close the connection. The next use opens a new one."""
        with self._lock:
            self._link.close()


_servers: weakref.WeakSet[Server] = weakref.WeakSet()


class Server:
    """The server that a queue lives on, and how to connect to it."""

    def __init__(self, kind: type[Any], options: Mapping[str, Any], directory: Directory | None = None) -> None:
        """`kind` and `options` make its redis-py connections; with a `directory` each looks up where to connect."""
        self.kind = kind
        self._class = kind if directory is None else looking_up(kind, directory, CONNECT_TIMEOUT)
        self._directory = directory
        self.options: dict[str, Any] = {
            **options,
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "protocol": 2,
            "decode_responses": False,
            "health_check_interval": 0,
            # Needs protocol 3, or without hiredis it refuses to be constructed.
            "maint_notifications_config": None,
            "maint_notifications_pool_handler": None,
        }
        self._shared: SharedLink | None = None
        _servers.add(self)

    @classmethod
    def from_url(cls, url: str, ssl_cert_reqs: str = "required") -> Server:
        """Return the server at a redis://, rediss:// or unix:// URL. Nothing is connected yet.

        Raises `TypeError`, `ValueError` or `RedisError` for an option in its query that redis-py does not have, or not
        with that value.
        """
        options: dict[str, Any] = {"ssl_cert_reqs": ssl_cert_reqs} if url.startswith("rediss://") else {}
        if ssl_cert_reqs == "none" and options:
            options["ssl_check_hostname"] = False
        pool = redis.ConnectionPool.from_url(url, **options)
        server = cls(pool.connection_class, pool.connection_kwargs)
        server.connection(ANSWER_TIMEOUT)  # else it would be found out at the first use
        return server

    @classmethod
    def from_client(cls, client: redis.Redis) -> Server:
        """Return the server that a redis-py client, a fakeredis one too, is connected to."""
        pool = client.connection_pool
        return cls(pool.connection_class, pool.connection_kwargs)

    def found_in(self, directory: Directory) -> Server:
        """Return the server that is wherever `directory` says, to be connected to as to this one."""
        return Server(self.kind, self.options, directory)

    def connection(self, answer_timeout: float) -> Any:
        """Return a new connection, not yet connected, that waits `answer_timeout` seconds for an answer."""
        options = {**self.options, "socket_timeout": answer_timeout}
        options["socket_connect_timeout"] = min(CONNECT_TIMEOUT, answer_timeout)
        return self._class(**options)

    def link(self, answer_timeout: float = ANSWER_TIMEOUT) -> Link:
        """Return a new dedicated connection."""
        return Link(self, answer_timeout)

    def client(self, answer_timeout: float = ANSWER_TIMEOUT, *, decode: bool = True) -> redis.Redis:
        """Return a client with a pool of its own, for what is rare."""
        options = {**self.options, "socket_timeout": answer_timeout, "decode_responses": decode}
        options["socket_connect_timeout"] = min(CONNECT_TIMEOUT, answer_timeout)
        pool = redis.ConnectionPool(connection_class=self._class, **options)
        return redis.Redis(connection_pool=pool)

    @property
    def shared(self) -> SharedLink:
        """The one link of this process for what is rare."""
        if self._shared is None:
            self._shared = self.shared_link("shared")
        return self._shared

    def shared_link(self, purpose: str) -> SharedLink:
        """Return a link to be shared by those who have one purpose: servers of one cluster share it with each other."""
        return SharedLink(self)

    def forget(self) -> None:
        """Drop connections inherited by a fork, without a word to the server: they are still the parent's."""
        self._shared = None

    def address(self) -> str:
        """Return where the server is, without secrets."""
        if self._directory is not None:
            return str(self._directory)
        if "path" in self.options:
            return f"unix://{self.options['path']}"
        return f"{self.options.get('host', 'localhost')}:{self.options.get('port', 6379)}"


def _after_fork() -> None:
    for server in _servers:
        server.forget()


os.register_at_fork(after_in_child=_after_fork)
