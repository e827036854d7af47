"""Which stream is asked first, and for how much: strict priority that starves nobody."""

from __future__ import annotations

from buraq.keys import FRONT, HIGH, LOW, NORMAL

# Strict priority, level by level; but a level that was passed over for so many starts is asked first, once.
LEVELS = ((FRONT, HIGH), (NORMAL,), (LOW,))
PATIENCE = 16


class Fairness:
    """Strict priority that starves nobody: of every `PATIENCE` + 1 starts, one is offered to each lower level first."""

    def __init__(self) -> None:
        self._passed = [0] * len(LEVELS)

    def owed(self, level: int, budget: int) -> int:
        """Return how many starts are to be offered to a level before it is its turn."""
        return min(budget, self._passed[level] // PATIENCE)

    def order(self, budget: int) -> list[tuple[int, int]]:
        """Return levels and the most to take of each, in the order in which to ask. A level may come twice."""
        owed = [(level, self.owed(level, budget)) for level in range(len(LEVELS))]
        return [*(one for one in owed if one[1]), *((level, budget) for level in range(len(LEVELS)))]

    def took(self, level: int, count: int, drained: set[int]) -> None:
        """Note that `count` were taken of a level, and which levels had nothing more in this walk."""
        for lower in range(level + 1, len(LEVELS)):
            if lower not in drained:
                self._passed[lower] += count
        self._passed[level] = 0

    def empty(self, level: int) -> None:
        """Note that a level had nothing: it is owed nothing."""
        self._passed[level] = 0


def shares(busy: int, queues: int, budget: int, fairness: Fairness) -> list[tuple[int, int]] | None:
    """Share a budget out in advance, so that all levels can be asked at once.

    For when the last walk found nothing above the level `busy`, and that one full: then it is so again, most likely,
    and to ask one level after the other would take a round trip for each. What a level above may take is an eighth, so
    that what has come there starts at once, and in the next walk, which is strict again, all of it.

    Returns levels and how many to take of each of their streams, the highest first. None when the budget is too small.
    """
    plan: list[tuple[int, int]] = []
    left = budget
    for level, letters in enumerate(LEVELS):
        if level == busy:
            continue
        streams = len(letters) * queues
        wanted = budget // 8 if level < busy else fairness.owed(level, budget // 8)
        each = -(-wanted // streams)
        if each:
            plan.append((level, each))
            left -= each * streams
    rest = left // (len(LEVELS[busy]) * queues)
    if budget < 8 or rest * 2 * queues < budget:
        return None
    return sorted([*plan, (busy, rest)])
