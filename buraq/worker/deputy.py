"""Answers the metrics port in the arbiter while no worker process can: each one's hub is held by a task.

The processes listen on one port, so one that turns answers for those that do not. When none turns, a probe would hear
nothing until it times out, which is red, names nothing, and does not wait for MAX_BLOCKED. The figures are in files.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Protocol

from buraq.metrics import UNREADABLE
from buraq.worker.board import Board, State
from buraq.worker.probes import SILENT_AFTER, Probes

HELD_AFTER = 0.5  # seconds without a turn of the hub before others answer for it; a probe has one at least
_SILENT_AFTER = 1.0  # seconds without a look of the lease thread, which a task that keeps the GIL stops as well
_TURN = 0.5  # seconds after which the arbiter looks after its children again, whoever still waits
_REQUEST = 0.25  # seconds that a client has to say what it wants: the arbiter waits for it
_LONGEST = 8192  # bytes of a request's head


class Listener(Protocol):
    """A socket that listens, and does not block."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection. Raises `BlockingIOError` when there is none."""


class Deputy:
    """Stands in for the worker processes on their port."""

    def __init__(self, board: Board, probes: Probes) -> None:
        self._board = board
        self._probes = probes

    @property
    def needed(self) -> bool:
        """Whether there are worker processes, and each is held."""
        now = time.monotonic()
        states = self._board.states()
        return bool(states) and all(_held(state, now) for state in states)

    def step(self, listeners: Iterable[Listener]) -> int:
        """Answer those who wait at the port when nobody else can. Returns how many. Blocks for a second at most."""
        answered, until = 0, time.monotonic() + _TURN
        if self.needed:
            for listener in listeners:
                with suppress(OSError):  # nobody waits any more
                    while time.monotonic() < until:
                        client, _ = listener.accept()
                        answered += 1
                        with client, suppress(OSError, *UNREADABLE):
                            self._answer(client)
        return answered

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(_REQUEST)
        method, _, rest = _head(client).partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
        said: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            said.extend((f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), "Connection: close"))

        body = b"".join(self._probes({"PATH_INFO": path}, start_response))
        client.sendall("\r\n".join((*said, "", "")).encode("latin-1") + (b"" if method == b"HEAD" else body))


def _held(state: State, now: float) -> bool:
    """Say whether a process cannot answer: its hub does not turn, or not even the thread that looks at it runs.

    Where the server does not answer that thread waits for it, for seconds, and the hub turns.
    """
    silent_after = _SILENT_AFTER if state.reachable else SILENT_AFTER
    return state.blocked > HELD_AFTER or now - state.looked > silent_after


def _head(client: socket.socket) -> bytes:
    """Return a request's head, or what came of it in time."""
    head, until = b"", time.monotonic() + _REQUEST
    while b"\r\n\r\n" not in head and len(head) < _LONGEST and time.monotonic() < until:
        part = client.recv(_LONGEST)
        if not part:
            break
        head += part
    return head
