"""The attempts of a task: what its entry carries of them, in a field beside the payload."""

from __future__ import annotations

from typing import Any

import ujson

MOST = 20
ERROR_CHARS = 300


def read(raw: bytes | str) -> tuple[list[dict[str, Any]], int]:
    """Return attempts, the oldest first, and how many older ones are no longer kept. What cannot be read is none."""
    try:
        said = ujson.loads(raw) if raw else {}
        kept, left_out = said.get("kept", []), said.get("left_out", 0)
    except (ValueError, AttributeError, RecursionError):
        return [], 0
    if type(kept) is not list or type(left_out) is not int:
        return [], 0
    return [one for one in kept if type(one) is dict], left_out


def add(
    raw: bytes,
    outcome: str,
    number: int,
    worker: str,
    started_ms: int | None,
    duration_ms: int | None,
    error: str = "",
) -> bytes:
    """Return the field with one attempt more: completed, failed, died or snoozed. Of many the last 20 are kept."""
    kept, left_out = read(raw)
    one: dict[str, Any] = {"number": number, "outcome": outcome, "worker": worker}
    one |= {"started_ms": started_ms, "duration_ms": duration_ms}
    if error:
        one["error"] = error[:ERROR_CHARS]
    kept.append(one)
    written: str = ujson.dumps(
        {"left_out": left_out + max(0, len(kept) - MOST), "kept": kept[-MOST:]}, escape_forward_slashes=False
    )
    return written.encode()
