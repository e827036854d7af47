"""What this worker process owns: every delivery from the reply that brought it until its settling is confirmed.

Reclaim looks at dead processes only, so a living one must know all that the server holds for it. After a broken fetch
it compares; then two things must not happen: that it misses an entry (nobody would ever run it), and that it takes
one for new that it has just settled (it would run twice).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from buraq.keys import SUSPECTS
from buraq.task import Delivery
from buraq.worker.reclaimer import SUSPECT_DEATHS

Key = tuple[str, bytes]

# For how many suspects one counts that has died so often.
_WEIGHTS = {SUSPECT_DEATHS + 1: 2, SUSPECT_DEATHS + 2: 8}
_A_WHOLE_COHORT = 1 << 20


def weight(delivery: Delivery) -> int:
    """Return for how many suspects one counts.

    One whose worker process died while a sandbox ran it may be able to take even the worker down, and each time it
    does its company is charged for it. Mostly it was somebody else's kill, and one by one they would wait for long. So
    the company gets smaller with each death, of 32 to 16, to 4, to none: alone from five deaths on, no neighbour of a
    guilty one ever comes to the six deaths of which a task is buried.
    """
    deaths = delivery.deaths
    return 1 if deaths <= SUSPECT_DEATHS else _WEIGHTS.get(deaths, _A_WHOLE_COHORT)


class Holdings:
    """The deliveries of this process, by stream and entry id."""

    def __init__(self) -> None:
        self.known: dict[Key, Delivery] = {}
        self.suspects = 0  # how many of them are suspects, by their weight
        self._asking = False
        self._settled: set[Key] = set()

    def asking(self) -> None:
        """Note that a fetch, or a look at the pending entries, is under way."""
        self._asking = True

    def answered(self) -> None:
        """Note that it was answered, or broke, and its reply has been taken in."""
        self._asking = False
        self._settled.clear()

    def adopt(self, delivery: Delivery) -> bool:
        """Take a delivery in. Returns False for one that was ever known: the reply is older than what we know."""
        return bool(self.adopt_all([delivery]))

    def adopt_all(self, deliveries: list[Delivery]) -> list[Delivery]:
        """Take deliveries in, and return those that were never known."""
        known, settled, fresh = self.known, self._settled, []
        for delivery in deliveries:
            key = delivery.key
            if key in known or key in settled:
                continue
            known[key] = delivery
            fresh.append(delivery)
            if delivery.letter == SUSPECTS:
                self.suspects += weight(delivery)
        return fresh

    def settled(self, delivery: Delivery) -> None:
        """Forget a delivery whose settling is confirmed.

        While a question is under way its answer may still name the entry, so it stays known until then:

            time 0  fetcher    asks what is pending        the server answers: e1
            time 1  settler    settles e1, is confirmed
            time 2  fetcher    reads the answer: e1, and would run it again
        """
        self.settled_all((delivery,))

    def settled_all(self, deliveries: Iterable[Delivery]) -> None:
        """Forget deliveries whose settling is confirmed, as `settled` does each."""
        pop, asking, settled = self.known.pop, self._asking, self._settled
        for delivery in deliveries:
            if pop(delivery.key, None) is not None and delivery.letter == SUSPECTS:
                self.suspects -= weight(delivery)
            if asking:
                settled.add(delivery.key)

    def recently_settled(self, key: Key) -> bool:
        """Say whether an entry was settled while the present question is under way."""
        return key in self._settled

    def by_stream(self) -> Counter[str]:
        """Count the deliveries of each stream."""
        return Counter(stream for stream, _ in self.known)

    def __len__(self) -> int:
        return len(self.known)


class Company:
    """The suspects that are in one process, whichever shard they came from: they meet in its sandbox.

    Each shard's fetcher sees its own, and would let in a cohort of its own beside those of the others.
    """

    def __init__(self, holdings: Sequence[Holdings], most: int) -> None:
        """`most` is how many may be here at once."""
        self._holdings = holdings
        self.most = most
        self._crowded = False  # whether one was handed back, which must not come again and again

    @property
    def _here(self) -> int:
        return sum(holdings.suspects for holdings in self._holdings)

    @property
    def room(self) -> int:
        """How many more may come. When one had to go, none until all that are here have ended."""
        here = self._here
        self._crowded = self._crowded and here > 0
        return 0 if self._crowded else max(0, self.most - here)

    def takes(self, suspect: Delivery) -> bool:
        """Say whether a suspect that has just been adopted may stay."""
        stays = self._here <= max(self.most, weight(suspect))
        self._crowded = self._crowded or not stays
        return stays
