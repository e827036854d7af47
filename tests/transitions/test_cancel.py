"""cancel: a task that has not started is taken back."""

import pytest

from tests.transitions.world import GONE, NAMES, World

pytestmark = pytest.mark.each_server

WAITING = ["h", "n", "l", "f", "s"]


@pytest.mark.parametrize("letter", WAITING)
def test_a_waiting_task_goes_with_its_row_and_its_key(groups: World, letter: str) -> None:
    groups.add(letter, "t1", "claimed", "1")
    groups.add(letter, "t2")
    groups.redis.set("idemp:k", "t1", px=60_000)
    reply, changed = groups.change(groups.broker.cancel("t1", "k"))
    assert reply == b"CANCELLED"
    assert changed == {f"{NAMES[letter]} 1-0": GONE, "index t1": GONE, "idemp:k": GONE, "idemp:k ttl": GONE}


def test_a_scheduled_task_goes_with_its_row_and_its_key(groups: World) -> None:
    groups.schedule("t1", 5)
    groups.schedule("t2", 6)
    groups.redis.set("idemp:k", "t1")
    reply, changed = groups.change(groups.broker.cancel("t1", "k"))
    assert reply == b"CANCELLED"
    assert changed == {"scheduled t1": GONE, "scheduled:tasks t1": GONE, "index t1": GONE, "idemp:k": GONE}


@pytest.mark.parametrize("owner", ["t9", "1"])
def test_a_key_that_is_not_this_tasks_stays(groups: World, owner: str) -> None:
    groups.add("n", "t1")
    groups.redis.set("idemp:k", owner)
    assert groups.change(groups.broker.cancel("t1", "k")) == (b"CANCELLED", {"normal 1-0": GONE, "index t1": GONE})


def test_a_key_that_is_no_text_is_left_alone(groups: World) -> None:
    groups.add("n", "t1")
    groups.redis.rpush("idemp:k", "t1")
    assert groups.change(groups.broker.cancel("t1", "k")) == (b"CANCELLED", {"normal 1-0": GONE, "index t1": GONE})


@pytest.mark.parametrize("letter", WAITING)
def test_a_task_that_a_worker_process_has_is_running(groups: World, letter: str) -> None:
    groups.deliver(letter, "t1")
    groups.redis.set("idemp:k", "t1")
    assert groups.change(groups.broker.cancel("t1", "k")) == (b"RUNNING", {})


def test_a_dead_letter_stays(groups: World) -> None:
    groups.add("d", "t1")
    groups.redis.set("idemp:k", "t1")
    assert groups.change(groups.broker.cancel("t1", "k")) == (b"DEAD", {})


NO_ENTRY = ["nowhere", "n", "d", "n1", "n1-", "n1-x", "n1-0-0", "n" + "9" * 30 + "-0", "n1-" + "9" * 30, b"n\xff"]


@pytest.mark.parametrize("place", [None, "n7-0", "s7-0", "zn-0", "d7-0", "q7-0", "", *NO_ENTRY])
def test_a_task_that_is_nowhere_is_unknown_whatever_its_row_says(groups: World, place: str | bytes | None) -> None:
    groups.add("n", "t2")
    groups.redis.set("idemp:k", "t1")
    if place is not None:
        groups.redis.hset(groups.keys.index, "t1", place)
    assert groups.change(groups.broker.cancel("t1", "k")) == (b"UNKNOWN", {})


def test_cancelled_twice_it_is_unknown(groups: World) -> None:
    groups.add("n", "t1")
    assert groups.link.call(groups.broker.cancel("t1")) == b"CANCELLED"
    assert groups.change(groups.broker.cancel("t1")) == (b"UNKNOWN", {})


def test_a_stream_that_no_group_reads_yet_can_be_cancelled_from(world: World) -> None:
    world.add("n", "t1")
    assert world.change(world.broker.cancel("t1")) == (b"CANCELLED", {"normal 1-0": GONE, "index t1": GONE})


@pytest.mark.parametrize("name", ["", ":index"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    groups.add("n", "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.cancel("t1"), match="WRONGTYPE")


@pytest.mark.parametrize("name", [":scheduled", ":scheduled:tasks"])
def test_a_scheduled_set_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    groups.schedule("t1", 5)
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.cancel("t1"), match="WRONGTYPE")


def test_a_server_at_maxmemory_cancels(groups: World) -> None:
    groups.schedule("t1", 5)
    with groups.at_maxmemory():
        assert groups.change(groups.broker.cancel("t1"))[0] == b"CANCELLED"
