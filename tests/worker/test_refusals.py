"""Refused outcomes wait by queue, stream and kind; one of each is tried, and later each time."""

import pytest
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.broker import Broker
from buraq.task import Delivery
from buraq.worker.refusals import Refusals
from tests.worker.parts import delivery_of

LANE, OTHER = ("default", "n", "Dead"), ("default", "n", "retry")
REFUSED = ResponseError("WRONGTYPE")


class Now:
    """A clock that stands still until it is moved."""

    time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def refusals(now: Now) -> Refusals:
    return Refusals("w", now)


@pytest.fixture
def broker(app: Buraq) -> Broker:
    return app.backend.broker("default")


def some(count: int) -> list[Delivery]:
    return [delivery_of(b"{}") for _ in range(count)]


def test_one_of_each_kind_is_tried_at_a_time(refusals: Refusals, broker: Broker, now: Now) -> None:
    dead, retried = some(3), some(2)
    refusals.add(LANE, broker, dead, REFUSED)
    refusals.add(OTHER, broker, retried, REFUSED)
    assert refusals.due() == []

    now.time += 1.0

    assert refusals.due() == [dead[0], retried[0]]
    assert refusals.due() == [], "those are under way"
    assert not refusals.keeps(LANE, dead[0])
    assert refusals.keeps(LANE, some(1)[0])
    assert list(refusals.taken(LANE))[:2] == dead[1:]
    assert len(refusals) == 1


def test_what_is_refused_again_waits_longer_and_others_are_tried_before_it(
    refusals: Refusals, broker: Broker, now: Now
) -> None:
    refusals.add(LANE, broker, (some_deliveries := some(2)), REFUSED)
    waits, tried = [], []
    for _ in range(7):
        waits.append(refusals.wait(most=60.0))
        now.time += waits[-1]
        [one] = refusals.due()
        tried.append(some_deliveries.index(one))
        refusals.add(LANE, broker, [one], REFUSED)

    assert waits == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert tried == [0, 1, 0, 1, 0, 1, 0]
    assert Refusals("w", now).wait(most=60.0) == 60.0
