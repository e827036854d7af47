"""What is left is found, and named: the look after each test sees something."""

import pytest

from tests.faults.leftovers import left_in


def test_what_is_left_in_a_server_is_counted_by_what_it_is(server, redis):
    assert left_in(server) == {}

    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    redis.xgroup_createconsumer("buraq_tasks", "buraq_workers", "dead")
    redis.zadd("buraq_tasks:leases", {"gone": 1, "alive": 1 << 50})
    redis.xadd("buraq_tasks_front", {"payload": "{}"})
    redis.hset("buraq_tasks:index", mapping={"t1": "f1-0", "t2": "n1-0", "t3": "z"})
    redis.zadd("buraq_tasks:scheduled", {"t3": 1})
    redis.hset("buraq_tasks:scheduled:tasks", mapping={"t3": "{}", "t4": "{}"})

    assert left_in(server) == {
        "consumer dead": 1,
        "lease alive": 1,
        "buraq_tasks_front": 1,
        "buraq_tasks:scheduled": 1,
        "rows of no task": 1,
        "payloads of no task": 1,
    }


def test_a_dead_letter_is_no_leftover_with_its_row_or_without(server, redis):
    redis.xadd("buraq_tasks_dlq", {"reason": "undecodable"})
    assert left_in(server) == {}

    redis.xadd("buraq_tasks_dlq", {"reason": "crashed"})
    redis.hset("buraq_tasks:index", "t1", "d1-0")
    assert left_in(server) == {}


@pytest.mark.e2e
def test_a_group_leaves_its_processes_while_it_runs_and_then_what_a_test_says_that_it_leaves(group, redis):
    workers = group().consuming()
    assert {f"process {pid}" for pid in workers.workers()} <= group.left().keys()

    assert workers.stop() == 0
    redis.xadd("buraq_tasks_front", {"payload": "{}"})
    group.leaves(buraq_tasks_front=1)
    assert group.left_at_last() == {"buraq_tasks_front": 1}
