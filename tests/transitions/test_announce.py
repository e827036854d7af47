"""announce: the listeners hear what has started, and nothing is written."""

import pytest

from tests.transitions.world import NOTE, World

pytestmark = pytest.mark.each_server


def test_listeners_hear_of_each_start_in_order(groups: World) -> None:
    groups.deliver("n", "t1")
    names = ["t1", 'é"\\/', "t3"]
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.announce([(name, NOTE) for name in names]))
    assert (reply, changed) == (1, {})
    said = {"type": "Processing", "worker_id": "w1-7", "task_type": "mail"}
    assert events == [{**said, "task_id": name} for name in names]


def test_with_no_listener_it_says_so_and_writes_nothing(groups: World) -> None:
    groups.deliver("n", "t1")
    assert groups.change(groups.broker.announce([("t1", NOTE), ("t2", NOTE)])) == (0, {})


def test_a_server_at_maxmemory_announces(groups: World) -> None:
    with groups.hearing() as events, groups.at_maxmemory():
        assert groups.link.call(groups.broker.announce([("t1", NOTE)])) == 1
    assert len(events) == 1
