"""replay: dead letters get another life, if nobody else took their idempotency key."""

from dataclasses import replace

import pytest

from buraq.broker import Replayable
from buraq.scripts import Call
from buraq.task import decode, recode
from tests.transitions.world import AWKWARD, DAY, GONE, World, entry_of, payload

pytestmark = pytest.mark.each_server


def bury(world: World, task_id: str, raw: bytes | None = None, **members: object) -> Replayable:
    """Add a dead letter and return it as it is sent back."""
    last = raw or payload(task_id, current_retries=3, error="no", **members)
    entry = world.add("d", task_id, "reason", "retries", "deaths", "2", raw=last)
    task = decode(last)
    return Replayable(entry, task, recode(task, current_retries=0, error=""))


def replay(world: World, *letters: Replayable) -> Call:
    return world.broker.replay(letters)


def test_letters_go_back_to_the_streams_of_their_priority_with_no_retries_used(groups: World) -> None:
    letters = [bury(groups, f"t{n}", priority=p) for n, p in enumerate(("high", "normal", "low", "?"), 1)]
    reply, changed = groups.change(replay(groups, *letters))
    assert reply == []
    assert changed == {
        **{f"dlq {n}-0": GONE for n in (1, 2, 3, 4)},
        "high +1": entry_of(letters[0].payload),
        "index t1": "h+1",
        "normal +1": entry_of(letters[1].payload),
        "index t2": "n+1",
        "low +1": entry_of(letters[2].payload),
        "index t3": "l+1",
        "normal +2": entry_of(letters[3].payload),
        "index t4": "n+2",
    }
    assert b'"current_retries":0' in letters[0].payload


def test_where_all_priorities_share_one_line_they_go_there(groups: World) -> None:
    letter = bury(groups, "t1", priority="high")
    groups.link.call(replace(groups.broker, priorities=False).replay([letter]))
    assert groups.state()["index t1"] == "n+1"


def test_what_python_wrote_is_written_byte_for_byte(groups: World) -> None:
    letter = bury(groups, "t1", raw=AWKWARD)
    groups.link.call(replay(groups, letter._replace(payload=AWKWARD)))
    assert groups.fetch("n").raw == AWKWARD


@pytest.mark.parametrize("holder", [None, "1", "t1"])
def test_a_key_that_no_other_task_has_is_claimed_for_another_day(groups: World, holder: str | None) -> None:
    letter = bury(groups, "t1", idempotency_key="k")
    if holder:
        groups.redis.set("idemp:k", holder, px=60_000)
    reply, changed = groups.change(replay(groups, letter))
    assert reply == []
    claim = {"idemp:k": "t1"} if holder != "t1" else {}
    assert changed == {
        "dlq 1-0": GONE,
        "normal +1": entry_of(letter.payload, "claimed", "1"),
        "index t1": "n+1",
        "idemp:k ttl": DAY,
        **claim,
    }


def test_a_letter_whose_key_another_task_owns_stays_and_its_neighbours_go(groups: World) -> None:
    owned, free = bury(groups, "t1", idempotency_key="k"), bury(groups, "t2")
    groups.redis.set("idemp:k", "t9", px=60_000)
    with groups.hearing() as events:
        reply, changed = groups.change(replay(groups, owned, free))
    assert reply == [1, b"OWNED"]
    assert changed == {"dlq 2-0": GONE, "normal +1": entry_of(free.payload), "index t2": "n+1"}
    assert [event["task_id"] for event in events] == ["t2"]


def test_a_key_that_is_no_text_is_somebody_elses(groups: World) -> None:
    free, owned = bury(groups, "t1"), bury(groups, "t2", idempotency_key="k")
    groups.redis.rpush("idemp:k", "t2")
    reply, changed = groups.change(replay(groups, free, owned))
    assert reply == [2, b"OWNED"]
    assert changed == {"dlq 1-0": GONE, "normal +1": entry_of(free.payload), "index t1": "n+1"}


def test_of_two_letters_with_one_key_the_first_goes_back(groups: World) -> None:
    first, second = (bury(groups, f"t{n}", idempotency_key="k") for n in (1, 2))
    reply, changed = groups.change(replay(groups, first, second))
    assert reply == [2, b"OWNED"]
    assert (changed["idemp:k"], changed["index t1"], changed["dlq 1-0"]) == ("t1", "n+1", GONE)
    assert "dlq 2-0" not in changed


def test_a_letter_that_is_gone_is_not_sent_again(groups: World) -> None:
    gone, here = bury(groups, "t1", idempotency_key="k"), bury(groups, "t2")
    groups.redis.xdel(groups.keys.dlq, gone.entry)
    reply, changed = groups.change(replay(groups, gone, here, here))
    assert reply == [1, b"GONE", 3, b"GONE"]
    assert changed == {"dlq 2-0": GONE, "normal +1": entry_of(here.payload), "index t2": "n+1"}


def test_replayed_twice_a_letter_goes_back_once(groups: World) -> None:
    call = replay(groups, bury(groups, "t1", idempotency_key="k"))
    assert groups.link.call(call) == []
    assert groups.change(call) == ([1, b"GONE"], {})


def test_listeners_hear_that_it_waits_again(groups: World) -> None:
    with groups.hearing() as events:
        groups.link.call(replay(groups, bury(groups, "t1")))
    said = {"type": "Pending", "worker_id": "", "task_type": "mail", "queue": "default"}
    assert events == [{**said, "task_id": "t1"}]


def test_it_needs_no_consumer_group(world: World) -> None:
    letter = bury(world, "t1")
    _, changed = world.change(replay(world, letter))
    assert changed == {"dlq 1-0": GONE, "normal": "stream", "normal +1": entry_of(letter.payload), "index t1": "n+1"}


@pytest.mark.parametrize("name", ["", "_high", "_low", "_dlq", ":index"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    letter = bury(groups, "t1", idempotency_key="k", priority=name.strip("_:") or "normal")
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(replay(groups, letter), match="WRONGTYPE")


def test_a_server_at_maxmemory_still_replays(groups: World) -> None:
    keyed, plain = bury(groups, "t1", idempotency_key="k"), bury(groups, "t2")
    with groups.at_maxmemory():
        reply, changed = groups.change(replay(groups, keyed, plain))
    assert reply == []
    assert changed == {
        "dlq 1-0": GONE,
        "normal +1": entry_of(keyed.payload, "claimed", "1"),
        "index t1": "n+1",
        "dlq 2-0": GONE,
        "normal +2": entry_of(plain.payload),
        "index t2": "n+2",
        "idemp:k": "t1",
        "idemp:k ttl": DAY,
    }
