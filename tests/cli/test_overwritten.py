"""Something else has overwritten a key of one queue: the command line does the rest, names the key, and exits 1."""

from collections.abc import Callable

import pytest
from redis import Redis

from tests.cli.conftest import Done

Run = Callable[..., Done]
NAMED = "buraq_tasks:bulk_dlq holds another type of value"


@pytest.fixture
def three(bury: Callable[..., str], redis: Redis) -> None:
    """Dead letters of three queues, those of one overwritten."""
    bury("of-default")
    for queue in ("bulk", "mail"):
        bury(f"of-{queue}", queue=queue)
    redis.set("buraq_tasks:bulk_dlq", "somebody's")


def test_dead_letters_of_the_other_queues_are_listed_and_the_key_is_named(run: Run, three: None) -> None:
    done = run("dlq", "list")

    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["of-default", "of-mail"]
    assert NAMED in done.err
    assert done.code == 1
    one = run("dlq", "list", "--queue", "bulk")
    assert (one.code, one.out) == (1, "")
    assert "XREVRANGE buraq_tasks:bulk_dlq: WRONGTYPE" in one.err


def test_where_the_only_dead_letters_were_overwritten_none_is_said_not_to_be_there(run: Run, redis: Redis) -> None:
    redis.set("buraq_tasks_dlq", "somebody's")

    done = run("dlq", "list")

    assert (done.out, done.code) == ("No dead letters that can be read.\n", 1)


def test_a_dead_letter_that_may_be_among_those_that_cannot_be_read_is_not_said_not_to_be_there(
    run: Run, three: None
) -> None:
    found = run("dlq", "show", "of-mail")
    missing = run("dlq", "show", "1-1")

    assert "of-mail" in found.out
    assert found.code == 0
    assert "not among the dead letters that can be read: 1-1" in missing.err
    assert (NAMED in missing.err, missing.code) == (True, 1)


@pytest.mark.parametrize("command", ["replay", "purge"])
def test_what_is_done_to_all_is_done_to_those_of_the_other_queues(
    run: Run, three: None, redis: Redis, command: str
) -> None:
    done = run("dlq", command, "--all", "--yes")

    assert ("Replayed 2 dead letters." if command == "replay" else "Deleted 2 dead letters.") in done.out
    assert redis.xlen("buraq_tasks_dlq") == redis.xlen("buraq_tasks:mail_dlq") == 0
    assert (NAMED in done.err, done.code) == (True, 1)


def test_streams_that_were_overwritten_keep_no_other_queue_from_being_tidied(run: Run, redis: Redis) -> None:
    redis.sadd("buraq_tasks:queues", "bulk")
    redis.set("buraq_tasks:bulk", "somebody's")
    redis.xadd("buraq_tasks", {"payload": "{}"})
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0")
    [[_, [[entry, _]]]] = redis.xreadgroup("buraq_workers", "original", {"buraq_tasks": ">"})
    redis.xack("buraq_tasks", "buraq_workers", entry)

    done = run("tidy", "--yes")

    assert done.out == "Deleted 1 leftover.\n"
    assert "buraq_tasks:bulk holds another type of value" in done.err
    assert done.code == 1


def test_without_the_names_of_the_queues_the_default_one_is_shown_and_the_key_is_named(run: Run, redis: Redis) -> None:
    redis.set("buraq_tasks:queues", "somebody's")
    run("enqueue", "t")

    done = run("status")

    assert "default        1" in done.out
    assert "buraq_tasks:queues holds another type of value" in done.err
    assert done.code == 0
