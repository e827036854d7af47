"""What the Go original leaves in the streams: acked, and never deleted."""

import pytest
from redis.exceptions import NoPermissionError

from buraq import Buraq
from buraq.legacy import Leftovers

pytestmark = pytest.mark.each_server


@pytest.fixture
def leftovers(server, redis):
    return Leftovers(Buraq(redis_url=server.url).backend, "default")


def consume_as_the_original(redis, acked, pending, waiting):
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    for n in range(acked + pending + waiting):
        redis.xadd("buraq_tasks", {"payload": f'{{"id":"t{n}","type":"x"}}'})
    read = redis.xreadgroup("buraq_workers", "worker_node_1", {"buraq_tasks": ">"}, count=acked + pending)
    entries = [entry for entry, _ in read[0][1]]
    # Not the oldest ones: what is pending lies between what was acked.
    for entry in entries[:1] + entries[1 + pending :]:
        redis.xack("buraq_tasks", "buraq_workers", entry)
    return entries[1 : 1 + pending]


def test_acked_entries_are_counted_and_what_waits_or_runs_is_not(redis, leftovers):
    consume_as_the_original(redis, acked=700, pending=3, waiting=5)
    assert leftovers.count() == {"buraq_tasks": 700}


def test_deleting_them_leaves_what_runs_and_what_waits(redis, leftovers):
    running = consume_as_the_original(redis, acked=700, pending=3, waiting=5)
    assert leftovers.delete() == 700
    assert [entry for entry, _ in redis.xrange("buraq_tasks")][:3] == running
    assert redis.xlen("buraq_tasks") == 8
    assert redis.xpending("buraq_tasks", "buraq_workers")["pending"] == 3


def test_what_runs_is_found_behind_more_than_a_page_of_pending_entries_without_a_body(redis, leftovers):
    running = consume_as_the_original(redis, acked=700, pending=600, waiting=5)
    redis.xdel("buraq_tasks", *running[:200])
    assert leftovers.delete() == 700
    assert [entry for entry, _ in redis.xrange("buraq_tasks")][:-5] == running[200:]


def test_where_nobody_can_tell_what_runs_nothing_is_deleted(redis, leftovers, server):
    consume_as_the_original(redis, acked=3, pending=3, waiting=1)
    redis.execute_command("ACL", "SETUSER", server.USER, "-xpending")
    try:
        with pytest.raises(NoPermissionError, match="XPENDING"):
            leftovers.delete()
    finally:
        redis.execute_command("ACL", "SETUSER", server.USER, "+xpending")
    assert redis.xlen("buraq_tasks") == 7
    redis.acl_log_reset()  # the refusal was asked for


def test_a_stream_of_our_own_has_none(redis, leftovers, server):
    Buraq(redis_url=server.url).enqueue("nap")
    assert leftovers.count() == {}
    assert leftovers.delete() == 0
