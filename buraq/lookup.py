"""Connections that look up where their server is each time they open: after a failover it is another one.

Who is asked is a `Directory`: the sentinels of a primary, or the nodes of a cluster.
"""

from __future__ import annotations

from typing import Any, Protocol

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError


class NotHere(RedisConnectionError):
    """The server does not serve this, or not now, and has not run it: another one does, or it will in a moment."""


# What a server answers to a command that it has not run because it is not, or not alone, the one to ask.
_NOT_HERE = (ReadOnlyError, MovedError, AskError, TryAgainError, ClusterDownError)


def not_here(error: Exception) -> Exception:
    """Return `NotHere` in place of an error reply that says so, any other error as it is.

    Raised in place of the reply it closes the connection, and the next one is opened where the server is by then.
    """
    if isinstance(error, _NOT_HERE):
        return NotHere(f"{type(error).__name__.removesuffix('Error')}: {error}")
    return error


class Directory(Protocol):
    """Knows where a server is. Used from several threads, each with a hub of its own: it waits for no lock."""

    def locate(self, seconds: float) -> tuple[str, int]:
        """Return host and port, after `seconds` at most. Raises a redis-py `ConnectionError` when nobody can tell."""

    def confirm(self, connection: Any) -> None:
        """Ask a connection that has just been opened whether it is what was looked for. Raises as `locate`."""

    def doubt(self) -> None:
        """Take note that the place that was given last is wrong, or nobody is there."""


def looking_up(kind: type[Any], directory: Directory, seconds: float) -> type[Any]:
    """Return a class of redis-py connections of a `kind` that ask `directory`, for `seconds` at most, where to go."""

    class LookingUp(kind):  # type: ignore[misc]
        """A connection that looks up where its server is."""

        def _connect(self) -> Any:
            self.host, self.port = directory.locate(min(seconds, self.socket_connect_timeout or seconds))
            try:
                return super()._connect()
            except OSError:
                directory.doubt()
                raise

        def on_connect_check_health(self, check_health: bool = True) -> None:
            try:
                super().on_connect_check_health(check_health)
                directory.confirm(self)
            except (RedisError, OSError):
                directory.doubt()
                raise

        def told(self, error: Exception) -> Exception:
            """Return an error reply as `not_here` does; one that leads elsewhere puts the directory in doubt."""
            said = not_here(error)
            if said is not error:
                directory.doubt()
            return said

        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return super().read_response(*args, **options)
            except ResponseError as error:
                said = self.told(error)
                if said is error:
                    raise
                # One that lies in a pool would be used again, and be told the same.
                self.disconnect()
                raise said from error

    return LookingUp


def open_to(kind: type[Any], address: tuple[str, int], seconds: float, **options: Any) -> Any:
    """Return a connection to one address, opened, that waits `seconds` for each answer."""
    limits = {"socket_timeout": seconds, "socket_connect_timeout": seconds}
    connection = kind(**{**options, **limits, "host": address[0], "port": address[1]})
    connection.connect()
    return connection
