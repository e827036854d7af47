"""retry: a delivery goes away and its task waits in the scheduled set, with its new payload."""

from dataclasses import replace

import pytest

from buraq.broker import Settled
from buraq.scripts import load
from buraq.task import Delivery, Retried
from tests.transitions.world import AWKWARD, GONE, World, ended, payload

pytestmark = pytest.mark.each_server

LANE = "memo:w1 retry:n"


def again(delivery: Delivery, delay_ms: int = 60_000, raw: bytes = b"", charged: bool = True) -> Delivery:
    assert delivery.task is not None
    return ended(delivery, Retried(delay_ms, raw or payload(delivery.task.id, current_retries=1), charged))


def text(raw: bytes) -> str:
    return raw.decode()


def test_the_task_waits_for_its_time_with_its_new_payload(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    reply, changed = groups.change(groups.broker.settle([again(one), again(two, 120_000)], "w1", 3))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "index t1": "zn-0",
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "zn-0",
        "scheduled t1": "now+60",
        "scheduled:tasks t1": text(payload("t1", current_retries=1)),
        "scheduled t2": "now+120",
        "scheduled:tasks t2": text(payload("t2", current_retries=1)),
        LANE: "3 ",
    }


def test_the_payload_is_written_byte_for_byte(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.link.call(groups.broker.settle([again(one, raw=AWKWARD)], "w1", 1))
    assert groups.redis.hget(groups.keys.tasks, "t1") == AWKWARD


@pytest.mark.parametrize(
    ("priority", "fields", "place"),
    [
        ("high", (), "zh-0"),
        ("low", ("deaths", "1"), "zl-1"),
        ("normal", ("claimed", "1"), "znk0"),
        ("high", ("claimed", "1", "deaths", "4"), "zhk4"),
        ("unheard of", (), "zn-0"),
    ],
)
def test_the_index_keeps_what_the_next_entry_must_carry(
    groups: World, priority: str, fields: tuple[str, ...], place: str
) -> None:
    one = groups.deliver("f", "t1", *fields, raw=payload("t1", priority=priority))
    groups.link.call(groups.broker.settle([again(one)], "w1", 1))
    assert groups.state()["index t1"] == place


def test_where_all_priorities_share_one_line_a_retry_goes_there_too(groups: World) -> None:
    one = groups.deliver("n", "t1", raw=payload("t1", priority="high"))
    groups.link.call(replace(groups.broker, priorities=False).settle([again(one)], "w1", 1))
    assert groups.state()["index t1"] == "zn-0"


def test_a_delivery_that_is_gone_is_not_scheduled_and_its_neighbours_are(groups: World) -> None:
    gone, here = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle([again(gone)], "w9", 1))
    groups.redis.delete(groups.keys.scheduled, groups.keys.tasks, groups.keys.index)
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle([again(gone), again(here)], "w1", 1))
    assert groups.broker.settled(reply) == Settled(False, True, frozenset({0}))
    assert [event["task_id"] for event in events] == ["t2"]
    assert changed == {
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "index t2": "zn-0",
        "scheduled t2": "now+60",
        "scheduled:tasks t2": text(payload("t2", current_retries=1)),
        LANE: "1 1",
    }


def test_when_all_are_gone_only_the_memo_is_written(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.xdel(groups.keys.streams["n"], one.entry)
    groups.redis.xack(groups.keys.streams["n"], groups.broker.group, one.entry)
    reply, changed = groups.change(groups.broker.settle([again(one)], "w1", 1))
    assert groups.broker.settled(reply).gone == {0}
    assert changed == {LANE: "1 1"}


def test_the_same_number_again_is_answered_from_the_memo(groups: World) -> None:
    one, gone = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle([again(gone)], "w9", 1))
    call = groups.broker.settle([again(one), again(gone)], "w1", 7)
    first = groups.broker.settled(groups.link.call(call))
    with groups.hearing() as events:
        reply, changed = groups.change(call)
    assert groups.broker.settled(reply) == Settled(True, False, first.gone)
    assert (events, changed) == ([], {})


def test_a_higher_number_is_a_round_of_its_own(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle([again(one)], "w1", 9))
    reply, changed = groups.change(groups.broker.settle([again(two)], "w1", 10))
    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert (changed["normal 2-0"], changed[LANE]) == (GONE, "10 ")


def test_an_older_number_is_an_error(groups: World) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    groups.link.call(groups.broker.settle([again(one)], "w1", 10))
    groups.fails(groups.broker.settle([again(two)], "w1", 9), match="STALE round 9")


@pytest.mark.parametrize(("charged", "event"), [(True, "Failed"), (False, "Pending")])
def test_listeners_hear_whether_it_failed_or_was_put_off(groups: World, charged: bool, event: str) -> None:
    one = groups.deliver("n", "t1")
    with groups.hearing() as events:
        groups.link.call(groups.broker.settle([again(one, charged=charged)], "w1", 1))
    assert events == [{"type": event, "task_id": "t1", "worker_id": "w1-7", "task_type": "mail"}]


def test_what_failed_and_what_was_put_off_have_lanes_of_their_own(groups: World) -> None:
    failed, late = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    for delivery, charged in ((failed, True), (late, False)):
        reply = groups.link.call(groups.broker.settle([again(delivery, charged=charged)], "w1", 1))
        assert groups.broker.settled(reply).remembered is False
    state = groups.state()
    assert (state["memo:w1 retry:n"], state["memo:w1 put_off:n"]) == ("1 ", "1 ")


@pytest.mark.parametrize("delay", ["soon", "", "nan", "inf", "-inf", "1e300"])
def test_a_delay_that_is_no_number_is_an_error_before_anything_is_written(groups: World, delay: str) -> None:
    one, two = groups.deliver("n", "t1"), groups.deliver("n", "t2")
    call = groups.broker.settle([again(one), again(two)], "w1", 1)
    args = list(call.args)
    args[9 + 3 * 2 + 1] = delay
    groups.fails(load("retry")(call.keys, args), match="BADDELAY")


def test_a_delay_of_nothing_is_due_at_once(groups: World) -> None:
    one = groups.deliver("n", "t1")
    groups.link.call(groups.broker.settle([again(one, 0)], "w1", 1))
    assert groups.state()["scheduled t1"] == "now"


@pytest.mark.parametrize("name", ["", ":index", ":memo:w1", ":scheduled", ":scheduled:tasks"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    one = groups.deliver("n", "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.settle([again(one)], "w1", 1), match="WRONGTYPE")


def test_a_server_at_maxmemory_schedules_the_retry(groups: World) -> None:
    one = groups.deliver("n", "t1")
    with groups.at_maxmemory():
        _, changed = groups.change(groups.broker.settle([again(one)], "w1", 1))
    assert changed["scheduled t1"] == "now+60"


@pytest.mark.parametrize("recreated", [False, True])
def test_after_the_group_was_destroyed_the_entry_can_still_be_settled_once(groups: World, recreated: bool) -> None:
    one, stream = groups.deliver("n", "t1"), groups.keys.streams["n"]
    groups.redis.xgroup_destroy(stream, groups.broker.group)
    if recreated:
        groups.redis.xgroup_create(stream, groups.broker.group, "0")
        groups.fetch("n", "w2")
    reply, changed = groups.change(groups.broker.settle([again(one)], "w1", 1))
    assert groups.broker.settled(reply).gone == frozenset()
    assert changed["scheduled t1"] == "now+60"
    assert groups.broker.settled(groups.link.call(groups.broker.settle([again(one)], "w2", 1))).gone == {0}
