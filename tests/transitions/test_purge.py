"""purge: dead letters are deleted for good."""

import pytest

from tests.transitions.world import GONE, World

pytestmark = pytest.mark.each_server


def test_letters_go_with_their_rows(world: World) -> None:
    letters = [(world.add("d", f"t{n}"), f"t{n}", "") for n in (1, 2, 3)]
    reply, changed = world.change(world.broker.purge(letters[:2]))
    assert reply == 2
    assert changed == {"dlq 1-0": GONE, "index t1": GONE, "dlq 2-0": GONE, "index t2": GONE}


def test_a_letter_that_could_not_be_read_has_no_row(world: World) -> None:
    entry = world.add("d", "t1", raw=b"{broken", row=False)
    world.redis.hset(world.keys.index, "", "d1-0")
    assert world.change(world.broker.purge([(entry, "", "")])) == (1, {"dlq 1-0": GONE})


@pytest.mark.parametrize("place", ["n1-0", "d1-1", "d9-0", "zn-0", ""])
def test_a_row_that_points_elsewhere_stays(world: World, place: str) -> None:
    entry = world.add("d", "t1")
    world.redis.hset(world.keys.index, "t1", place)
    assert world.change(world.broker.purge([(entry, "t1", "")])) == (1, {"dlq 1-0": GONE})


def test_a_letter_that_is_no_longer_there_is_passed_over_and_its_row_stays(world: World) -> None:
    gone, here = world.add("d", "t1"), world.add("d", "t2")
    world.redis.xdel(world.keys.dlq, gone)
    reply, changed = world.change(world.broker.purge([(gone, "t1", ""), (here, "t2", "")]))
    assert (reply, changed) == (1, {"dlq 2-0": GONE, "index t2": GONE})


def test_nothing_asked_nothing_deleted(world: World) -> None:
    world.add("d", "t1")
    assert world.change(world.broker.purge([])) == (0, {})


@pytest.mark.parametrize("name", ["_dlq", ":index"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(world: World, name: str) -> None:
    entry = world.add("d", "t1")
    world.redis.set(f"buraq_tasks{name}", "a text")
    world.fails(world.broker.purge([(entry, "", ""), (entry, "t1", "")]), match="WRONGTYPE")


def test_a_server_at_maxmemory_purges(world: World) -> None:
    entry = world.add("d", "t1")
    with world.at_maxmemory():
        assert world.change(world.broker.purge([(entry, "t1", "")]))[0] == 1
