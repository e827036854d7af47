"""What the metrics port answers: /metrics, /livez and /readyz, for the whole group, whichever process is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import ujson

from buraq import metrics
from buraq.config import Config
from buraq.worker.board import Board

STUCK_AFTER = 10.0  # seconds without a beat before a loop counts as dead

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Probes:
    """A WSGI app. `/livez` never asks Redis: a server that is away is no reason to kill workers."""

    def __init__(self, board: Board, config: Config) -> None:
        self._board = board
        self._patience = max(STUCK_AFTER, config.block_timeout + 5.0)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body, content_type = metrics.render()
            status = "200 OK"
        elif path in ("/livez", "/readyz"):
            problems = self.alive() if path == "/livez" else self.ready()
            status = "503 Service Unavailable" if problems else "200 OK"
            answer = {"status": "failing" if problems else "ok", "problems": problems}
            body, content_type = ujson.dumps(answer).encode(), "application/json"
        else:
            status, content_type = "404 Not Found", "application/json"
            body = ujson.dumps({"error": f"{path} is not here; /metrics, /livez and /readyz are"}).encode()
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(status, headers)
        return [body]

    def alive(self) -> list[str]:
        """Return what is wrong with the processes of the group: loops that have stopped."""
        now = time.monotonic()
        problems = []
        for state in self._board.states():
            loop, age = state.oldest_beat(now)
            if age > self._patience and not state.stopping:
                problems.append(f"process {state.pid}: the {loop} loop has not moved for {age:.0f} s")
        return problems

    def ready(self) -> list[str]:
        """Return why the group consumes nothing; empty while at least one process does."""
        now = time.monotonic()
        states = self._board.states()
        dead = self.alive()
        if dead or not states:
            return dead or ["no worker process has started"]
        if any(s.lease_until > now and s.reachable and not s.stopping for s in states):
            return []
        return [f"process {s.pid}: {'stopping' if s.stopping else 'no lease: Redis is away'}" for s in states]
