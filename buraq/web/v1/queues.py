"""Queues, and the whole at one moment."""

from __future__ import annotations

from typing import Any

from flask import Response

from buraq.backend import Backend
from buraq.inspector import RATE_SECONDS, Broken, Inspector, QueuePace, WorkerProcess, say_broken
from buraq.pauses import Pauses
from buraq.web.numbers import whole
from buraq.web.v1.call import Call, answer, at

NO_RATES = {"enqueued": 0.0, "completed": 0.0, "retried": 0.0, "dead": 0.0}


def describe(
    backend: Backend, inspector: Inspector, names: list[str], broken: Broken
) -> tuple[int, list[dict[str, Any]], list[WorkerProcess]]:
    """Return the server's time in ms, queues as the answers show them, and all worker processes.

    A key that somebody has overwritten hides only what it would say itself; its queue names it in `broken`, as those
    do that were noted there before.
    """
    processes = inspector.workers(broken)
    paused = Pauses(backend).all(broken)
    now_ms, paces = inspector.paces(names, broken)
    shown = [
        _queue(inspector, name, pace, paused.get(name), _readers(name, processes), broken)
        for name, pace in zip(names, paces, strict=True)
    ]
    say_broken(broken)
    return now_ms, shown, processes


def _queue(
    inspector: Inspector, name: str, pace: QueuePace, pause: Any, readers: int, broken: Broken
) -> dict[str, Any]:
    counts = inspector.counts(name, broken)
    return {
        "name": name,
        "paused": {"at": at(pause.at_ms), "by": pause.by} if pause is not None else None,
        "waiting": counts.waiting,
        "waiting_by": counts.waiting_by_stream,
        "running": counts.running,
        "scheduled": counts.scheduled,
        "next_due_at": at(pace.next_due_ms),
        "dead": counts.dead,
        "oldest_ms": round(counts.oldest * 1000) if counts.waiting else None,
        "rates": {rate: _tenths(value) for rate, value in pace.rates.items()},
        "workers": readers,
        **({"broken": sorted(broken[name])} if name in broken else {}),
    }


def _tenths(rate: float) -> float:
    """Return a sum of means over ten seconds as one: 253.8, where floats add up to 253.79999999999998."""
    return round(rate, 1)


def _readers(queue: str, processes: list[WorkerProcess]) -> int:
    return sum(process.status == "active" and queue in process.queues for process in processes)


def overview(backend: Backend, inspector: Inspector) -> dict[str, Any]:
    """Return the whole at one moment: queues, totals, worker counts."""
    broken: Broken = {}
    now_ms, queues, processes = describe(backend, inspector, inspector.queues(broken), broken)
    totals: dict[str, Any] = {
        name: sum(queue[name] for queue in queues) for name in ("waiting", "running", "scheduled", "dead")
    }
    totals["rates"] = {name: _tenths(sum(queue["rates"][name] for queue in queues)) for name in NO_RATES}
    counts = {status: sum(one.status == status for one in processes) for status in ("active", "draining", "lost")}
    here = [one for one in processes if one.status != "lost"]
    active = [one for one in processes if one.status == "active"]
    return {
        "at": at(now_ms),
        "rate_window_s": RATE_SECONDS,
        "queues": queues,
        "totals": totals,
        "workers": {
            **counts,
            "slots": sum(whole(one.facts.get("slots")) or 0 for one in active),
            "in_flight": sum(one.in_flight for one in here),
        },
    }


def get_overview(call: Call) -> Response:
    """Answer with the whole at one moment."""
    return answer(overview(call.backend, call.state.inspector))


def list_queues(call: Call) -> Response:
    """Answer with all queues."""
    inspector = call.state.inspector
    now_ms, queues, _ = describe(call.backend, inspector, call.known_queues, call.broken)
    return answer({"at": at(now_ms), "rate_window_s": RATE_SECONDS, "queues": queues})


def get_queue(call: Call) -> Response:
    """Answer with one queue."""
    return answer(one(call, call.known_queue(call.path["queue"])))


def pause_queue(call: Call) -> Response:
    """Pause a queue."""
    name = call.known_queue(call.path["queue"])
    if Pauses(call.backend).pause(name, call.access.who):
        call.note("pause", queue=name)
    return answer(one(call, name))


def resume_queue(call: Call) -> Response:
    """Resume a queue."""
    name = call.known_queue(call.path["queue"])
    if Pauses(call.backend).resume(name):
        call.note("resume", queue=name)
    return answer(one(call, name))


def one(call: Call, name: str) -> dict[str, Any]:
    """Return a queue as it is now."""
    return describe(call.backend, call.state.inspector, [name], call.broken)[1][0]
