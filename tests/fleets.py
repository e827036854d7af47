"""Servers that start side by side and go together."""

from collections.abc import Sequence
from typing import Self

from tests.servers import Server


class Fleet:
    """Several servers as one: a context manager that leaves no process and no folder."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = list(servers)

    def start(self) -> Self:
        """Start all, and return when they work together."""
        try:
            self.bring_up()
        except BaseException:
            self.remove()
            raise
        return self

    def bring_up(self) -> None:
        """Start the servers and make one thing of them."""
        start_together(self.servers)

    def denied(self) -> list[tuple[str, str, str]]:
        """Return what the servers that run refused to Buraq."""
        return [one for server in self.servers if server.awake for one in server.denied()]

    def remove(self) -> None:
        """Stop all for good, and remove their files."""
        for server in self.servers:
            server.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def start_together(servers: Sequence[Server]) -> None:
    """Start servers side by side, and return when each answers."""
    for server in servers:
        server.launch()
    for server in servers:
        server.ready()
