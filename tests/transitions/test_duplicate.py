"""duplicate: a task that came by a plain XADD is asked for its idempotency key before it runs."""

import pytest

from buraq.scripts import Call
from buraq.task import Delivery
from tests.transitions.world import DAY, GONE, World, payload

pytestmark = pytest.mark.each_server


def keyed(world: World, task_id: str = "t1") -> Delivery:
    return world.deliver("n", task_id, raw=payload(task_id, idempotency_key="k"))


def ask(world: World, delivery: Delivery) -> Call:
    assert delivery.task is not None
    return world.broker.duplicate(delivery, delivery.task)


@pytest.mark.parametrize("holder", [None, "1"])
def test_a_key_that_is_free_or_the_originals_is_claimed_for_a_day(groups: World, holder: str | None) -> None:
    one = keyed(groups)
    if holder:
        groups.redis.set("idemp:k", holder, px=60_000)
    reply, changed = groups.change(ask(groups, one))
    assert (reply, changed) == (b"OWNED", {"idemp:k": "t1", "idemp:k ttl": DAY})


def test_a_key_that_is_the_tasks_own_already_is_left_as_it_is(groups: World) -> None:
    one = keyed(groups)
    groups.redis.set("idemp:k", "t1", px=60_000)
    assert groups.change(ask(groups, one)) == (b"OWNED", {})


def test_the_delivery_of_a_duplicate_is_dropped_without_an_event(groups: World) -> None:
    one = keyed(groups)
    groups.redis.set("idemp:k", "t9", px=60_000)
    with groups.hearing() as events:
        reply, changed = groups.change(ask(groups, one))
    assert reply == b"DUPLICATE"
    assert changed == {"normal 1-0": GONE, "normal 1-0 pending": GONE, "index t1": GONE}
    assert events == []


def test_an_index_row_that_points_elsewhere_stays(groups: World) -> None:
    one = keyed(groups)
    groups.redis.set("idemp:k", "t9")
    groups.redis.hset(groups.keys.index, "t1", "h7-0")
    _, changed = groups.change(ask(groups, one))
    assert changed == {"normal 1-0": GONE, "normal 1-0 pending": GONE}


@pytest.mark.parametrize("holder", [None, "1", "t9"])
def test_an_entry_that_is_no_longer_there_claims_nothing(groups: World, holder: str | None) -> None:
    one = keyed(groups)
    groups.redis.xdel(groups.keys.streams["n"], one.entry)
    if holder:
        groups.redis.set("idemp:k", holder)
    assert groups.change(ask(groups, one)) == (b"GONE", {})


def test_asked_again_after_a_lost_reply_the_answer_is_the_same_or_gone(groups: World) -> None:
    one, two = keyed(groups), keyed(groups, "t2")
    assert [groups.link.call(ask(groups, one)) for _ in range(2)] == [b"OWNED", b"OWNED"]
    assert [groups.link.call(ask(groups, two)) for _ in range(2)] == [b"DUPLICATE", b"GONE"]


@pytest.mark.parametrize("name", ["buraq_tasks", "buraq_tasks:index"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    one = keyed(groups)
    groups.redis.set("idemp:k", "t9")
    groups.redis.set(name, "a text")
    groups.fails(ask(groups, one), match="WRONGTYPE")


def test_an_idempotency_key_of_the_wrong_type_is_an_error(groups: World) -> None:
    one = keyed(groups)
    groups.redis.rpush("idemp:k", "t9")
    groups.fails(ask(groups, one), match="WRONGTYPE")


def test_a_server_at_maxmemory_refuses_a_new_claim_and_drops_a_duplicate(groups: World) -> None:
    one, two = keyed(groups), keyed(groups, "t2")
    with groups.at_maxmemory():
        groups.fails(ask(groups, one), match="maxmemory")
    groups.redis.set("idemp:k", "t9")
    with groups.at_maxmemory():
        reply, changed = groups.change(ask(groups, two))
    assert reply == b"DUPLICATE"
    assert changed == {"normal 2-0": GONE, "normal 2-0 pending": GONE, "index t2": GONE}
