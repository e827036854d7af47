"""reclaim: entries of a dead worker process get another chance, or are buried."""

import pytest

from buraq.broker import Reclaimable
from buraq.keys import DEAD, FRONT, SUSPECTS
from buraq.scripts import Call
from buraq.task import Delivery
from tests.transitions.world import AWKWARD, GONE, WIDE, World, entry_of, payload

pytestmark = pytest.mark.each_server

NOW = 1_000_000
NOTE = '"worker_id":"","task_type":"mail"'


@pytest.fixture
def lost(groups: World) -> World:
    """A queue on which `w1` lives and `w2` has lost its lease."""
    groups.let(w1=NOW + 5_000, w2=NOW)
    return groups


def take(delivery: Delivery, target: str = FRONT, deaths: int = 1, owner: str = "") -> Reclaimable:
    task_id = delivery.task.id if delivery.task else ""
    return Reclaimable(delivery.entry, task_id, target, deaths, NOTE, owner)


def reclaim(world: World, *entries: Reclaimable, letter: str = "n", caller: str = "w1", dead: str = "w2") -> Call:
    return world.broker.reclaim(letter, caller, dead, entries, NOW)


def test_an_entry_gets_another_chance_at_the_front_with_its_death(lost: World) -> None:
    one = lost.deliver("n", "t1", worker="w2")
    reply, changed = lost.change(reclaim(lost, take(one)))
    assert reply == [b"OK", 1, 0, 1]
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "normal consumer w2": GONE,
        "front +1": ("deaths", "1", *entry_of(payload("t1"))),
        "index t1": "f+1",
    }


def test_a_second_death_makes_a_suspect_and_no_count_is_written_twice(lost: World) -> None:
    one = lost.deliver("f", "t1", "deaths", "1", "claimed", "1", worker="w2")
    reply, changed = lost.change(reclaim(lost, take(one, SUSPECTS, 2), letter="f"))
    assert reply == [b"OK", 1, 0, 1]
    assert changed == {
        "front 1-0": GONE,
        "front 1-0 pending": GONE,
        "front consumer w2": GONE,
        "suspects +1": ("deaths", "2", *entry_of(payload("t1"), "claimed", "1")),
        "index t1": "s+1",
    }


def test_one_death_too_many_buries_and_frees_the_key(lost: World) -> None:
    raw = payload("t1", idempotency_key="k")
    one = lost.deliver("s", "t1", "deaths", "5", "claimed", "1", raw=raw, worker="w2")
    lost.redis.set("idemp:k", "t1")
    with lost.hearing() as events:
        reply, changed = lost.change(reclaim(lost, take(one, DEAD, 6, "k"), letter="s"))
    assert reply == [b"OK", 0, 1, 1]
    assert changed == {
        "suspects 1-0": GONE,
        "suspects 1-0 pending": GONE,
        "suspects consumer w2": GONE,
        "dlq": "stream",
        "index t1": "d+1",
        "idemp:k": GONE,
        "dlq +1": ("died_at", NOW, "reason", "crashed", "deaths", "6", *entry_of(raw)),
    }
    assert events == [{"type": "DLQ", "task_id": "t1", "worker_id": "", "task_type": "mail"}]


@pytest.mark.parametrize("owner", ["t9", "1"])
def test_a_key_that_is_not_the_buried_tasks_stays(lost: World, owner: str) -> None:
    one = lost.deliver("n", "t1", raw=payload("t1", idempotency_key="k"), worker="w2")
    lost.redis.set("idemp:k", owner)
    _, changed = lost.change(reclaim(lost, take(one, DEAD, 6, "k")))
    assert "idemp:k" not in changed
    assert changed["index t1"] == "d+1"


def test_all_fields_and_every_byte_of_the_payload_are_kept(lost: World) -> None:
    one = lost.deliver("n", "t1", "claimed", "1", "trace", b"\x00\xff", raw=AWKWARD, worker="w2")
    lost.link.call(reclaim(lost, take(one)))
    assert lost.fetch("f").fields == [b"deaths", b"1", *one.fields]


@pytest.mark.parametrize(("target", "claimed"), [(FRONT, True), (DEAD, False)])
def test_an_entry_with_more_fields_than_a_script_hands_on_keeps_what_counts(
    lost: World, target: str, claimed: bool
) -> None:
    wide, plain = lost.deliver("n", "t1", *WIDE, "claimed", "1", worker="w2"), lost.deliver("n", "t2", worker="w2")
    assert lost.link.call(reclaim(lost, take(wide, target), take(plain)))[:1] == [b"OK"]
    stream = lost.keys.dlq if target == DEAD else lost.keys.streams[target]
    fields = lost.redis.xrange(stream)[0][1]
    assert (fields[b"payload"], b"claimed" in fields) == (payload("t1"), claimed)
    assert lost.redis.hget(lost.keys.index, "t2").startswith(b"f")


def test_what_cannot_be_read_gets_its_chance_too_and_no_row(lost: World) -> None:
    one = lost.deliver("n", "t1", raw=b"\xff{", worker="w2")
    lost.redis.delete(lost.keys.index)
    _, changed = lost.change(reclaim(lost, take(one)))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "normal consumer w2": GONE,
        "front +1": ("deaths", "1", *entry_of(b"\xff{")),
    }


def test_a_process_without_a_lease_row_is_dead(groups: World) -> None:
    groups.let(w1=NOW + 1)
    one = groups.deliver("n", "t1", worker="w2")
    assert groups.link.call(reclaim(groups, take(one)))[0] == b"OK"


