"""bury: a delivery goes to the dead letters, says why, and lets go of its idempotency key."""

import pytest

from buraq.broker import Settled
from buraq.task import Dead, Delivery, recode
from tests.transitions.world import AWKWARD, GONE, World, ended, entry_of, payload

pytestmark = pytest.mark.each_server

LANE = "memo:w1 bury:n"
FAILED = Dead("retries", "ValueError: no", "Traceback …")


def dead(*deliveries: Delivery, outcome: Dead = FAILED) -> list[Delivery]:
    return [ended(delivery, outcome) for delivery in deliveries]


def letter_of(task_id: str, **members: object) -> tuple[str, ...]:
    raw = payload(task_id, **members, error="ValueError: no")
    head = ("died_at", "now", "reason", "retries", "error", "ValueError: no", "traceback", "Traceback …")
    return head + entry_of(raw)


def test_the_task_becomes_a_dead_letter_that_says_why(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    reply, changed = groups.change(groups.broker.settle(dead(one, two), "w1", 3))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": "d+1",
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "d+2",
        "dlq": "stream",
        "dlq +1": letter_of("t1"),
        "dlq +2": letter_of("t2"),
        LANE: "3 ",
    }


def test_deaths_stay_with_the_letter_and_the_claim_does_not(groups: World) -> None:
    one = groups.deliver("n", "t1", "deaths", "3", "claimed", "1")
    _, changed = groups.change(groups.broker.settle(dead(one, outcome=Dead("crashed")), "w1", 1))
    last = recode(one.task, error="crashed") if one.task else b""
    assert changed["dlq +1"] == ("died_at", "now", "reason", "crashed", "deaths", "3", *entry_of(last))


@pytest.mark.parametrize("raw", [b"{broken", b"\xff\xfe", b"[]", b'{"id":"t1"}', b'{"id":7,"type":"mail"}', b""])
def test_what_cannot_be_read_keeps_its_entry_as_it_was(groups: World, raw: bytes) -> None:
    one = groups.deliver("n", "t1", "shade", "blue", raw=raw)
    groups.redis.delete(groups.keys.index)
    assert one.task is None
    with groups.hearing() as events:
        _, changed = groups.change(groups.broker.settle(dead(one, outcome=Dead("undecodable", "why")), "w1", 1))
    head = ("died_at", "now", "reason", "undecodable", "error", "why")
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        LANE: "1 ",
        "dlq": "stream",
        "dlq +1": head + entry_of(raw, "shade", "blue"),
    }
    assert [event["task_id"] for event in events] == [""]


def test_an_entry_without_a_payload_is_kept_as_it_was(groups: World) -> None:
    groups.link.command("XADD", groups.keys.streams["n"], "1-0", "a", "1", "a", "2")
    _, changed = groups.change(groups.broker.settle(dead(groups.fetch("n"), outcome=Dead("undecodable")), "w1", 1))
    assert changed["dlq +1"] == ("died_at", "now", "reason", "undecodable", "a", "1", "a", "2")


def test_numbers_and_members_that_nobody_knows_survive_the_error_that_is_written_into_them(groups: World) -> None:
    one = groups.deliver("n", "t1", raw=AWKWARD)
    groups.link.call(groups.broker.settle(dead(one), "w1", 1))
    [(_, fields)] = groups.link.command("XRANGE", groups.keys.dlq, "-", "+")
    assert one.task is not None
    assert fields[-1] == recode(one.task, error="ValueError: no")
    assert b'"big":9007199254740993123,"none":[],"empty":{}' in fields[-1]
    assert b'"unknown":[1,2]' in fields[-1]


def test_the_idempotency_key_is_freed(groups: World) -> None:
    raw = payload("t1", idempotency_key="k")
    one = groups.deliver("n", "t1", "claimed", "1", raw=raw)
    groups.redis.set("idemp:k", "t1", px=60_000)
    _, changed = groups.change(groups.broker.settle(dead(one), "w1", 1))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": "d+1",
        LANE: "1 ",
        "dlq": "stream",
        "dlq +1": letter_of("t1", idempotency_key="k"),
        "idemp:k": GONE,
        "idemp:k ttl": GONE,
    }


