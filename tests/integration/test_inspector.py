"""A task is found wherever it is, also while it is moved from one place to another."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from buraq import Buraq
from buraq.browse import Tasks
from buraq.inspector import Inspector
from tests.servers import Server

pytestmark = pytest.mark.each_server

LATER_MS = 10**13


@pytest.fixture
def app(server: Server, redis: Redis) -> Buraq:
    return Buraq(redis_url=server.url)


def after_the_index(app: Buraq, then: Callable[[], object]) -> None:
    """Do something once, between the look into the index and the look at the place that it named."""
    link = app.backend.server.shared
    ask = link.commands

    def commands(words: Sequence[Sequence[Any]]) -> list[Any]:
        replies = ask(words)
        if words[0][0] == "HGET":
            link.commands = ask  # type: ignore[method-assign]
            then()
        return replies

    link.commands = commands  # type: ignore[method-assign]


def promote(app: Buraq) -> None:
    """Let all come due."""
    assert app.backend.server.shared.call(app.backend.broker("default").promote(LATER_MS))[0] == 1


def test_a_task_that_comes_due_while_it_is_looked_for_has_not_ended(app: Buraq) -> None:
    handle = app.enqueue("t", delay=60)
    after_the_index(app, lambda: promote(app))

    assert handle.state() == "waiting"


def test_a_task_that_comes_due_while_it_is_cancelled_leaves_its_idempotency_key(app: Buraq) -> None:
    handle = app.enqueue("t", delay=60, idempotency_key="k")
    after_the_index(app, lambda: promote(app))

    assert handle.cancel()
    assert app.enqueue("t", idempotency_key="k").created
    assert [known.task.id for known in Tasks(app.backend).page("cancelled", ["default"]).items] == [handle.id]


def test_what_is_kept_of_a_cancelled_task_is_what_its_entry_held_to_the_byte(app: Buraq, redis: Redis) -> None:
    raw = '{"id" :"t1","type":"t","payload":{"url":"a\\/b","n":1e2,"name":"\\u00e9"},"more":[1, 2]}'
    entry = redis.xadd("buraq_tasks", {"payload": raw})
    redis.hset("buraq_tasks:index", "t1", f"n{entry}")

    assert Inspector(app.backend).cancel("default", "t1") == "CANCELLED"
    [(_, kept)] = redis.xrange(app.backend.broker("default").keys.histories["x"])
    assert json.loads(kept["record"])["task"] == raw


def test_a_task_that_comes_due_while_it_is_browsed_is_found(app: Buraq) -> None:
    handle = app.enqueue("t", delay=60)
    after_the_index(app, lambda: promote(app))

    found = Tasks(app.backend).find(["default"], handle.id)
    assert found is not None
    assert found.state == "waiting"


@pytest.mark.parametrize("place", ["n1-1", "s1-1", "z", "znk0", "d1-1", "q1-1", "é1-1", ""])
def test_a_row_that_its_place_does_not_confirm_is_no_task(app: Buraq, redis: Redis, place: str) -> None:
    redis.hset("buraq_tasks:index", "t1", place)

    assert Inspector(app.backend).state("default", "t1") is None
    assert Inspector(app.backend).cancel("default", "t1") == "UNKNOWN"
    assert Tasks(app.backend).find(["default"], "t1") is None


@pytest.mark.parametrize(
    ("key", "ask"),
    [
        (":queues", lambda inspector: inspector.queues()),
        ("", lambda inspector: inspector.counts("default")),
        (":scheduled", lambda inspector: inspector.counts("default")),
        ("_dlq", lambda inspector: inspector.counts("default")),
        (":leases", lambda inspector: inspector.workers()),
        (":types", lambda inspector: inspector.task_types(["default"])),
        (":index", lambda inspector: inspector.state("default", "t1")),
        (":index", lambda inspector: inspector.cancel("default", "t1")),
    ],
)
def test_what_cannot_be_read_is_said_and_not_shown_as_nothing(
    app: Buraq, redis: Redis, key: str, ask: Callable[[Inspector], object]
) -> None:
    redis.set(f"buraq_tasks{key}", "a text")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        ask(Inspector(app.backend))


def test_a_group_that_may_not_be_asked_for_is_not_taken_for_one_that_runs_nothing(
    app: Buraq, redis: Redis, server: Server
) -> None:
    redis.execute_command("ACL", "SETUSER", server.USER, "-xinfo")
    try:
        with pytest.raises(NoPermissionError, match="xinfo"):
            Inspector(app.backend).counts("default")
    finally:
        redis.execute_command("ACL", "SETUSER", server.USER, "+xinfo")
        redis.acl_log_reset()  # the refusal was asked for


def test_a_count_of_deaths_with_thousands_of_digits_hides_no_list(app: Buraq, redis: Redis) -> None:
    redis.xadd("buraq_tasks", {"payload": '{"id":"t1","type":"t","payload":{}}', "deaths": "9" * 5000})

    [known] = Tasks(app.backend).page("waiting", ["default"]).items
    assert (known.task.id, known.deaths) == ("t1", 0)


def test_a_result_that_may_not_be_read_is_not_waited_for(app: Buraq, redis: Redis) -> None:
    handle = app.enqueue("t")
    redis.rpush(f"buraq_tasks:result:{handle.id}", "of the wrong type")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        handle.result(timeout=60)
