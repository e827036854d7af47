"""What the command line says and exits with when something fails: one line, no traceback, and a code to rely on.

0 done · 1 failed · 2 usage: arguments, settings, target, payload · 3 Redis unreachable · 4 not found
"""

from __future__ import annotations

from typing import Any

import click
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from buraq.embedded import EmbeddedServerError
from buraq.errors import BuraqError, ConfigError, PayloadError, QueueUnavailable, ServerUnreachable
from buraq.target import TargetError

FAILED, USAGE, UNREACHABLE, NOT_FOUND = 1, 2, 3, 4

# What redis-py, and an open connection, raise for a server that is away. Not OSError: a closed pipe of our own output
# is one, too.
Away = (RedisConnectionError, RedisTimeoutError, ConnectionResetError, TimeoutError)


class Failure(click.ClickException):
    """Ends the command with a message and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it for the class, and reads it from here


def failure(error: Exception) -> Failure:
    """Return how the command line ends because of `error`."""
    if isinstance(error, ConfigError | TargetError | PayloadError):
        return Failure(str(error), USAGE)
    if isinstance(error, ServerUnreachable | QueueUnavailable | EmbeddedServerError):
        return Failure(str(error), UNREACHABLE)
    if isinstance(error, RedisError):
        return Failure(f"Redis refused: {error}")
    return Failure(str(error))


class Commands(click.Group):
    """A group of commands whose errors end in one line and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (BuraqError, RedisError) as error:
            raise failure(error) from error
