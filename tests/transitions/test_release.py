"""release: a delivery is handed back as it is, to the front or, of a suspect, to the suspects."""

import pytest

from buraq.broker import Settled
from buraq.task import Delivery, Released
from tests.transitions.world import AWKWARD, GONE, WIDE, World, ended, entry_of, payload

pytestmark = pytest.mark.each_server

LANE = "memo:w1 release:n"


def back(*deliveries: Delivery) -> list[Delivery]:
    return [ended(delivery, Released()) for delivery in deliveries]


def test_deliveries_go_to_the_front_in_their_order(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    reply, changed = groups.change(groups.broker.settle(back(one, two), "w1", 3))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": "f+1",
        "front +1": entry_of(payload("t1")),
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "f+2",
        "front +2": entry_of(payload("t2")),
        LANE: "3 ",
    }


@pytest.mark.parametrize(
    ("letter", "target", "place"), [("h", "front", "f+1"), ("f", "front", "f+1"), ("s", "suspects", "s+1")]
)
def test_a_suspect_stays_one_and_all_others_go_to_the_front(
    groups: World, letter: str, target: str, place: str
) -> None:
    one = groups.deliver(letter, "t1", "deaths", "2")
    _, changed = groups.change(groups.broker.settle(back(one), "w1", 1))
    assert changed["index t1"] == place
    assert changed[f"{target} +1"] == entry_of(payload("t1"), "deaths", "2")


def test_all_fields_and_every_byte_of_the_payload_are_kept(groups: World) -> None:
    fields = ("claimed", "1", "deaths", "1", "trace", b"\x00\xff")
    one = groups.deliver("n", "t1", *fields, raw=AWKWARD)
    before = one.fields
    groups.link.call(groups.broker.settle(back(one), "w1", 1))
    assert groups.fetch("f").fields == before
    assert before[1] == AWKWARD


def test_an_entry_with_more_fields_than_a_script_hands_on_keeps_what_counts_and_costs_no_neighbour(
    groups: World,
) -> None:
    wide, plain = groups.deliver("n", "t1", *WIDE, "claimed", "1"), groups.deliver("n", "t2")
    reply, _ = groups.change(groups.broker.settle(back(wide, plain), "w1", 1))
    assert groups.broker.settled(reply).gone == frozenset()
    first, second = groups.fetch("f"), groups.fetch("f")
    assert (first.raw, first.claimed, second.raw) == (payload("t1"), True, payload("t2"))


def test_what_cannot_be_read_is_handed_back_too_and_gets_no_row(groups: World) -> None:
    one = groups.deliver("n", "t1", raw=b"\xff{")
    groups.redis.delete(groups.keys.index)
    _, changed = groups.change(groups.broker.settle(back(one), "w1", 1))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        LANE: "1 ",
        "front +1": entry_of(b"\xff{"),
    }


def test_a_delivery_that_is_gone_is_not_handed_back_and_its_neighbours_are(groups: World) -> None:
    gone, here = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(back(gone), "w9", 1))
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle(back(gone, here), "w1", 1))
    assert groups.broker.settled(reply) == Settled(False, True, frozenset({0}))
    assert [event["task_id"] for event in events] == ["t2"]
    assert changed == {
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "f+2",
        "front +2": entry_of(payload("t2")),
        LANE: "1 1",
    }


def test_the_same_number_again_is_answered_from_the_memo(groups: World) -> None:
    one, gone = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(back(gone), "w9", 1))
    call = groups.broker.settle(back(one, gone), "w1", 7)
    groups.link.call(call)
    with groups.hearing() as events:
        reply, changed = groups.change(call)
    assert groups.broker.settled(reply) == Settled(True, False, frozenset({1}))
    assert (events, changed) == ([], {})


def test_a_higher_number_is_a_round_of_its_own(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(back(one), "w1", 9))
    reply, changed = groups.change(groups.broker.settle(back(two), "w1", 10))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert (changed["normal 2-0"], changed[LANE]) == (GONE, "10 ")


def test_an_older_number_is_an_error(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(back(one), "w1", 10))
    groups.fails(groups.broker.settle(back(two), "w1", 9), match="STALE round 9")


def test_listeners_hear_that_it_waits_again(groups: World) -> None:
    one = groups.deliver("n", "t1")
    with groups.hearing() as events:
        groups.link.call(groups.broker.settle(back(one), "w1", 1))
    assert events == [{"type": "Pending", "task_id": "t1", "worker_id": "w1-7", "task_type": "mail"}]


@pytest.mark.parametrize("name", ["", ":index", ":memo:w1", "_front"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.settle(back(one), "w1", 1), match="WRONGTYPE")


def test_a_server_at_maxmemory_takes_it_back(groups: World) -> None:
    one = groups.deliver("n", "t1")
    with groups.at_maxmemory():
        _, changed = groups.change(groups.broker.settle(back(one), "w1", 1))
    assert changed["front +1"] == entry_of(payload("t1"))


def test_after_the_group_was_destroyed_the_entry_can_still_be_settled_once(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.xgroup_destroy(groups.keys.streams["n"], groups.broker.group)
    for number, gone in ((1, frozenset()), (2, {0})):
        reply = groups.link.call(groups.broker.settle(back(one), "w1", number))
        assert groups.broker.settled(reply).gone == gone
    assert groups.redis.xlen(groups.keys.streams["f"]) == 1
