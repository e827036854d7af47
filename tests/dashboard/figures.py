"""How the page writes figures, written down once more: what a test expects to read where the server holds a number."""

import math
import time
from decimal import ROUND_HALF_UP, Decimal


def _fixed(value: float, digits: int) -> str:
    """Round as a browser does, half up, and leave out zeros at the end."""
    rounded = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{rounded.normalize():f}"


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def whole(value: float) -> str:
    """1,234,567"""
    return f"{_round(value):,}"


def short(value: float) -> str:
    """999, 1.2k, 34k, 1.2M"""
    for unit, size, least in (("M", 1e6, 0.9995), ("k", 1e3, 1)):
        if value >= size * least:
            scaled = value / size
            return f"{_fixed(scaled, 1) if scaled < 9.95 else _round(scaled)}{unit}"
    return whole(value)


def rate(value: float) -> str:
    """Tasks a second: 0, <0.1, 0.2, 41.6, 120, 1.2k."""
    if value == 0:
        return "0"
    if value < 0.05:
        return "<0.1"
    return _fixed(value, 1) if value < 99.95 else short(_round(value))


def pace(value: float) -> int:
    """How fast a wire of the worker map pulses that carries so many tasks a second."""
    return sum(value >= least for least in (0.02, 1, 8, 50, 500))


def span(ms: float) -> str:
    """0.4 ms, 42 ms, 1.25 s, 2 m 5 s, 3 h 12 m."""
    if ms < 1:
        return f"{_fixed(ms, 1)} ms"
    if ms < 999.5:
        return f"{_round(ms)} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{_fixed(seconds, 2 if seconds < 10 else 1)} s"
    return _parts(_round(seconds))


def age(ms: float) -> str:
    """As `span`, in whole seconds that have passed."""
    return f"{max(0, int(ms // 1000))} s" if ms < 60_000 else _parts(int(ms // 1000))


def _parts(seconds: int) -> str:
    units = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    first = next(n for n, (_, size) in enumerate(units) if seconds >= size)
    written = [f"{seconds // size % (limit // size)} {unit}" for unit, size, limit in _limited(units, first)]
    return " ".join(part for n, part in enumerate(written) if n == 0 or not part.startswith("0 "))


def _limited(units: tuple[tuple[str, int], ...], first: int) -> list[tuple[str, int, int]]:
    """Return a unit and the next one, each with the size that it counts up to."""
    sizes = [10**9 * units[first][1], *(size for _, size in units[first:])]
    return [(unit, size, sizes[n]) for n, (unit, size) in enumerate(units[first : first + 2])]


def bytes_(value: float) -> str:
    """812 B, 40 MiB, 1.5 GiB."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{_fixed(value, 1) if value < 9.95 and units[0] != 'B' else _round(value)} {units[0]}"


def percent(share: float) -> str:
    """0 %, <0.1 %, 4.2 %, 37 %."""
    value = share * 100
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{_fixed(value, 1) if value < 9.95 else _round(value)} %"


def cpu(value: float) -> str:
    """Percent of a core, as tables have it."""
    return f"{_round(value)} %"


def clock(ms: float) -> str:
    """13:04:59; with the day, when that is not today: 27 Nov 13:04:59."""
    at = time.localtime(ms / 1000)
    today = at[:3] == time.localtime()[:3]
    month = time.strftime("%b", at).replace("Sep", "Sept")
    return ("" if today else f"{at.tm_mday} {month} ") + time.strftime("%H:%M:%S", at)
