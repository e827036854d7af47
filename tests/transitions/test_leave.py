"""leave: a worker process stops cleanly and hands back all that it holds."""

import pytest

from tests.transitions.world import AWKWARD, GONE, WIDE, World, entry_of, payload

pytestmark = pytest.mark.each_server


def test_what_is_pending_goes_back_and_the_process_is_forgotten(groups: World) -> None:
    groups.let(w1=2_000, w2=2_000)
    for key in (groups.keys.worker("w1"), groups.keys.settled("w1"), groups.keys.worker("w2")):
        groups.redis.hset(key, "a", "b")
    for letter, name in (("h", "t1"), ("n", "t2"), ("l", "t3"), ("f", "t4"), ("s", "t5")):
        groups.deliver(letter, name)
    groups.deliver("n", "t6", worker="w2")
    groups.add("n", "t7")
    reply, changed = groups.change(groups.broker.leave("w1"))
    assert reply == [5, 1]
    streams = {"high": "1-0", "normal": "2-0", "low": "3-0", "front": "4-0", "suspects": "5-0"}
    assert changed == {
        **{f"{stream} {entry}": GONE for stream, entry in streams.items()},
        **{f"{stream} {entry} pending": GONE for stream, entry in streams.items()},
        **{f"{stream} consumer w1": GONE for stream in streams},
        **{f"front +{n}": entry_of(payload(f"t{n}")) for n in (1, 2, 3, 4)},
        **{f"index t{n}": f"f+{n}" for n in (1, 2, 3, 4)},
        "suspects +1": entry_of(payload("t5")),
        "index t5": "s+1",
        "leases w1": GONE,
        "worker:w1 a": GONE,
        "memo:w1 a": GONE,
    }


def test_all_fields_and_every_byte_of_the_payload_are_kept(groups: World) -> None:
    one = groups.deliver("n", "t1", "claimed", "1", "deaths", "1", "trace", b"\x00\xff", raw=AWKWARD)
    groups.link.call(groups.broker.leave("w1"))
    assert groups.fetch("f", "w2").fields == one.fields
    assert groups.state()["index t1"] == "f+1"


def test_an_entry_with_more_fields_than_a_script_hands_on_keeps_what_counts(groups: World) -> None:
    groups.deliver("n", "t1", *WIDE, "claimed", "1")
    assert groups.link.call(groups.broker.leave("w1")) == [1, 1]
    again = groups.fetch("f", "w2")
    assert (again.raw, again.claimed) == (payload("t1"), True)


@pytest.mark.parametrize("raw", [b"{broken", b"[1]", b'"t1"', b'{"id":7}', b"null"])
def test_what_cannot_be_read_is_handed_back_too_and_gets_no_row(groups: World, raw: bytes) -> None:
    groups.deliver("n", "t1", raw=raw)
    groups.redis.delete(groups.keys.index)
    _, changed = groups.change(groups.broker.leave("w1"))
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "front +1": entry_of(raw),
        "normal consumer w1": GONE,
    }


def test_with_more_than_the_limit_the_process_is_not_forgotten_yet(groups: World) -> None:
    groups.let(w1=2_000)
    for n in (1, 2, 3):
        groups.deliver("n", f"t{n}")
    groups.deliver("l", "t4")
    reply, changed = groups.change(groups.broker.leave("w1", limit=2))
    assert reply == [2, 0]
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "front +1": entry_of(payload("t1")),
        "index t1": "f+1",
        "normal 2-0": GONE,
        "normal 2-0 pending": GONE,
        "front +2": entry_of(payload("t2")),
        "index t2": "f+2",
    }
    reply, changed = groups.change(groups.broker.leave("w1", limit=2))
    assert reply == [2, 1]
    assert changed == {
        "normal 3-0": GONE,
        "normal 3-0 pending": GONE,
        "front +3": entry_of(payload("t3")),
        "index t3": "f+3",
        "low 4-0": GONE,
        "low 4-0 pending": GONE,
        "front +4": entry_of(payload("t4")),
        "index t4": "f+4",
        "leases w1": GONE,
        "normal consumer w1": GONE,
        "low consumer w1": GONE,
    }


def test_entries_without_a_body_do_not_hide_those_behind_them(groups: World) -> None:
    deliveries = [groups.deliver("n", f"t{n}") for n in range(1, 6)]
    groups.redis.xdel(groups.keys.streams["n"], *(each.entry for each in deliveries[:2]))
    replies = [groups.link.call(groups.broker.leave("w1", limit=2)) for _ in range(3)]
    assert replies == [[0, 0], [2, 0], [1, 1]]
    state = groups.state()
    assert [path for path in state if path.startswith("front +")] == ["front +1", "front +2", "front +3"]
    assert [path for path in state if path.endswith("pending")] == []


def test_exactly_the_limit_is_done_in_one_go(groups: World) -> None:
    groups.deliver("h", "t1")
    groups.deliver("s", "t2")
    assert groups.link.call(groups.broker.leave("w1", limit=2)) == [2, 1]


def test_leaving_again_changes_nothing(groups: World) -> None:
    groups.deliver("n", "t1")
    groups.link.call(groups.broker.leave("w1"))
    assert groups.change(groups.broker.leave("w1")) == ([0, 1], {})


def test_without_streams_or_groups_the_process_is_forgotten_all_the_same(world: World) -> None:
    world.let(w1=2_000)
    assert world.change(world.broker.leave("w1")) == ([0, 1], {"leases w1": GONE})


def test_a_group_that_was_destroyed_and_made_again_keeps_its_entries(groups: World) -> None:
    groups.deliver("n", "t1")
    stream = groups.keys.streams["n"]
    groups.redis.xgroup_destroy(stream, groups.broker.group)
    groups.redis.xgroup_create(stream, groups.broker.group, "0")
    assert groups.change(groups.broker.leave("w1")) == ([0, 1], {})
    assert groups.fetch("n", "w2").entry == b"1-0"


@pytest.mark.parametrize("name", ["_front", "_suspects", ":index", ":leases"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    groups.deliver("n", "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.leave("w1"), match="WRONGTYPE")


@pytest.mark.parametrize(("name", "other"), [("", "h"), ("_high", "l"), ("_low", "n")])
def test_a_stream_of_the_wrong_type_holds_nothing_and_the_others_are_handed_back(
    groups: World, name: str, other: str
) -> None:
    groups.deliver(other, "t1")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    assert groups.link.call(groups.broker.leave("w1")) == [1, 1]


def test_a_server_at_maxmemory_takes_all_back(groups: World) -> None:
    groups.let(w1=2_000)
    groups.deliver("n", "t1")
    with groups.at_maxmemory():
        reply, changed = groups.change(groups.broker.leave("w1"))
    assert reply == [1, 1]
    assert changed == {
        "normal 1-0": GONE,
        "normal 1-0 pending": GONE,
        "normal consumer w1": GONE,
        "leases w1": GONE,
        "front +1": entry_of(payload("t1")),
        "index t1": "f+1",
    }
