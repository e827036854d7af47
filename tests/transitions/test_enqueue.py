"""enqueue: each task of a batch is accepted, or refused by itself; what is asked twice is answered twice."""

import pytest

from buraq.broker import MEMO_LIFE_MS, Item, Verdict
from buraq.scripts import Call
from tests.transitions.world import AWKWARD, DAY, GONE, World, entry_of, payload

pytestmark = pytest.mark.each_server

NOW = 1_000_000
LETTERS = {"high": "h", "normal": "n", "low": "l"}


def item(task_id: str, stream: str = "normal", due: str = "", owner: str = "", raw: bytes | None = None) -> Item:
    return Item(task_id, LETTERS[stream], due, owner, payload(task_id) if raw is None else raw)


def enqueue(world: World, *items: Item, number: int = 1, producer: str = "p1") -> Call:
    return world.broker.enqueue(items, producer, number, NOW)


def memo(number: int = 1, reply: str = "{}") -> dict[str, object]:
    return {"memo:p1": f"{number} {reply}", "memo:p1 ttl": MEMO_LIFE_MS // 1000}


def word(world: World, reply: list[object]) -> list[str]:
    return [verdict.word for _, verdict in sorted(world.broker.verdicts(reply).items())]


# --- Accepted


def test_tasks_go_to_the_streams_of_their_priority(world: World) -> None:
    reply, changed = world.change(enqueue(world, item("t1"), item("t2", "high"), item("t3", "low"), item("t4")))
    assert reply == []
    assert changed == {
        "high": "stream",
        "normal": "stream",
        "low": "stream",
        "normal +1": entry_of(payload("t1")),
        "index t1": "n+1",
        "high +1": entry_of(payload("t2")),
        "index t2": "h+1",
        "low +1": entry_of(payload("t3")),
        "index t3": "l+1",
        "normal +2": entry_of(payload("t4")),
        "index t4": "n+2",
        **memo(),
    }


def test_the_payload_is_written_byte_for_byte(world: World) -> None:
    world.link.call(enqueue(world, item("t1", raw=AWKWARD), item("t2", due="+5000", raw=AWKWARD)))
    [(_, fields)] = world.link.command("XRANGE", world.keys.streams["n"], "-", "+")
    assert fields == [b"payload", AWKWARD]
    assert world.redis.hget(world.keys.tasks, "t2") == AWKWARD


@pytest.mark.parametrize(
    ("due", "score"),
    [
        ("+1", NOW + 1),
        ("+60000", NOW + 60_000),
        (str(NOW + 1), NOW + 1),
        (f" {NOW + 2.4} ", NOW + 2),  # a number to Lua, not to ZADD
        ("+8e11", NOW + 800_000_000_000),
    ],
)
def test_what_is_due_later_waits_in_the_scheduled_set(world: World, due: str, score: int) -> None:
    reply, changed = world.change(enqueue(world, item("t1", "high", due)))
    assert reply == []
    waits = {"scheduled t1": score, "scheduled:tasks t1": payload("t1").decode(), "index t1": "zh-0"}
    assert changed == {**waits, **memo()}


@pytest.mark.parametrize("due", ["0", "1", str(NOW), str(NOW - 1), "+0", "-5"])
def test_what_is_due_already_goes_straight_to_its_stream(world: World, due: str) -> None:
    reply, changed = world.change(enqueue(world, item("t1", "low", due)))
    assert reply == []
    assert changed == {"low": "stream", "low +1": entry_of(payload("t1")), "index t1": "l+1", **memo()}


def test_without_a_time_a_delay_counts_from_the_servers_clock(world: World) -> None:
    world.link.call(world.broker.enqueue([item("t1", due="+60000")], "p1", 1))
    assert world.state()["scheduled t1"] == "now+60"


def test_listeners_hear_of_what_waits_for_a_worker(world: World) -> None:
    batch = item("t1"), item("t2", due="+5000"), item("t3", due="soon"), item('"é', raw=b'{"type":"a b"}'), item("t1")
    with world.hearing() as events:
        world.link.call(enqueue(world, *batch))
    said = {"type": "Pending", "worker_id": "", "queue": "default"}
    assert events == [
        {**said, "task_id": "t1", "task_type": "mail"},
        {**said, "task_id": '"é', "task_type": "a b"},
    ]


# --- Refused one by one


@pytest.mark.parametrize("due", ["soon", "+", "+soon", "nan", "+nan", "inf", "-inf", "1e300", "+-5", "None"])
def test_a_due_time_that_is_no_number_refuses_that_task_alone(world: World, due: str) -> None:
    batch = item("t1"), item("t2", due=due, owner="k"), item("t3", due="+5000")
    reply, changed = world.change(enqueue(world, *batch))
    assert world.broker.verdicts(reply) == {1: Verdict("REFUSED", f"due time {due}")}
    assert changed == {
        "normal": "stream",
        "normal +1": entry_of(payload("t1")),
        "index t1": "n+1",
        "scheduled t3": NOW + 5000,
        "scheduled:tasks t3": payload("t3").decode(),
        "index t3": "zn-0",
        **memo(reply=f'[2,"REFUSED","due time {due}"]'),
    }


def test_a_stream_of_the_wrong_type_refuses_its_tasks_alone(world: World) -> None:
    world.redis.set(world.keys.streams["h"], "a text")
    reply, changed = world.change(enqueue(world, item("t1", "high", owner="k"), item("t2")))
    assert word(world, reply) == ["REFUSED"]
    assert "WRONGTYPE" in world.broker.verdicts(reply)[0].detail
    changed.pop("memo:p1")
    assert changed == {
        "normal": "stream",
        "normal +1": entry_of(payload("t2")),
        "index t2": "n+1",
        "memo:p1 ttl": MEMO_LIFE_MS // 1000,
    }


def test_an_idempotency_key_of_the_wrong_type_refuses_its_task_alone(world: World) -> None:
    world.redis.rpush("idemp:k", "t9")
    reply, changed = world.change(enqueue(world, item("t1", owner="k"), item("t2")))
    assert word(world, reply) == ["REFUSED"]
    assert "idemp:k" not in changed
    assert (changed.get("index t1"), changed["index t2"]) == (None, "n+1")


def test_a_place_that_cannot_be_asked_refuses_its_task_alone(world: World) -> None:
    world.redis.set(world.keys.streams["f"], "a text")
    world.redis.hset(world.keys.index, "t2", "f7-0")
    world.redis.hset(world.keys.index, "t3", "nowhere")
    reply, changed = world.change(enqueue(world, item("t1"), item("t2"), item("t3"), item("t4")))
    assert sorted(world.broker.verdicts(reply)) == [1, 2]
    assert word(world, reply) == ["REFUSED", "REFUSED"]
    changed.pop("memo:p1")
    assert changed == {
        "normal": "stream",
        "memo:p1 ttl": MEMO_LIFE_MS // 1000,
        "normal +1": entry_of(payload("t1")),
        "index t1": "n+1",
        "normal +2": entry_of(payload("t4")),
        "index t4": "n+2",
    }


def test_a_scheduled_set_that_cannot_be_asked_refuses_its_task_alone(world: World) -> None:
    world.redis.set(world.keys.scheduled, "a text")
    world.redis.hset(world.keys.index, "t2", "zn-0")
    reply, changed = world.change(enqueue(world, item("t1"), item("t2"), item("t3")))
    assert sorted(world.broker.verdicts(reply)) == [1]
    assert word(world, reply) == ["REFUSED"]
    assert (changed["index t1"], changed["index t3"]) == ("n+1", "n+2")


# --- Known


@pytest.mark.parametrize("letter", ["h", "n", "l", "f", "s", "d"])
def test_a_task_that_its_place_confirms_is_known(world: World, letter: str) -> None:
    world.add(letter, "t1")
    reply, changed = world.change(enqueue(world, item("t1", owner="k")))
    assert world.broker.verdicts(reply) == {0: Verdict("KNOWN", "")}
    assert changed == memo(reply='[1,"KNOWN",""]')


def test_a_running_and_a_scheduled_task_are_known(groups: World) -> None:
    groups.deliver("n", "t1")
    groups.schedule("t2", NOW + 5)
    reply, changed = groups.change(enqueue(groups, item("t1"), item("t2", due="+9")))
    assert word(groups, reply) == ["KNOWN", "KNOWN"]
    assert changed == memo(reply='[1,"KNOWN","",2,"KNOWN",""]')


@pytest.mark.parametrize("place", ["n7-0", "h7-0", "l7-0", "f7-0", "s7-0", "d7-0", "zn-0", "x7-0", ""])
def test_a_row_that_its_place_does_not_confirm_is_not_believed(world: World, place: str) -> None:
    for letter in "hnlfsd":
        world.add(letter, f"other-{letter}", row=False)
    world.redis.hset(world.keys.index, "t1", place)
    reply, changed = world.change(enqueue(world, item("t1")))
    assert reply == []
    assert changed == {"normal +1": entry_of(payload("t1")), "index t1": "n+1", **memo()}


def test_one_id_twice_in_a_batch_is_one_task(world: World) -> None:
    reply, changed = world.change(enqueue(world, item("t1"), item("t1", "high", "+5")))
    assert world.broker.verdicts(reply) == {1: Verdict("KNOWN", "")}
    entry = {"normal": "stream", "normal +1": entry_of(payload("t1")), "index t1": "n+1"}
    assert changed == {**entry, **memo(reply='[2,"KNOWN",""]')}


# --- Idempotency keys


@pytest.mark.parametrize("holder", [None, "1"])
def test_a_key_that_is_free_or_the_originals_is_claimed_and_the_entry_says_so(world: World, holder: str | None) -> None:
    if holder:
        world.redis.set("idemp:k", holder, px=60_000)
    reply, changed = world.change(enqueue(world, item("t1", owner="k")))
    assert reply == []
    assert changed == {
        "normal": "stream",
        "normal +1": entry_of(payload("t1"), "claimed", "1"),
        "index t1": "n+1",
        "idemp:k": "t1",
        "idemp:k ttl": DAY,
        **memo(),
    }


@pytest.mark.parametrize(("due", "wait"), [("+3600000", 3600), (str(NOW + 3_600_000), 3600), (str(NOW - 3_600_000), 0)])
def test_the_24_hours_count_from_the_due_time(world: World, due: str, wait: int) -> None:
    _, changed = world.change(enqueue(world, item("t1", due=due, owner="k")))
    assert (changed["idemp:k"], changed["idemp:k ttl"]) == ("t1", DAY + wait)
    assert changed["index t1"] == ("znk0" if wait else "n+1")


@pytest.mark.parametrize("due", ["", "+5000"])
def test_a_key_of_another_task_makes_a_duplicate_that_names_it(world: World, due: str) -> None:
    world.redis.set("idemp:k", "é-t9", px=60_000)
    reply, changed = world.change(enqueue(world, item("t1", due=due, owner="k"), item("t2")))
    assert world.broker.verdicts(reply) == {0: Verdict("DUPLICATE", "é-t9")}
    assert changed == {
        "normal": "stream",
        "normal +1": entry_of(payload("t2")),
        "index t2": "n+1",
        **memo(reply='[1,"DUPLICATE","é-t9"]'),
    }


def test_one_key_twice_in_a_batch_belongs_to_the_first(world: World) -> None:
    batch = item("t1", owner="k"), item("t2", owner="k"), item("t3", owner="k2"), item("t4", due="+5", owner="k")
    reply, changed = world.change(enqueue(world, *batch))
    assert world.broker.verdicts(reply) == {1: Verdict("DUPLICATE", "t1"), 3: Verdict("DUPLICATE", "t1")}
    assert {path: changed[path] for path in changed if path.startswith(("index", "idemp"))} == {
        "index t1": "n+1",
        "idemp:k": "t1",
        "idemp:k ttl": DAY,
        "index t3": "n+2",
        "idemp:k2": "t3",
        "idemp:k2 ttl": DAY,
    }


def test_a_refused_task_leaves_its_key_to_the_next_one_of_its_batch(world: World) -> None:
    reply, changed = world.change(enqueue(world, item("t1", due="soon", owner="k"), item("t2", owner="k")))
    assert word(world, reply) == ["REFUSED"]
    assert changed["idemp:k"] == "t2"


def test_a_task_that_is_done_is_its_own_duplicate_while_its_key_lives(world: World) -> None:
    world.redis.set("idemp:k", "t1")
    reply, changed = world.change(enqueue(world, item("t1", owner="k")))
    assert world.broker.verdicts(reply) == {0: Verdict("DUPLICATE", "t1")}
    assert changed == memo(reply='[1,"DUPLICATE","t1"]')


# --- Remembered


def test_the_same_number_again_has_the_same_answer_and_writes_nothing(world: World) -> None:
    world.redis.set("idemp:k", "t9")
    call = enqueue(world, item("t1"), item("t2", due="soon"), item("t3", owner="k"), item("t4", due="+5"), number=7)
    first = world.link.call(call)
    assert word(world, first) == ["REFUSED", "DUPLICATE"]
    with world.hearing() as events:
        again, changed = world.change(call)
    assert (again, changed, events) == (first, {}, [])


def test_the_same_number_again_has_the_same_answer_when_all_was_accepted(world: World) -> None:
    call = enqueue(world, item("t1"))
    assert world.link.call(call) == []
    assert world.change(call) == ([], {})


def test_the_answer_is_remembered_even_when_the_task_is_long_gone(groups: World) -> None:
    call = enqueue(groups, item("t1"))
    groups.link.call(call)
    groups.redis.delete(groups.keys.streams["n"], groups.keys.index)
    assert groups.change(call) == ([], {})


def test_an_older_number_is_an_error(world: World) -> None:
    world.link.call(enqueue(world, item("t1"), number=10))
    world.fails(enqueue(world, item("t2"), number=9), match="STALE batch 9 came after 10")


def test_a_higher_number_takes_the_place_of_the_memo_and_producers_have_their_own(world: World) -> None:
    world.link.call(enqueue(world, item("t1"), number=9))
    _, changed = world.change(enqueue(world, item("t2"), number=10))
    assert changed["memo:p1"] == "10 {}"
    assert world.link.call(enqueue(world, item("t3"), number=1, producer="p2")) == []


# --- Refused whole


@pytest.mark.parametrize("name", [":index", ":scheduled", ":scheduled:tasks"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(world: World, name: str) -> None:
    world.redis.set(f"buraq_tasks{name}", "a text")
    world.fails(enqueue(world, item("t1", owner="k"), item("t2", due="+5")), match="WRONGTYPE")


def test_a_memo_of_the_wrong_type_is_an_error(world: World) -> None:
    world.redis.rpush(world.keys.accepted("p1"), "1 {}")
    world.fails(enqueue(world, item("t1")), match="WRONGTYPE")


@pytest.mark.parametrize(("due", "owner"), [("", ""), ("", "k"), ("+5000", ""), ("+5000", "k")])
def test_a_server_at_maxmemory_refuses_the_whole_batch(world: World, due: str, owner: str) -> None:
    world.link.call(enqueue(world, item("t0")))
    call = enqueue(world, item("t1", due=due, owner=owner), item("t2"), number=2)
    with world.at_maxmemory():
        world.fails(call, match="maxmemory")
    assert world.change(call)[0] == []


def test_after_all_data_was_lost_the_same_number_is_accepted_again(world: World) -> None:
    call = enqueue(world, item("t1"))
    world.link.call(call)
    world.redis.flushall()
    reply, changed = world.change(call)
    assert reply == []
    assert changed["index t1"] == "n+1"
    assert GONE not in changed.values()
