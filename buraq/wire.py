"""What goes over an open connection: commands packed, and replies read, by hiredis alone.

redis-py opens the connection, with all that belongs to that: addresses, TLS, passwords, databases. For each command
after that it would look at every argument, and ask the socket whether it is ready before it reads, which takes longer
than the command itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

from buraq.lookup import not_here
from buraq.permissions import explained, is_refused
from buraq.scripts import Argument

try:
    import hiredis
except ImportError:  # it is a dependency; where there is no wheel for it all still works, at half the speed
    hiredis = None  # type: ignore[assignment]

_READ = 1 << 16  # bytes
_AT_ONCE = 1 << 14  # bytes that are worth a system call of their own


class Wire:
    """An open connection, for one user at a time."""

    def __init__(self, sock: socket.socket, parse_error: Callable[[str], Exception]) -> None:
        self._sock = sock
        refused: list[Exception] = []
        self._refused = refused  # refusals that were read and do not say yet which command it was

        def error_of(words: str) -> Exception:  # knows nothing of this object, so that no cycle keeps that alive
            error = parse_error(words)
            if is_refused(error):
                refused.append(error)
            return error

        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=error_of)

    @classmethod
    def over(cls, connection: Any) -> Wire | None:
        """Return the wire of a redis-py connection; None where it has none of its own, as with fakeredis."""
        sock = getattr(connection, "_sock", None)
        parse_error = getattr(getattr(connection, "_parser", None), "parse_error", None)
        if hiredis is None or not isinstance(sock, socket.socket) or parse_error is None:
            return None
        told = getattr(connection, "told", not_here)
        return cls(sock, lambda words: told(parse_error(words)))

    def ask(self, commands: Sequence[Sequence[Argument]], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """Send commands in one go and return their replies, error replies too.

        `meanwhile` is called when they are on their way, and before the replies are waited for. Raises an `OSError` or
        a redis-py `ConnectionError` when the connection breaks, when the answer does not come in the socket's time, or
        when the server says that it is not there yet, or `NotHere` when another one is to be asked.
        """
        packed: list[bytes] = []
        size = 0
        for words in commands:
            packed.append(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]
            size += len(packed[-1])
            if size >= _AT_ONCE:  # the server has something to do while the rest is packed
                self._send(b"".join(packed))
                packed, size = [], 0
        if packed:
            self._send(b"".join(packed))
        if meanwhile is not None:
            meanwhile()
        replies: list[Any] = []
        gets, recv, feed = self._reader.gets, self._sock.recv, self._reader.feed
        while len(replies) < len(commands):
            reply = gets()
            if reply is False:  # not whole yet; no reply of this protocol is False
                data = recv(_READ)
                if not data:
                    raise RedisConnectionError("the server closed the connection")
                feed(data)
            elif isinstance(reply, RedisConnectionError):
                raise reply
            else:
                replies.append(reply)
        if self._refused:
            self._refused.clear()
            return [
                explained(reply, words) if isinstance(reply, Exception) else reply
                for reply, words in zip(replies, commands, strict=True)
            ]
        return replies

    def _send(self, packed: bytes) -> None:
        sent = self._sock.send(packed)
        if sent < len(packed):
            self._sock.sendall(memoryview(packed)[sent:])
