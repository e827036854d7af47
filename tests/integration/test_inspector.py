"""A task is found wherever it is, also while it is moved from one place to another."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from buraq import Buraq
from buraq.backend import Backend
from buraq.browse import Tasks
from buraq.deadletters import DeadLetters
from buraq.inspector import Inspector
from buraq.legacy import Leftovers
from buraq.operations import Operations
from tests.servers import Server

pytestmark = pytest.mark.each_server

LATER_MS = 10**13
# Rows of the index that name a stream and no entry of it.
LONG = "9" * 30
NO_PLACES = ("nowhere", "n1", "n", "d", "n1-", "n1-x", "n1-1-1", "n-1", f"n{LONG}-0", f"n1-{LONG}", b"n\xff")


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


@pytest.mark.parametrize("place", ["n1-1", "s1-1", "z", "znk0", "d1-1", "q1-1", "é1-1", "", *NO_PLACES])
def test_a_row_that_its_place_does_not_confirm_is_no_task(app: Buraq, redis: Redis, place: str | bytes) -> None:
    redis.hset("buraq_tasks:index", "t1", place)
    redis.xadd("buraq_tasks", {"payload": '{"id":"t1","type":"t","payload":{}}'}, "1-7")

    assert Inspector(app.backend).state("default", "t1") is None
    assert Inspector(app.backend).cancel("default", "t1") == "UNKNOWN"
    assert Tasks(app.backend).find(["default"], "t1") is None
    assert DeadLetters(app.backend, "default").get("t1") is None
    assert redis.hkeys("buraq_tasks:index") == ["t1"]


@pytest.mark.parametrize("place", ["c", "c1", "c1-", "completed", "c" + "9" * 30 + "-0", b"c\xff", b"\xff1-1"])
def test_a_row_of_the_history_that_names_no_record_is_no_task(app: Buraq, redis: Redis, place: str | bytes) -> None:
    redis.hset("buraq_tasks:history", "t1", place)

    assert Tasks(app.backend).find(["default"], "t1") is None


def test_a_scheduled_task_whose_row_counts_deaths_with_thousands_of_digits_is_found(app: Buraq, redis: Redis) -> None:
    handle = app.enqueue("t", delay=60)
    redis.hset("buraq_tasks:index", handle.id, "zn-" + "9" * 5000)

    found = Tasks(app.backend).find(["default"], handle.id)
    assert found is not None
    assert (found.state, found.deaths) == ("scheduled", 0)


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


@pytest.mark.parametrize("refused", ["xinfo", "xlen", "zcard"])
def test_only_a_key_of_another_type_is_passed_over_and_no_refusal(
    app: Buraq, redis: Redis, server: Server, refused: str
) -> None:
    redis.execute_command("ACL", "SETUSER", server.USER, f"-{refused}")
    try:
        with pytest.raises(NoPermissionError, match=f"(?i){refused}"):
            Inspector(app.backend).counts("default", {})
    finally:
        redis.execute_command("ACL", "SETUSER", server.USER, f"+{refused}")
        redis.acl_log_reset()  # the refusal was asked for


WAITS, DUE, DEAD, ENDED = "waits", "due", "dead", "ended"  # ids of tasks that the index or the history knows


@pytest.mark.parametrize(
    ("key", "ask"),
    [
        ("", lambda backend: Inspector(backend).state("default", WAITS)),
        ("_dlq", lambda backend: Inspector(backend).state("default", DEAD)),
        (":stats", lambda backend: Inspector(backend).paces(["default"])),
        (":scheduled", lambda backend: Inspector(backend).paces(["default"])),
        (":stats", lambda backend: Inspector(backend).statistics(["default"])),
        (":index", lambda backend: Tasks(backend).find(["default"], WAITS)),
        ("", lambda backend: Tasks(backend).find(["default"], WAITS)),
        ("_dlq", lambda backend: Tasks(backend).find(["default"], DEAD)),
        (":scheduled", lambda backend: Tasks(backend).find(["default"], DUE)),
        (":scheduled:tasks", lambda backend: Tasks(backend).find(["default"], DUE)),
        (":history", lambda backend: Tasks(backend).find(["default"], "t1")),
        (":history:completed", lambda backend: Tasks(backend).find(["default"], ENDED)),
        ("", lambda backend: Tasks(backend).page("waiting", ["default"])),
        ("", lambda backend: Tasks(backend).page("running", ["default"])),
        ("_dlq", lambda backend: Tasks(backend).count("dead", ["default"])),
        (":history:cancelled", lambda backend: Tasks(backend).count("cancelled", ["default"])),
        (":history:completed", lambda backend: Tasks(backend).history.span(["default"])),
        (":stats", lambda backend: Tasks(backend).history.span(["default"])),
        ("_dlq", lambda backend: DeadLetters(backend, "default").at("1-1")),
        ("_dlq", lambda backend: DeadLetters(backend, "default").get(DEAD)),
        ("_dlq", lambda backend: Operations(backend).begin("replay", "me", ["default"], {}, ())),
        ("", lambda backend: Leftovers(backend, "default").count()),
    ],
)
def test_a_key_that_cannot_be_read_is_named_and_what_it_may_hold_is_not_said_to_be_nowhere(
    app: Buraq, redis: Redis, key: str, ask: Callable[[Backend], object]
) -> None:
    redis.hset("buraq_tasks:index", mapping={WAITS: "n1-1", DUE: "zn-0", DEAD: "d1-1"})
    redis.hset("buraq_tasks:history", ENDED, "c1-1")
    redis.delete(f"buraq_tasks{key}")
    redis.rpush(f"buraq_tasks{key}", "of the wrong type")
    before = sorted(redis.keys())

    with pytest.raises(ResponseError, match=rf" buraq_tasks{key}: WRONGTYPE"):
        ask(app.backend)

    assert sorted(redis.keys()) == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: Inspector(backend).state("default", "t1"),
        lambda backend: Inspector(backend).cancel("default", "t1"),
        lambda backend: Tasks(backend).find(["default"], "t1"),
        lambda backend: Tasks(backend).page("running", ["default"]),
        lambda backend: backend.server.shared.call(backend.broker("default").cancel("t1")),
    ],
    ids=["state", "cancel", "find", "page", "script"],
)
def test_where_nobody_may_ask_what_runs_a_task_is_not_taken_for_one_that_waits(
    app: Buraq, redis: Redis, server: Server, ask: Callable[[Backend], object]
) -> None:
    app.enqueue("t", id="t1")
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0")
    redis.xreadgroup("buraq_workers", "w1", {"buraq_tasks": ">"})
    redis.execute_command("ACL", "SETUSER", server.USER, "-xpending")
    try:
        with pytest.raises(ResponseError, match=r"XPENDING|cancel\.lua"):
            ask(app.backend)
    finally:
        redis.execute_command("ACL", "SETUSER", server.USER, "+xpending")
        redis.acl_log_reset()  # the refusal was asked for

    assert Inspector(app.backend).state("default", "t1") == "running"


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
