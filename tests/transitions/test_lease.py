"""lease: a worker process says that it lives, and what it does."""

import pytest

from buraq.broker import LOST_SHOWN_MS
from buraq.scripts import load
from tests.transitions.world import GONE, World

pytestmark = pytest.mark.each_server

NOW = 1_000_000
KEPT = LOST_SHOWN_MS // 1000


def since(at: int = NOW) -> dict[str, object]:
    return {"memo:w1 since": str(at), "memo:w1 ttl": KEPT}


def test_a_first_lease_was_not_valid_before_it(world: World) -> None:
    reply, changed = world.change(world.broker.lease("w1", 10_000, {"pid": 7, "status": "active"}, NOW))
    assert reply == [1, NOW]
    facts = {"worker:w1 pid": "7", "worker:w1 status": "active", "worker:w1 ttl": KEPT}
    assert changed == {"leases w1": NOW + 10_000, **facts, **since()}


def test_a_renewal_in_time_is_no_lapse(world: World) -> None:
    world.link.call(world.broker.lease("w1", 10_000, {"in_flight": 1}, NOW))
    reply, changed = world.change(world.broker.lease("w1", 10_000, {"in_flight": 2}, NOW + 9_999))
    assert reply == [0, NOW + 9_999]
    assert changed == {"leases w1": NOW + 19_999, "worker:w1 in_flight": "2"}


@pytest.mark.parametrize("late", [10_000, 10_001, 60_000])
def test_a_renewal_that_comes_too_late_says_so(world: World, late: int) -> None:
    world.link.call(world.broker.lease("w1", 10_000, {}, NOW))
    reply, changed = world.change(world.broker.lease("w1", 10_000, {}, NOW + late))
    assert reply == [1, NOW + late]
    assert changed == {"leases w1": NOW + late + 10_000}


def test_a_lease_that_somebody_ended_counts_as_lapsed(world: World) -> None:
    world.link.call(world.broker.lease("w1", 10_000, {}, NOW))
    world.redis.zrem(world.keys.leases, "w1")
    assert world.link.call(world.broker.lease("w1", 10_000, {}, NOW + 1))[0] == 1


def test_without_a_time_the_servers_clock_counts(world: World) -> None:
    [lapsed, now_ms] = world.link.call(world.broker.lease("w1", 60_000, {}))
    assert lapsed == 1
    assert world.state()["leases w1"] == "now+60"
    assert world.link.call(world.broker.lease("w1", 60_000, {}))[1] >= now_ms


def test_without_facts_none_are_written(world: World) -> None:
    _, changed = world.change(world.broker.lease("w1", 10_000, {}, NOW))
    assert changed == {"leases w1": NOW + 10_000, **since()}


def test_what_was_remembered_lives_on_with_the_lease(world: World) -> None:
    world.redis.hset(world.keys.settled("w1"), "complete:n", "4 ")
    _, changed = world.change(world.broker.lease("w1", 10_000, {}, NOW))
    assert changed == {"leases w1": NOW + 10_000, **since()}


def test_leases_that_lapsed_long_ago_are_forgotten_and_recent_ones_shown(world: World) -> None:
    world.let(old=NOW - LOST_SHOWN_MS, recent=NOW - LOST_SHOWN_MS + 1, alive=NOW + 1)
    _, changed = world.change(world.broker.lease("w1", 10_000, {}, NOW))
    assert changed == {"leases w1": NOW + 10_000, "leases old": GONE, **since()}


@pytest.mark.parametrize(("position", "value"), [(1, "soon"), (1, ""), (3, "soon")])
def test_an_argument_that_is_no_number_is_an_error_before_anything_is_written(
    world: World, position: int, value: str
) -> None:
    world.let(w1=NOW + 1)
    call = world.broker.lease("w1", 10_000, {}, NOW)
    args = list(call.args)
    args[position] = value
    world.fails(load("lease")(call.keys, args), match="arithmetic on a nil value")


def test_a_leases_key_of_the_wrong_type_is_an_error(world: World) -> None:
    world.redis.set(world.keys.leases, "a text")
    world.fails(world.broker.lease("w1", 10_000, {"pid": 1}, NOW), match="WRONGTYPE")


def test_facts_and_memo_of_the_wrong_type_cost_no_lease(world: World) -> None:
    world.redis.set(world.keys.worker("w1"), "a text")
    world.redis.set(world.keys.settled("w1"), "a text")
    reply, changed = world.change(world.broker.lease("w1", 10_000, {"pid": 1}, NOW))
    assert reply == [1, NOW]
    assert changed == {"leases w1": NOW + 10_000, "worker:w1 ttl": KEPT, "memo:w1 ttl": KEPT}


@pytest.mark.parametrize("held", [False, True])
def test_a_server_at_maxmemory_still_renews(world: World, held: bool) -> None:
    if held:
        world.let(w1=NOW + 1)
    with world.at_maxmemory():
        reply, changed = world.change(world.broker.lease("w1", 10_000, {"pid": 1}, NOW))
    assert reply == [0 if held else 1, NOW]
    facts = {"worker:w1 pid": "1", "worker:w1 ttl": KEPT}
    assert changed == {"leases w1": NOW + 10_000, **facts, **since()}
