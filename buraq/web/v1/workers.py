"""Worker processes."""

from __future__ import annotations

from typing import Any

from flask import Response
from werkzeug.exceptions import NotFound

from buraq.inspector import WorkerProcess
from buraq.web.numbers import number, whole
from buraq.web.v1.call import Call, answer, at


def describe(process: WorkerProcess, lease_ttl: float) -> dict[str, Any]:
    """Return a worker process as the answers show it; `lease_ttl` for one that does not say its own."""
    said = process.facts
    memory, lag = number(said.get("memory_mb")), number(said.get("hub_lag_ms"))
    rates = {name: number(said.get(f"{name}_s")) for name in ("completed", "retried", "dead")}
    ttl_ms = whole(said.get("lease_ttl_ms")) or lease_ttl * 1000
    return {
        "id": process.id,
        "status": process.status,
        "hostname": said.get("host"),
        "pid": whole(said.get("pid")),
        "version": said.get("version"),
        "started_at": at(number(said.get("started_ms"))),
        "seen_at": at(process.lease_until_ms - ttl_ms),
        "queues": [name for name in said.get("queues", "").split(",") if name] or list(process.queues),
        "concurrency": whole(said.get("slots")),
        "in_flight": process.in_flight,
        "cpu_percent": number(said.get("cpu")),
        "memory_bytes": round(memory * 1e6) if memory is not None else None,
        "hub_lag_ms": lag,
        "rates": rates if None not in rates.values() and process.status != "lost" else None,
    }


def list_workers(call: Call) -> Response:
    """Answer with all worker processes."""
    now_ms, _ = call.state.inspector.statistics([])
    ttl = call.backend.config.lease_ttl
    found = call.state.inspector.workers(call.broken)
    return answer({"at": at(now_ms), "workers": [describe(one, ttl) for one in found], **call.left_out()})


def get_worker(call: Call) -> Response:
    """Answer with one worker process."""
    for process in call.state.inspector.workers(call.broken):
        if process.id == call.path["id"]:
            return answer({**describe(process, call.backend.config.lease_ttl), **call.left_out()})
    if call.broken:  # it may be in what cannot be read
        call.state.inspector.workers()
    raise NotFound(f"there is no worker process {call.path['id'][:512]}")
