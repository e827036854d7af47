"""Finds the primary that a group of sentinels watches."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry

from buraq.config import Config
from buraq.connection import Server
from buraq.lookup import NotHere, open_to
from buraq.values import host_and_port

_EACH = 0.5  # seconds that one sentinel has for its answer


class Sentinels:
    """The sentinels of one primary; the one that answered last is asked first.

    They are asked anew for each connection. What one of them says may be old (it may be cut off together with the old
    primary, or be about to hear of the new one): so whoever was led wrong asks another one next time.
    """

    def __init__(
        self, addresses: Sequence[tuple[str, int]], name: str, kind: type[Any], options: dict[str, Any]
    ) -> None:
        """`kind` and `options` make the redis-py connections to the sentinels themselves."""
        self._addresses = tuple(addresses)
        self._name = name
        self._kind = kind
        self._options = {**options, "protocol": 2, "retry": Retry(NoBackoff(), 0), "decode_responses": True}

    def __str__(self) -> str:
        return f"{self._name} of the sentinels {','.join(f'{host}:{port}' for host, port in self._addresses)}"

    def locate(self, seconds: float) -> tuple[str, int]:
        """Return where the primary is, after `seconds` at most. Raises a redis-py `ConnectionError` when none knows."""
        until = time.monotonic() + seconds
        troubles: list[str] = []
        for address in self._addresses:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                found = self._ask(address, min(_EACH, left))
            except (RedisError, OSError) as error:
                troubles.append(str(error))
                continue
            if found is not None:
                self._ask_first(address)
                return found
            troubles.append(f"{address[0]}:{address[1]} watches no {self._name}: is REDIS_SENTINEL_MASTER right?")
        self.doubt()
        raise RedisConnectionError(f"no sentinel says where {self._name} is: {'; '.join(troubles)}")

    def _ask(self, address: tuple[str, int], seconds: float) -> tuple[str, int] | None:
        connection = open_to(self._kind, address, seconds, **self._options)
        try:
            connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
            found = connection.read_response()
        finally:
            connection.disconnect()
        return (found[0], int(found[1])) if found else None

    def confirm(self, connection: Any) -> None:
        """Raise `NotHere` when a server is no primary: a sentinel may name the old one for a moment."""
        connection.send_command("ROLE", check_health=False)
        try:
            [role, *_] = connection.read_response()
        except NoPermissionError:
            return  # it may not be asked; then its first refusal to write will tell
        if role not in (b"master", "master"):
            raise NotHere(f"{connection.host}:{connection.port} is no primary any more")

    def doubt(self) -> None:
        """Ask the next sentinel first, the next time."""
        first, *others = self._addresses
        self._addresses = (*others, first)

    def _ask_first(self, address: tuple[str, int]) -> None:
        if self._addresses[0] != address:
            self._addresses = (address, *(one for one in self._addresses if one != address))


def followed(server: Server, config: Config) -> Server:
    """Return the primary that REDIS_SENTINELS watch. How to connect to it is said by REDIS_URL; where it is is not.

    The sentinels are spoken to as the server is, over TLS or not, with a password of their own.
    """
    options = {key: value for key, value in server.options.items() if key.startswith("ssl_")}
    if config.redis_sentinel_password:
        options["password"] = config.redis_sentinel_password
    addresses = [host_and_port(node) for node in config.redis_sentinels]
    places = [(found[0], found[1] or 26379) for found in addresses if found is not None]
    return server.found_in(Sentinels(places, config.redis_sentinel_master or "", server.kind, options))
