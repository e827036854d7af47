"""Numbers that worker processes wrote of themselves."""

from __future__ import annotations

import math


def number(written: str | None) -> float | None:
    """Return a number, None for what is none."""
    try:
        value = float(written or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def whole(written: str | None) -> int | None:
    """Return a whole number, None for what is none."""
    value = number(written)
    return None if value is None else int(value)