@pytest.mark.parametrize("owner", ["t2", "1", ""])
def test_a_key_that_is_not_this_tasks_stays(groups: World, owner: str) -> None:
    one = groups.deliver("n", "t1", raw=payload("t1", idempotency_key="k"))
    groups.redis.set("idemp:k", owner)
    _, changed = groups.change(groups.broker.settle(dead(one), "w1", 1))
    assert "idemp:k" not in changed
    assert changed["index t1"] == "d+1"


def test_a_key_that_is_no_text_is_left_alone(groups: World) -> None:
    one = groups.deliver("n", "t1", raw=payload("t1", idempotency_key="k"))
    groups.redis.rpush("idemp:k", "t1")
    _, changed = groups.change(groups.broker.settle(dead(one), "w1", 1))
    assert "idemp:k" not in changed
    assert changed["index t1"] == "d+1"


def test_each_letter_of_a_batch_frees_its_own_key(groups: World) -> None:
    keyed = [groups.deliver("n", f"t{n}", raw=payload(f"t{n}", idempotency_key=f"k{n}")) for n in (1, 3)]
    plain = groups.deliver("n", "t2")
    for n in (1, 3):
        groups.redis.set(f"idemp:k{n}", f"t{n}")
    _, changed = groups.change(groups.broker.settle(dead(keyed[0], plain, keyed[1]), "w1", 1))
    assert {changed["idemp:k1"], changed["idemp:k3"]} == {GONE}
    assert [changed[f"dlq +{n}"] for n in (1, 2, 3)] == [
        letter_of("t1", idempotency_key="k1"),
        letter_of("t2"),
        letter_of("t3", idempotency_key="k3"),
    ]


def test_a_delivery_that_is_gone_is_not_buried_and_keeps_its_key(groups: World) -> None:
    gone = groups.deliver("n", "t1", raw=payload("t1", idempotency_key="k"))
    here = groups.deliver("n", "t2")
    groups.redis.set("idemp:k", "t1")
    groups.redis.xdel(groups.keys.streams["n"], gone.entry)
    groups.redis.xack(groups.keys.streams["n"], groups.broker.group, gone.entry)
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle(dead(gone, here), "w1", 1))
    assert groups.broker.settled(reply) == Settled(False, True, frozenset({0}))
    assert [event["task_id"] for event in events] == ["t2"]
    assert changed == {
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "d+1",
        "dlq": "stream",
        "dlq +1": letter_of("t2"),
        LANE: "1 1",
    }


def test_the_same_number_again_is_answered_from_the_memo(groups: World) -> None:
    one = groups.deliver("n", "t1")
    call = groups.broker.settle(dead(one), "w1", 7)
    groups.link.call(call)
    with groups.hearing() as events:
        reply, changed = groups.change(call)
    assert groups.broker.settled(reply) == Settled(True, False, frozenset())
    assert (events, changed) == ([], {})


def test_a_higher_number_is_a_round_of_its_own(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(dead(one), "w1", 9))
    reply, changed = groups.change(groups.broker.settle(dead(two), "w1", 10))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert (changed["normal 2-0"], changed[LANE]) == (GONE, "10 ")


def test_an_older_number_is_an_error(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(dead(one), "w1", 10))
    groups.fails(groups.broker.settle(dead(two), "w1", 9), match="STALE round 9")


def test_listeners_hear_of_each_dead_letter(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    with groups.hearing() as events:
        groups.link.call(groups.broker.settle(dead(one, two), "w1", 1))
    said = {"type": "DLQ", "worker_id": "w1-7", "task_type": "mail"}
    assert events == [{**said, "task_id": "t1"}, {**said, "task_id": "t2"}]


@pytest.mark.parametrize("name", ["", ":index", ":memo:w1", "_dlq"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.settle(dead(one), "w1", 1), match="WRONGTYPE")


def test_a_server_at_maxmemory_buries(groups: World) -> None:
    one = groups.deliver("n", "t1")
    with groups.at_maxmemory():
        _, changed = groups.change(groups.broker.settle(dead(one), "w1", 1))
    assert changed["dlq +1"] == letter_of("t1")


def test_after_the_group_was_destroyed_the_entry_can_still_be_settled_once(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.xgroup_destroy(groups.keys.streams["n"], groups.broker.group)
    for number, gone in ((1, frozenset()), (2, {0})):
        reply = groups.link.call(groups.broker.settle(dead(one), "w1", number))
        assert groups.broker.settled(reply).gone == gone
    assert groups.redis.xlen(groups.keys.dlq) == 1
