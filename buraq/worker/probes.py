"""What the metrics port answers: /metrics, /livez and /readyz, for the whole group, whichever process is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import ujson

from buraq import metrics
from buraq.config import Config
from buraq.worker.board import Board, State

SILENT_AFTER = 9.0  # seconds without a look of the lease thread before it counts as dead
BLOCKED_AFTER = 10.0  # seconds that a task may hold a process before the group is not ready

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Probes:
    """A WSGI app. `/livez` never asks Redis: a server that is away is no reason to kill workers."""

    def __init__(self, board: Board, config: Config, counting: bool = True) -> None:
        """`counting` is false in a process that runs no tasks, and has no figures of its own."""
        self._board = board
        self._counting = counting
        self._max_blocked = config.max_blocked

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            body, content_type = metrics.render(counting=self._counting)
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
        """Return what is wrong with the processes of the group: loops that have stopped.

        A hub that is blocked stops them all, and is none of their faults: up to MAX_BLOCKED it is no reason to kill.
        """
        now = time.monotonic()
        problems = []
        for state in self._board.states():
            silent = now - state.looked  # the lease thread looks ten times a second, and renews
            if state.stopping:
                continue
            if silent > SILENT_AFTER:
                problems.append(f"process {state.pid}: the lease loop has not moved for {silent:.0f} s")
            elif state.blocked > self._max_blocked:
                problems.append(_blocked(state))
            elif state.late_loop:
                problems.append(f"process {state.pid}: the {state.late_loop} loop has not moved for {state.late:.0f} s")
        return problems

    def ready(self) -> list[str]:
        """Return why the group consumes nothing, or a process of it has been held by a task for long; else empty."""
        now = time.monotonic()
        states = self._board.states()
        blocked = [s for s in states if not s.stopping and BLOCKED_AFTER < s.blocked <= self._max_blocked]
        problems = self.alive() + [_blocked(state) for state in blocked]
        if problems or not states:
            return problems or ["no worker process has started"]
        if any(s.lease_until > now and s.reachable and not s.stopping for s in states):
            return []
        return [f"process {s.pid}: {'stopping' if s.stopping else 'no lease: Redis is away'}" for s in states]


def _blocked(state: State) -> str:
    what = "something that is no task" if state.blocked_by == metrics.NO_TASK else f"a task of type {state.blocked_by}"
    return f"process {state.pid}: {what} has let nothing else run for {state.blocked:.0f} s"
