"""Slots that several fetchers share: together they never ask for more than is free, and none is starved."""

import pytest
from gevent.event import Event
from redis import Redis

from buraq.app import Buraq
from buraq.worker.holdings import Holdings
from buraq.worker.sharing import Budget, SharingFetcher
from tests.worker.parts import lease_of


class Asker:
    """Stands for a fetcher."""

    def __init__(self) -> None:
        self.room = Event()


def test_what_one_has_reserved_another_cannot_have() -> None:
    budget = Budget(lambda: 20, concurrency=20, lanes=2)
    one, other = Asker(), Asker()

    assert budget.claim(one) == 20
    assert budget.claim(other) == 0
    assert (budget.left_to(one), budget.left_to(other)) == (20, 0)

    budget.release(one)
    assert other.room.is_set()
    assert budget.claim(other) == 20


def test_none_takes_more_than_twice_its_part_at_once() -> None:
    budget = Budget(lambda: 1000, concurrency=1000, lanes=16)
    assert budget.claim(Asker()) == 125


def test_who_came_first_is_first() -> None:
    free = [0]
    budget = Budget(lambda: free[0], concurrency=10, lanes=4)
    first, second, third = Asker(), Asker(), Asker()
    assert [budget.claim(one) for one in (first, second)] == [0, 0]

    free[0] = 1
    budget.room()

    assert (first.room.is_set(), second.room.is_set()) == (True, False)
    assert [budget.claim(one) for one in (third, second, first)] == [0, 0, 1]


def test_who_leaves_the_line_holds_up_nobody() -> None:
    free = [0]
    budget = Budget(lambda: free[0], concurrency=10, lanes=4)
    away, other = Asker(), Asker()
    budget.claim(away)
    budget.claim(other)
    budget.withdraw(away)

    free[0] = 1
    assert budget.claim(other) == 1


def test_a_slot_that_was_offered_to_who_leaves_is_offered_to_the_next() -> None:
    free = [0]
    budget = Budget(lambda: free[0], concurrency=10, lanes=4)
    away, other = Asker(), Asker()
    budget.claim(away)
    budget.claim(other)
    free[0] = 1
    budget.room()
    assert (away.room.is_set(), other.room.is_set()) == (True, False)

    budget.withdraw(away)

    assert other.room.is_set()


@pytest.mark.parametrize("ask", ["reconcile", "make groups"])
def test_who_asks_what_may_not_be_answered_for_long_stands_in_no_line(app: Buraq, redis: Redis, ask: str) -> None:
    free = [0]
    budget = Budget(lambda: free[0], concurrency=10, lanes=4)
    lease = lease_of(app)
    asking = SharingFetcher(
        budget, app.backend.server, lease, Holdings(), dispatch=lambda batch: None, hand_back=lambda one: None
    )
    other = Asker()
    budget.claim(asking)
    budget.claim(other)
    free[0] = 1
    budget.room()
    assert not other.room.is_set()

    if ask == "reconcile":
        asking.reconcile()
    else:
        asking._make_groups(lease.brokers[0])

    assert other.room.is_set()


def test_a_read_that_waits_keeps_one_slot_and_is_short_while_others_wait() -> None:
    budget = Budget(lambda: 10, concurrency=100, lanes=2)
    one, other = Asker(), Asker()
    assert budget.claim(one) == 10
    assert budget.keep_one(one, 2.0) == 2.0
    assert budget.claim(other) == 9
    budget.release(one)
    assert budget.claim(one) == 1
    third = Asker()
    assert budget.claim(third) == 0
    assert budget.keep_one(one, 2.0) < 0.1
