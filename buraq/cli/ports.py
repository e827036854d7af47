"""Where the parts of a demo listen: on loopback, at the settings' ports or the next free ones."""

from __future__ import annotations

import dataclasses
import os
import socket
import sys
from typing import Any, Self

from buraq.config import SETTINGS, Config
from buraq.errors import ConfigError
from buraq.values import Address

LOOPBACK = "127.0.0.1"
_TRIED = 100


class Ports:
    """Chooses ports, and keeps other demos away from them while the block lasts.

    A part opens its port a second after it was chosen. Until then a second demo would choose it too, and take the
    answer of the first one's API for that of its own.
    """

    def __init__(self) -> None:
        self._claims: dict[int, socket.socket] = {}

    def choose(self, config: Config, field: str) -> Config:
        """Return the settings with the address that a part is to listen on, another one each time.

        Raises `ConfigError` when it was chosen by hand and cannot be listened on.
        """
        wanted: Address = getattr(config, field)
        host = LOOPBACK if wanted.host in ("0.0.0.0", "::") else wanted.host
        chosen = field in config.explicit
        for port in range(wanted.port, min(65_536, wanted.port + (1 if chosen else _TRIED))):
            if port and _free(host, port) and self._claim(port):
                place: dict[str, Any] = {field: Address(host, port)}
                return dataclasses.replace(config, **place)
        known = next(setting for setting in SETTINGS if setting.field == field)
        name, _ = known.find({}, os.environ, {}) or (next(iter(known.variables)), None)
        raise ConfigError(name, str(wanted), "nothing can listen there: the port is taken, or the host is not this one")

    def _claim(self, port: int) -> bool:
        """Take a name that goes away with this process; Linux alone has such names, elsewhere nothing is claimed."""
        if port in self._claims:
            return False
        claim = self._claims[port] = socket.socket(socket.AF_UNIX)
        if sys.platform == "linux":
            try:
                claim.bind(f"\0buraq-demo-{port}")
            except OSError:
                self._claims.pop(port).close()
                return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        while self._claims:
            self._claims.popitem()[1].close()


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As servers do it, or the demo of a minute ago would keep its port from this one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
