"""Replaces a worker process that has reached a limit, so that at no moment nobody consumes in its place.

It asks, on the board. A successor is made, in the same place. When that consumes the old one is relieved: it fetches
nothing more, and leaves when what it runs has ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from buraq.worker.board import RELIEVED, SUCCESSOR_MADE, State

log = logging.getLogger(__name__)


class Handover:
    """The arbiter's part. It remembers nothing: all that counts is on the board."""

    def step(self, workers: Mapping[int, Any], wanted: int) -> int:
        """Go on with what is under way. Returns how many of the processes are being replaced or have been relieved.

        `workers` are those that live, by process id, each with its `row`; so many more than the `wanted` ones may live.
        One successor is made at a time: a group that reaches its limits at once must not need twice its memory. And no
        more than `wanted` may be on their way out, for one that runs a task which never ends stays for ever: then those
        that have reached a limit work on.
        """
        states = {pid: worker.row.read() for pid, worker in workers.items()}
        leaving = {pid: state for pid, state in states.items() if state.relief}
        waiting = [pid for pid, state in leaving.items() if state.relief == SUCCESSOR_MADE]
        for pid in waiting:
            if _consumes_in(states[pid].place, states.values()):
                # Said first: the process may say that it stops before this one has another turn.
                log.info("worker process relieved: its successor consumes", extra={"pid": pid})
                workers[pid].row.relieve(RELIEVED)
        asking = [pid for pid, state in states.items() if state.limit and not state.relief and not state.stopping]
        if not asking or waiting or len(leaving) >= wanted:
            return len(leaving)
        workers[asking[0]].row.relieve(SUCCESSOR_MADE)
        log.info("worker process is replaced", extra={"pid": asking[0], "reached": states[asking[0]].limit})
        return len(leaving) + 1


def _consumes_in(place: int, states: Iterable[State]) -> bool:
    """Say whether a process that is not being replaced consumes in a place."""
    now = time.monotonic()
    return any(
        state.place == place and not state.relief and not state.stopping and state.reachable and state.lease_until > now
        for state in states
    )
