"""complete: the task returned, so its entry and its index row go away; the result stays where one is kept."""

import pytest

from buraq.broker import Settled
from buraq.scripts import load
from buraq.task import Completed, Delivery
from tests.transitions.world import GONE, World, ended, payload

pytestmark = pytest.mark.each_server

LANE = "memo:w1 complete:n"


def done(*deliveries: Delivery) -> list[Delivery]:
    return [ended(delivery, Completed()) for delivery in deliveries]


def test_entry_and_index_row_go_and_the_reply_is_remembered(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    reply, changed = groups.change(groups.broker.settle(done(one, two), "w1", 4))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": GONE,
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": GONE,
        LANE: "4 ",
    }


def test_a_result_is_kept_for_its_time(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    batch = [ended(one, Completed()), ended(two, Completed(b'{"n": 9007199254740993123}', 60_000))]
    _, changed = groups.change(groups.broker.settle(batch, "w1", 1))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": GONE,
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": GONE,
        "result:t2": '{"n": 9007199254740993123}',
        "result:t2 ttl": 60,
        LANE: "1 ",
    }


def test_a_delivery_that_is_gone_gets_no_result_and_its_neighbours_complete(groups: World) -> None:
    gone, here = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(done(gone), "w9", 1))
    # The task was given another chance by somebody else: its row is no longer this delivery's.
    groups.add("f", "t1")
    batch = [ended(each, Completed(b"1", 60_000)) for each in (gone, here)]
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle(batch, "w1", 2))
    assert groups.broker.settled(reply) == Settled(False, True, frozenset({0}))
    assert [event["task_id"] for event in events] == ["t2"]
    assert changed == {
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": GONE,
        "result:t2": "1",
        "result:t2 ttl": 60,
        LANE: "2 1",
    }


def test_when_all_are_gone_only_the_memo_is_written(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.link.call(groups.broker.settle(done(one), "w9", 1))
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle(done(one), "w1", 1))
    assert groups.broker.settled(reply).gone == {0}
    assert (events, changed) == ([], {LANE: "1 1"})


def test_the_same_number_again_is_answered_from_the_memo(groups: World) -> None:
    gone, here = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(done(gone), "w9", 1))
    call = groups.broker.settle(done(gone, here), "w1", 7)
    first = groups.broker.settled(groups.link.call(call))
    with groups.hearing() as events:
        again, changed = groups.change(call)
    assert groups.broker.settled(again) == Settled(True, False, first.gone)
    assert (events, changed) == ([], {})


def test_a_higher_number_is_a_round_of_its_own(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(done(one), "w1", 9))
    reply, changed = groups.change(groups.broker.settle(done(two), "w1", 10))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert (changed["normal 2-0"], changed[LANE]) == (GONE, "10 ")


def test_an_older_number_is_an_error(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle(done(one), "w1", 10))
    groups.fails(groups.broker.settle(done(two), "w1", 9), match="STALE round 9")


def test_lanes_and_worker_processes_are_remembered_apart(groups: World) -> None:
    normal, high, other = groups.deliver("n", "t1"), groups.deliver("h", "t2"), groups.deliver("n", "t3", worker="w2")
    for batch, worker in ((done(normal), "w1"), (done(high), "w1"), (done(other), "w2")):
        assert groups.broker.settled(groups.link.call(groups.broker.settle(batch, worker, 5))).remembered is False
    state = groups.state()
    assert [path for path in state if path.startswith(("index", "result"))] == []
    assert {path: state[path] for path in state if path.startswith("memo")} == {
        "memo:w1 complete:n": "5 ",
        "memo:w1 complete:h": "5 ",
        "memo:w2 complete:n": "5 ",
    }


def test_listeners_hear_of_each_completion(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", 'é"\\')
    with groups.hearing() as events:
        reply = groups.link.call(groups.broker.settle(done(one, two), "w1", 1))
    assert groups.broker.settled(reply).heard is True
    said = {"worker_id": "w1-7", "task_type": "mail"}
    assert events == [{"type": "Completed", "task_id": name, **said} for name in ("t1", 'é"\\')]


def test_an_entry_that_the_original_acked_is_completed_all_the_same(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.xack(groups.keys.streams["n"], groups.broker.group, one.entry)
    reply, changed = groups.change(groups.broker.settle(done(one), "w1", 1))
    assert groups.broker.settled(reply).gone == frozenset()
    assert changed == {"normal 1-0": GONE, "index t1": GONE, LANE: "1 "}


@pytest.mark.parametrize("redelivered", [False, True])
def test_after_the_group_was_destroyed_the_entry_can_still_be_settled_once(groups: World, redelivered: bool) -> None:
    one, stream = groups.deliver("n", "t1"), groups.keys.streams["n"]
    groups.redis.xgroup_destroy(stream, groups.broker.group)
    again = None
    if redelivered:
        groups.redis.xgroup_create(stream, groups.broker.group, "0")
        again = groups.fetch("n", "w2")
    reply, changed = groups.change(groups.broker.settle(done(one), "w1", 1))
    assert groups.broker.settled(reply).gone == frozenset()
    pending = {"normal 1-0 pending": GONE} if redelivered else {}
    assert changed == {"normal 1-0": GONE, "index t1": GONE, LANE: "1 ", **pending}
    if again is not None:
        reply, changed = groups.change(groups.broker.settle(done(again), "w2", 1))
        assert groups.broker.settled(reply).gone == {0}
        assert changed == {"memo:w2 complete:n": "1 1"}


def test_a_result_with_no_time_to_live_is_not_kept(groups: World) -> None:
    one = groups.deliver("n", "t1")
    _, changed = groups.change(groups.broker.settle([ended(one, Completed(b"1", 0))], "w1", 1))
    assert changed == {"normal 1-0": GONE, "normal 1-0 pending": GONE, "index t1": GONE, LANE: "1 "}


@pytest.mark.parametrize("life", ["0", "-1", "1.5", "", "soon", "9" * 20])
def test_a_life_that_is_no_time_is_an_error_before_anything_is_written(groups: World, life: str) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    batch = [ended(one, Completed(b"1", 60_000)), ended(two, Completed(b"2", 60_000))]
    call = groups.broker.settle(batch, "w1", 1)
    groups.fails(load("complete")(call.keys, [*call.args[:-2], life, b"2"]), match="BADLIFE")


@pytest.mark.parametrize("key", ["buraq_tasks", "buraq_tasks:index", "buraq_tasks:memo:w1"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, key: str) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.set(key, "a text")
    groups.fails(groups.broker.settle(done(one), "w1", 1), match="WRONGTYPE")


def test_a_server_at_maxmemory_completes(groups: World) -> None:
    one = groups.deliver("n", "t1", raw=payload("t1", payload={"text": "x" * 1000}))
    batch = [ended(one, Completed(b"1", 60_000))]
    with groups.at_maxmemory():
        _, changed = groups.change(groups.broker.settle(batch, "w1", 1))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": GONE,
        "result:t1": "1",
        "result:t1 ttl": 60,
        LANE: "1 ",
    }
