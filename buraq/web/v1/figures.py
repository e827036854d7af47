"""The last hour and day, from what the scripts count."""

from __future__ import annotations

from typing import Any

from flask import Response

from buraq.statistics import FIVES, MINUTES, NAMES, RUN, WAIT, Slot, read
from buraq.web.v1.call import Call, answer, at

WINDOWS = {"hour": (MINUTES, 60), "day": (FIVES, 288)}
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def get_statistics(call: Call) -> Response:
    """Answer with counts and percentiles."""
    window = call.query["window"]
    ring, steps = WINDOWS[window]
    now_ms, found = call.state.inspector.statistics(call.asked_queues, call.broken)
    series = [Slot() for _ in range(steps)]
    for raw in found:
        for slot, more in zip(series, read(raw, ring, now_ms // 1000, steps), strict=True):
            slot.add(more.numbers)
    total = Slot()
    for slot in series:
        total.add(slot.numbers)
    first = (now_ms // 1000 // ring.step - steps + 1) * ring.step
    return answer(
        {
            "at": at(now_ms),
            "window": window,
            "queue": call.query.get("queue"),
            "start": at(first * 1000),
            "step_s": ring.step,
            "counts": {name: [slot.numbers[n] for slot in series] for name, n in NAMES.items()},
            "run_ms": _series(series, RUN),
            "wait_ms": _series(series, WAIT),
            "totals": {
                "counts": {name: total.numbers[n] for name, n in NAMES.items()},
                "run_ms": _percentiles(total, RUN),
                "wait_ms": _percentiles(total, WAIT),
            },
            **call.left_out(),
        }
    )


def _series(series: list[Slot], start: int) -> dict[str, Any]:
    return {name: [slot.percentile(start, share) for slot in series] for name, share in SHARES.items()}


def _percentiles(slot: Slot, start: int) -> dict[str, Any]:
    return {name: slot.percentile(start, share) for name, share in SHARES.items()}
