"""Which stream is asked first: strict priority, and yet nothing waits for ever."""

from collections import Counter

import pytest
from redis import Redis

from buraq.app import Buraq
from tests.worker.parts import Fetching, ids, lease_of

STREAM = "buraq_tasks"


def fill(app: Buraq, count: int, *priorities: str, queue: str = "default") -> None:
    for priority in priorities:
        for n in range(count):
            app.enqueue("t", id=f"{queue}-{priority}-{n}", priority=priority, queue=queue)


def priorities(fetching: Fetching) -> list[str]:
    return [task_id.split("-")[1] for task_id in ids(fetching.dispatched)]


def one_by_one(app: Buraq, count: int) -> list[str]:
    """Return the priorities of `count` tasks that one slot starts one after the other."""
    fetching = Fetching(app, lease_of(app), slots=1)
    found = []
    for _ in range(count):
        fetching.step()
        [delivery] = fetching.dispatched
        fetching.dispatched.clear()
        found.append({"h": "high", "n": "normal", "l": "low"}[delivery.letter])
    return found


def test_high_goes_before_normal_and_normal_before_low(app: Buraq, redis: Redis) -> None:
    fill(app, 4, "low", "normal", "high")
    fetching = Fetching(app, lease_of(app), slots=10)

    fetching.step()

    assert priorities(fetching) == ["high"] * 4 + ["normal"] * 4 + ["low"] * 2


def test_what_was_handed_back_goes_before_high(app: Buraq, redis: Redis) -> None:
    fill(app, 2, "high")
    redis.xadd(f"{STREAM}_front", {"payload": '{"id":"default-front-0","type":"t"}'})
    fetching = Fetching(app, lease_of(app), slots=1)

    fetching.step()

    assert priorities(fetching) == ["front"]


def test_no_slot_goes_to_normal_while_high_has_tasks_for_all(app: Buraq, redis: Redis) -> None:
    fill(app, 20, "normal", "high")
    fetching = Fetching(app, lease_of(app), slots=10)

    fetching.step()

    assert Counter(priorities(fetching)) == {"high": 10}


def test_a_busy_queue_gets_the_slots_that_empty_queues_leave(app: Buraq, redis: Redis) -> None:
    fill(app, 20, "normal", "high", queue="busy")
    fetching = Fetching(app, lease_of(app, "idle", "busy", "quiet"), slots=10)

    fetching.step()

    assert Counter(priorities(fetching)) == {"high": 10}


def test_more_free_slots_than_a_batch_are_filled_from_the_highest_level(app: Buraq, redis: Redis) -> None:
    fill(app, 12, "normal", "low")
    fetching = Fetching(app, lease_of(app), slots=12)
    fetching.fetcher._batch = 5

    fetching.step()

    assert Counter(priorities(fetching)) == {"normal": 12}


def test_of_each_17_starts_one_is_offered_to_a_lower_level(app: Buraq, redis: Redis) -> None:
    fill(app, 40, "high", "low")

    started = one_by_one(app, 34)

    assert Counter(started) == {"high": 32, "low": 2}
    assert started.index("low") == 16, "not before high had 16 starts"


def test_each_lower_level_has_its_turn_with_a_single_slot(app: Buraq, redis: Redis) -> None:
    fill(app, 60, "high", "normal", "low")

    counts = Counter(one_by_one(app, 54))

    assert counts["low"] >= 2
    assert counts["normal"] >= 2
    assert counts["high"] >= 46


def test_many_slots_at_once_leave_a_lower_level_its_share(app: Buraq, redis: Redis) -> None:
    fill(app, 170, "high", "low")
    fetching = Fetching(app, lease_of(app), slots=17)
    for _ in range(10):
        fetching.step()
        fetching.slots += 17

    counts = Counter(priorities(fetching))

    assert 8 <= counts["low"] <= 10
    assert counts["high"] == 170 - counts["low"]


def test_a_lower_level_that_was_empty_is_owed_nothing(app: Buraq, redis: Redis) -> None:
    fill(app, 60, "high")
    fetching = Fetching(app, lease_of(app), slots=1)
    for _ in range(40):
        fetching.step()
        fetching.dispatched.clear()
    fill(app, 5, "low")

    fetching.step()

    assert priorities(fetching) == ["high"]


@pytest.mark.parametrize("turns", [6])
def test_queues_take_turns(app: Buraq, redis: Redis, turns: int) -> None:
    fill(app, 10, "normal", queue="mail")
    fill(app, 10, "normal", queue="bulk")
    fetching = Fetching(app, lease_of(app, "mail", "bulk"), slots=1)
    for _ in range(turns):
        fetching.step()
        fetching.slots += 1

    queues = Counter(delivery.queue.name for delivery in fetching.dispatched)

    assert queues == {"mail": turns // 2, "bulk": turns // 2}