@pytest.mark.parametrize("expiry", [None, NOW - 1, NOW])
def test_a_caller_whose_own_lease_is_not_valid_is_refused(groups: World, expiry: int | None) -> None:
    one = groups.deliver("n", "t1", worker="w2")
    if expiry is not None:
        groups.let(w1=expiry)
    assert groups.change(reclaim(groups, take(one))) == ([b"NOLEASE"], {})


def test_a_process_that_lives_is_not_robbed(groups: World) -> None:
    groups.let(w1=NOW + 5_000, w2=NOW + 1)
    one = groups.deliver("n", "t1", worker="w2")
    assert groups.change(reclaim(groups, take(one))) == ([b"ALIVE"], {})


def test_nobody_reclaims_from_itself(lost: World) -> None:
    one = lost.deliver("n", "t1", worker="w1")
    assert lost.change(reclaim(lost, take(one), dead="w1")) == ([b"ALIVE"], {})


def test_entries_of_other_processes_and_settled_ones_are_left_alone(lost: World) -> None:
    other = lost.deliver("n", "t1", worker="w3")
    settled = lost.deliver("n", "t2", worker="w2")
    waiting = Delivery(lost.keys, "n", lost.add("n", "t3").encode(), [], 0)
    lost.redis.xack(lost.keys.streams["n"], lost.broker.group, settled.entry)
    reply, changed = lost.change(reclaim(lost, take(other), take(settled), take(waiting)))
    assert (reply, changed) == ([b"OK", 0, 0, 1], {"normal consumer w2": GONE})


def test_reclaimed_twice_an_entry_gets_one_chance(lost: World) -> None:
    call = reclaim(lost, take(lost.deliver("n", "t1", worker="w2")))
    lost.link.call(call)
    assert lost.change(call) == ([b"OK", 0, 0, 1], {})


def test_an_entry_without_a_body_is_acked(lost: World) -> None:
    one, two = lost.deliver("n", "t1", worker="w2"), lost.deliver("n", "t2", worker="w2")
    lost.redis.xdel(lost.keys.streams["n"], one.entry)
    with lost.hearing() as events:
        reply, changed = lost.change(reclaim(lost, take(one), take(two)))
    assert reply == [b"OK", 1, 0, 1]
    assert [event["task_id"] for event in events] == ["t2"]
    assert changed == {
        "normal 1-0 pending": GONE,
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "normal consumer w2": GONE,
        "front +1": ("deaths", "1", *entry_of(payload("t2"))),
        "index t2": "f+1",
    }


def test_the_consumer_goes_only_when_nothing_is_pending_under_it(lost: World) -> None:
    one, two = lost.deliver("n", "t1", worker="w2"), lost.deliver("n", "t2", worker="w2")
    reply, changed = lost.change(reclaim(lost, take(one)))
    assert (reply, "normal consumer w2" in changed) == ([b"OK", 1, 0, 0], False)
    reply, changed = lost.change(reclaim(lost, take(two)))
    assert (reply, changed["normal consumer w2"]) == ([b"OK", 1, 0, 1], GONE)


def test_with_no_entries_at_all_an_idle_consumer_is_deleted(lost: World) -> None:
    one = lost.deliver("n", "t1", worker="w2")
    lost.redis.xack(lost.keys.streams["n"], lost.broker.group, one.entry)
    assert lost.change(reclaim(lost)) == ([b"OK", 0, 0, 1], {"normal consumer w2": GONE})


def test_a_batch_may_go_to_three_places(lost: World) -> None:
    entries = [lost.deliver("n", f"t{n}", worker="w2") for n in (1, 2, 3)]
    batch = [take(*each) for each in zip(entries, (FRONT, SUSPECTS, DEAD), (1, 2, 6), strict=True)]
    with lost.hearing() as events:
        reply, changed = lost.change(reclaim(lost, *batch))
    assert reply == [b"OK", 2, 1, 1]
    assert [changed[f"index t{n}"] for n in (1, 2, 3)] == ["f+1", "s+1", "d+1"]
    assert [(event["type"], event["task_id"]) for event in events] == [
        ("Pending", "t1"),
        ("Pending", "t2"),
        ("DLQ", "t3"),
    ]


@pytest.mark.parametrize("name", ["", "_front", "_suspects", "_dlq", ":index", ":leases"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(lost: World, name: str) -> None:
    one = lost.deliver("n", "t1", worker="w2")
    lost.redis.set(f"buraq_tasks{name}", "a text")
    lost.fails(reclaim(lost, take(one)), match="WRONGTYPE")


@pytest.mark.parametrize("recreated", [False, True])
def test_after_the_group_was_destroyed_nothing_is_taken(lost: World, recreated: bool) -> None:
    one, stream = lost.deliver("n", "t1", worker="w2"), lost.keys.streams["n"]
    lost.redis.xgroup_destroy(stream, lost.broker.group)
    if recreated:
        lost.redis.xgroup_create(stream, lost.broker.group, "0")
        assert lost.change(reclaim(lost, take(one))) == ([b"OK", 0, 0, 1], {})
    else:
        lost.fails(reclaim(lost, take(one)), match="NOGROUP")


def test_a_server_at_maxmemory_still_reclaims(lost: World) -> None:
    one = lost.deliver("n", "t1", worker="w2")
    with lost.at_maxmemory():
        reply, changed = lost.change(reclaim(lost, take(one)))
    assert (reply, changed["index t1"]) == ([b"OK", 1, 0, 1], "f+1")
