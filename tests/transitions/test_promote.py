"""promote: scheduled tasks whose time has come go to their streams."""

import pytest

from tests.transitions.world import AWKWARD, GONE, World, entry_of, payload

pytestmark = pytest.mark.each_server

NOW = 1_000_000


def gone(task_id: str) -> dict[str, str]:
    return {f"scheduled {task_id}": GONE, f"scheduled:tasks {task_id}": GONE}


def test_what_is_due_goes_to_its_stream_and_the_rest_waits(groups: World) -> None:
    groups.schedule("t1", NOW - 5, "zh-0")
    groups.schedule("t2", NOW, "zn-0")
    groups.schedule("t3", NOW + 250, "zl-0")
    reply, changed = groups.change(groups.broker.promote(NOW))
    assert reply == [2, 250]
    assert changed == {
        **gone("t1"),
        "high +1": entry_of(payload("t1")),
        "index t1": "h+1",
        **gone("t2"),
        "normal +1": entry_of(payload("t2")),
        "index t2": "n+1",
    }


def test_with_nothing_due_nothing_is_written(groups: World) -> None:
    assert groups.change(groups.broker.promote(NOW)) == ([0, -1], {})
    groups.schedule("t1", NOW + 1)
    assert groups.change(groups.broker.promote(NOW)) == ([0, 1], {})


def test_without_a_time_the_servers_clock_counts(groups: World) -> None:
    groups.schedule("t1", NOW)
    [moved, wait] = groups.link.call(groups.broker.promote())
    assert (moved, wait) == (1, -1)


def test_the_earliest_go_first_and_no_more_than_asked(groups: World) -> None:
    for name, due in (("t1", NOW - 1), ("t2", NOW - 3), ("t3", NOW - 2)):
        groups.schedule(name, due)
    reply, changed = groups.change(groups.broker.promote(NOW, limit=2))
    assert reply == [2, 0]
    assert changed == {
        **gone("t2"),
        "normal +1": entry_of(payload("t2")),
        "index t2": "n+1",
        **gone("t3"),
        "normal +2": entry_of(payload("t3")),
        "index t3": "n+2",
    }


@pytest.mark.parametrize(
    ("place", "stream", "row", "fields"),
    [
        ("zhk0", "high", "h+1", ("claimed", "1")),
        ("zl-1", "low", "l+1", ("deaths", "1")),
        ("znk1", "normal", "n+1", ("claimed", "1", "deaths", "1")),
        ("zn-2", "suspects", "s+1", ("deaths", "2")),
        ("zhk12", "suspects", "s+1", ("claimed", "1", "deaths", "12")),
    ],
)
def test_the_entry_carries_what_the_index_kept_and_two_deaths_make_a_suspect(
    groups: World, place: str, stream: str, row: str, fields: tuple[str, ...]
) -> None:
    groups.schedule("t1", NOW, place)
    _, changed = groups.change(groups.broker.promote(NOW))
    assert changed == {**gone("t1"), "index t1": row, f"{stream} +1": entry_of(payload("t1"), *fields)}


@pytest.mark.parametrize("place", [None, "n1-0", "zx-0", ""])
def test_a_task_that_somebody_else_scheduled_goes_to_the_normal_stream(groups: World, place: str | None) -> None:
    groups.schedule("t1", NOW, place or "z")
    if place is None:
        groups.redis.delete(groups.keys.index)
    _, changed = groups.change(groups.broker.promote(NOW))
    assert changed == {**gone("t1"), "index t1": "n+1", "normal +1": entry_of(payload("t1"))}


def test_the_payload_is_moved_byte_for_byte(groups: World) -> None:
    groups.schedule("t1", NOW, raw=AWKWARD)
    groups.link.call(groups.broker.promote(NOW))
    assert groups.fetch("n").raw == AWKWARD


def test_a_row_without_a_payload_is_forgotten_and_its_neighbours_move(groups: World) -> None:
    groups.schedule("t1", NOW - 1)
    groups.schedule("t2", NOW)
    groups.redis.hdel(groups.keys.tasks, "t1")
    reply, changed = groups.change(groups.broker.promote(NOW))
    assert reply == [1, -1]
    assert changed == {
        "scheduled t1": GONE,
        **gone("t2"),
        "normal +1": entry_of(payload("t2")),
        "index t2": "n+1",
    }


def test_a_row_without_a_payload_alone_is_forgotten(groups: World) -> None:
    groups.schedule("t1", NOW)
    groups.redis.hdel(groups.keys.tasks, "t1")
    assert groups.change(groups.broker.promote(NOW)) == ([0, -1], {"scheduled t1": GONE})


def test_listeners_hear_that_it_waits_for_a_worker(groups: World) -> None:
    groups.schedule("t1", NOW - 1)
    groups.schedule("t2", NOW, raw=b'{"id":"t2","type":"qu\\"ote"}')
    with groups.hearing() as events:
        groups.link.call(groups.broker.promote(NOW))
    said = {"type": "Pending", "worker_id": "", "queue": "default"}
    assert events == [{**said, "task_id": "t1", "task_type": "mail"}, {**said, "task_id": "t2", "task_type": ""}]


def test_it_needs_no_consumer_group(world: World) -> None:
    world.schedule("t1", NOW)
    _, changed = world.change(world.broker.promote(NOW))
    assert changed == {**gone("t1"), "normal": "stream", "normal +1": entry_of(payload("t1")), "index t1": "n+1"}


@pytest.mark.parametrize("name", ["", "_high", "_low", "_suspects", ":scheduled", ":scheduled:tasks", ":index"])
def test_a_key_of_the_wrong_type_is_an_error_before_anything_is_written(groups: World, name: str) -> None:
    places = {"": "zn-0", "_high": "zh-0", "_low": "zl-0", "_suspects": "zn-2"}
    groups.schedule("t1", NOW, places.get(name, "zn-0"))
    groups.redis.set(f"buraq_tasks{name}", "a text")
    groups.fails(groups.broker.promote(NOW), match="WRONGTYPE")


def test_a_server_at_maxmemory_still_promotes(groups: World) -> None:
    groups.schedule("t1", NOW)
    with groups.at_maxmemory():
        _, changed = groups.change(groups.broker.promote(NOW))
    assert changed == {**gone("t1"), "normal +1": entry_of(payload("t1")), "index t1": "n+1"}
