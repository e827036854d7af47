"""What /api/v1 changes, and that each change is in the audit list."""

from collections.abc import Callable
from typing import Any

import pytest
import ujson
from redis import Redis

from buraq.operations import BATCH, Operations
from buraq.task import decode
from buraq.web import answers
from buraq.web.state import state_of
from tests.proxy import Proxy, script
from tests.servers import Server, eventually
from tests.web.contracts import Client
from tests.web.workplace import Workplace

Make = Callable[..., tuple[Client, Workplace]]


def actions(api: Client) -> list[tuple[str, str | None, str | None, int | None]]:
    """Return the audit list, the oldest first: action, queue, target, count."""
    items = api.get("/audit")["items"]
    return [(one["action"], one["queue"], one["target"], one["count"]) for one in reversed(items)]


def finished(api: Client, answer: Any) -> Any:
    """Wait for the end of an operation."""
    assert answer.status_code == 202, answer.text
    return at_its_end(api, answer.json["id"])


def at_its_end(api: Client, operation_id: str) -> Any:
    """Look at an operation until it has ended."""
    eventually(lambda: api.get(f"/operations/{operation_id}")["ended_at"] is not None)
    return api.get(f"/operations/{operation_id}")


@pytest.fixture
def causes(caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """What the log says of errors; that it said one a moment ago does not keep it silent."""
    answers._rare._said.clear()
    return lambda: "\n".join(str(record.__dict__.get("error")) for record in caplog.records)


# --- Enqueue ------------------------------------------------------------------------------------


def test_a_task_is_enqueued_once(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, _ = both
    redis.zadd("buraq_tasks:mail:types", {"t": 4e12})
    body = {"type": "t", "payload": {"a": 2**60}, "queue": "mail", "priority": "high", "id": "x y", "max_retries": 7}
    first, second = api.post("/tasks", body), api.post("/tasks", body)
    assert (first.status_code, first.json) == (
        201,
        {"id": "x y", "type": "t", "queue": "mail", "created": True, "known_type": True},
    )
    assert first.headers["Location"] == "tasks/x%20y?queue=mail"
    assert (second.status_code, second.json["created"]) == (200, False)  # type: ignore[index]
    shown = api.get("/tasks/x%20y")
    assert (shown["payload"], shown["max_retries"], shown["place"]["line"]) == ({"a": 2**60}, 7, "high")
    assert actions(api) == [("enqueue", "mail", "x y", None)]


def test_an_idempotency_key_is_taken_once(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    one = api.post("/tasks", {"type": "t", "idempotency_key": "k"})
    other = api.post("/tasks", {"type": "t", "idempotency_key": "k"})
    assert (one.status_code, other.status_code) == (201, 200)
    assert one.json is not None and other.json is not None
    assert other.json["id"] == one.json["id"]


def test_a_task_may_wait_for_a_time(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    for body in ({"delay_ms": 60_000}, {"due_at": "2096-10-02T07:06:39.999Z", "timeout_ms": 1500}):
        answer = api.post("/tasks", {"type": "t", **body})
        assert answer.json is not None
        shown = api.get(f"/tasks/{answer.json['id']}")
        assert shown["state"] == "scheduled"
    assert (shown["due_at"], shown["timeout_ms"]) == ("2096-10-02T07:06:39.999Z", 1500)


def test_a_whole_number_may_be_written_with_a_point_and_a_payload_keeps_its_own(
    both: tuple[Client, Workplace],
) -> None:
    api, _ = both
    body = {"type": "t", "max_retries": 5.0, "timeout_ms": 1500.0, "delay_ms": 6e4, "payload": {"share": 1.0}}
    shown = api.get(f"/tasks/{api.post('/tasks', body).json['id']}")  # type: ignore[index]
    assert (shown["max_retries"], shown["timeout_ms"], shown["state"]) == (5, 1500, "scheduled")
    assert isinstance(shown["payload"]["share"], float)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": "t", "max_retries": 1.5}, "max_retries"),
        ([], "body"),
        ({"type": ""}, "type"),
        ({"type": 7}, "type"),
        ({"type": "t", "payload": [1]}, "payload"),
        ({"type": "t", "colour": 1}, "colour"),
        ({"type": "t", "delay_ms": -1}, "delay_ms"),
        ({"type": "t", "delay_ms": True}, "delay_ms"),
        ({"type": "t", "delay_ms": 1, "due_at": "2096-10-02T07:06:39Z"}, "due_at"),
        ({"type": "t", "due_at": "tomorrow"}, "due_at"),
        ({"type": "t", "due_at": "2026-02-30T00:00:00Z"}, "due_at"),
        ({"type": "t", "queue": "a b"}, "queue"),
        ({"type": "t", "queue": "index"}, "queue"),
        ({"type": "t", "priority": "urgent"}, "priority"),
        ({"type": "t", "id": "x" * 513}, "id"),
        ({"type": "t", "payload": {"s": "\ud800"}}, "payload"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_written(
    both: tuple[Client, Workplace], redis: Redis, body: Any, field: str
) -> None:
    answer = both[0].post("/tasks", body)
    assert (answer.status_code, answer.json["field"]) == (422, field)  # type: ignore[index]
    assert redis.xlen("buraq_tasks") == 0


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"type":NaN}', b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(both: tuple[Client, Workplace], raw: bytes) -> None:
    answer = both[0].http.post("/api/v1/tasks", data=raw, content_type="application/json")
    assert (answer.status_code, answer.json["field"]) == (422, "body")  # type: ignore[index]


def test_a_payload_that_is_too_large_is_refused(make: Make) -> None:
    api, _ = make(max_payload_bytes=1000)
    for size in (1000, 100_000):
        answer = api.post("/tasks", {"type": "t", "payload": {"s": "x" * size}})
        assert answer.status_code == 413


def test_the_signature_of_a_task_function_that_is_known_here_is_checked(both: tuple[Client, Workplace]) -> None:
    api, work = both

    @work.app.task(name="mail", queue="post", max_retries=9)
    def mail(user: int) -> None: ...

    answer = api.post("/tasks", {"type": "mail", "payload": {"wrong": 1}})
    assert (answer.status_code, answer.json["field"]) == (422, "payload")  # type: ignore[index]
    answer = api.post("/tasks", {"type": "mail", "payload": {"user": 1}})
    assert answer.json is not None
    assert (answer.json["queue"], api.get(f"/tasks/{answer.json['id']}")["max_retries"]) == ("post", 9)


def test_a_server_that_takes_nothing_more_is_said_to_be_away(
    make: Make, redis: Redis, causes: Callable[[], str]
) -> None:
    api, _ = make(enqueue_timeout=1)
    redis.config_set("maxmemory", 1)
    try:
        answer = api.post("/tasks", {"type": "t"})
    finally:
        redis.config_set("maxmemory", 0)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "maxmemory" not in answer.text
    assert "maxmemory" in causes()


def test_where_the_server_was_is_not_said_and_what_may_be_accepted_is(
    make: Make, fresh_server: Callable[..., Server]
) -> None:
    server = fresh_server()
    api, work = make(redis_url=server.url, enqueue_timeout=1)
    assert api.post("/tasks", {"type": "t"}).status_code == 201
    server.kill()
    probe = state_of(work.app.backend).probe
    probe._up, probe._answered_at = True, float("inf")  # it has just said that the server is there
    answer = api.post("/tasks", {"type": "t", "id": "t1"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json == {
        "error": "Redis is not reachable, try again in a moment; task t1 may have been accepted: "
        "enqueued again with that id, it is not added twice"
    }


def test_a_task_that_the_server_refuses_is_answered_503_and_why_is_in_the_log(
    both: tuple[Client, Workplace], redis: Redis, causes: Callable[[], str]
) -> None:
    redis.set("buraq_tasks:index", "of the wrong type")
    answer = both[0].post("/tasks", {"type": "t"})
    assert (answer.status_code, answer.json) == (503, {"error": "Redis refused a command, see the log"})
    assert "WRONGTYPE" in causes()


# --- Cancel, pause ------------------------------------------------------------------------------


def test_what_waits_or_is_scheduled_can_be_cancelled(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {"a": 1}, id="waits")
    work.app.enqueue("t", {}, id="later", delay=60)
    for task_id in ("waits", "later"):
        answer = api.post(f"/tasks/{task_id}/cancel")
        assert answer.status_code == 200 and answer.json is not None
        assert (answer.json["state"], answer.json["place"]) == ("cancelled", None)
        assert api.get(f"/tasks/{task_id}")["state"] == "cancelled"
    assert [one["id"] for one in api.get("/tasks?state=cancelled")["items"]] == ["later", "waits"]
    assert actions(api) == [("cancel", "default", "waits", None), ("cancel", "default", "later", None)]


def test_what_a_cancelled_task_had_tried_is_still_known(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {}, id="t")
    work.fail("ValueError: once")
    api.post("/tasks/t/cancel")
    shown = api.get("/tasks/t")
    assert (shown["state"], [one["error"] for one in shown["attempts"]]) == ("cancelled", ["ValueError: once"])


def test_what_runs_is_dead_or_has_ended_cannot(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for task_id in ("ended", "died", "runs"):
        work.app.enqueue("t", {}, id=task_id)
    work.complete()
    work.bury()
    work.fetch()
    for task_id, state in {"runs": "running", "died": "dead", "ended": "completed"}.items():
        answer = api.post(f"/tasks/{task_id}/cancel")
        assert answer.status_code == 409
        assert state in answer.json["error"]  # type: ignore[index]
    assert api.post("/tasks/unknown/cancel").status_code == 404
    assert actions(api) == []


@pytest.mark.parametrize(
    ("meanwhile", "status", "said"),
    [
        (lambda work: work.complete(), 409, "task late is completed: only what waits or is scheduled can be cancelled"),
        (lambda work: work.fetch(), 409, "task late is running: only what waits or is scheduled can be cancelled"),
        (lambda work: work.redis.hdel("buraq_tasks:index", "late"), 404, "no queue and no history knows a task late"),
    ],
    ids=["ended", "started", "gone"],
)
def test_a_cancel_that_comes_too_late_says_what_has_become_of_the_task(
    make: Make, server: Server, meanwhile: Callable[[Workplace], object], status: int, said: str
) -> None:
    _, work = make()
    work.app.enqueue("t", {}, id="late")
    once = [meanwhile]

    def overtake(request: bytes) -> bool:
        if once and script(request) and b"late" in request:
            once.pop()(work)
        return False

    with Proxy(server) as proxy:
        api, _ = make(redis_url=proxy.url)
        proxy.hit("slow", overtake)  # between the look at the task and the script that takes it back
        answer = api.post("/tasks/late/cancel")
        assert actions(api) == []
    assert (once, answer.status_code, answer.json) == ([], status, {"error": said})


def test_a_cancel_that_misses_a_task_which_waits_again_says_so(make: Make, server: Server, redis: Redis) -> None:
    _, work = make()
    work.app.enqueue("t", {}, id="late")
    place = redis.hget("buraq_tasks:index", "late")
    steps = [
        (b"HGET", lambda: redis.hset("buraq_tasks:index", "late", place)),
        (b"EVALSHA", lambda: redis.hdel("buraq_tasks:index", "late")),
    ]

    def step(request: bytes) -> bool:
        if steps and steps[-1][0] in request and b"late" in request:
            steps.pop()[1]()
        return False

    with Proxy(server) as proxy:
        api, _ = make(redis_url=proxy.url)
        proxy.hit("slow", step)
        answer = api.post("/tasks/late/cancel")
    assert (steps, answer.status_code) == ([], 409)
    assert answer.json == {"error": "task late was elsewhere for a moment, and is waiting again: ask again"}


def test_a_queue_is_paused_and_resumed_once(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    for _ in range(2):
        assert api.post("/queues/default/pause").json["paused"]["by"] == "loopback"  # type: ignore[index]
    for _ in range(2):
        assert api.post("/queues/default/resume").json["paused"] is None  # type: ignore[index]
    assert api.post("/queues/nowhere/pause").status_code == 404
    assert actions(api) == [("pause", "default", None, None), ("resume", "default", None, None)]


# --- One dead letter ----------------------------------------------------------------------------


def letter_id(api: Client, n: int = 0) -> str:
    found: str = api.get("/dead-letters")["items"][n]["id"]
    return found


def test_a_dead_letter_goes_back_with_no_retries_used(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {}, id="t")
    work.fail(delay_ms=0)
    work.promote()
    work.bury()
    letter = letter_id(api)
    answer = api.post(f"/dead-letters/{letter}/replay")
    assert answer.json == {"id": "t", "type": "t", "queue": "default", "created": True, "known_type": False}
    shown = api.get("/tasks/t")
    assert (shown["state"], shown["attempt"], len(shown["attempts"])) == ("waiting", 1, 2)
    assert api.post(f"/dead-letters/{letter}/replay").status_code == 404
    assert api.get("/dead-letters/groups")["groups"] == []
    assert actions(api) == [("replay", "default", "t", None)]


def test_a_task_that_is_accepted_is_answered_so_whatever_fails_after_it(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, work = both
    names = work.app.backend.names
    redis.set(names.audit, "no stream")
    redis.set(names.queue("default").types, "no set")
    answer = api.post("/tasks", {"type": "t"})
    assert (answer.status_code, answer.json["known_type"]) == (201, True)  # type: ignore[index]
    assert redis.xlen("buraq_tasks") == 1


def test_a_dead_letter_can_be_edited_and_its_secrets_stay(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {"card": {"token": "tok", "n": 1}, "lines": [{"secret": 5}]}, id="t")
    work.bury()
    edit = {"card": {"token": "[redacted]", "n": 2}, "lines": [{"secret": "[redacted]"}, {"secret": "new"}]}
    assert api.post(f"/dead-letters/{letter_id(api)}/replay", {"payload": edit}).status_code == 200
    [delivery] = work.fetch()
    task = decode(delivery.raw or b"")
    assert task.payload == {"card": {"token": "tok", "n": 2}, "lines": [{"secret": 5}, {"secret": "new"}]}
    assert actions(api) == [("edit_and_replay", "default", "t", None)]


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"auth": "[redacted]"}, "payload.auth"),
        ({"card": {"new_token": "[redacted]"}}, "payload.card.new_token"),
        ({"lines": [{"n": 2, "secret": "[redacted]"}]}, "payload.lines[0].secret"),
    ],
)
def test_an_edit_that_has_lost_its_secret_is_refused_and_the_letter_stays(
    both: tuple[Client, Workplace], payload: dict[str, Any], field: str
) -> None:
    api, work = both
    work.app.enqueue("t", {"card": {"token": "tok"}, "lines": [{"n": 0, "secret": 5}, {"n": 1, "secret": 6}]}, id="t")
    work.bury()
    letter = letter_id(api)
    refused = api.post(f"/dead-letters/{letter}/replay", {"payload": payload})
    assert (refused.status_code, refused.json["field"]) == (422, field)
    assert letter_id(api) == letter


def test_what_is_too_deep_to_be_shown_stays_as_it_is(both: tuple[Client, Workplace]) -> None:
    api, work = both
    deep: Any = "the bottom"
    for _ in range(600):
        deep = [deep, {}]
    work.app.enqueue("t", {"deep": deep, "n": 1}, id="t")
    work.bury()
    shown = api.get(f"/dead-letters/{letter_id(api)}")["payload"]
    assert api.post(f"/dead-letters/{letter_id(api)}/replay", {"payload": {**shown, "n": 2}}).status_code == 200
    [delivery] = work.fetch()
    assert decode(delivery.raw or b"").payload == {"deep": deep, "n": 2}


def test_an_edit_that_cannot_be_is_refused_and_the_letter_stays(make: Make) -> None:
    api, work = make(max_payload_bytes=1000)
    work.app.enqueue("t", {}, id="t")
    work.bury()
    letter = letter_id(api)
    assert api.post(f"/dead-letters/{letter}/replay", {"payload": {"s": "x" * 1000}}).status_code == 413
    assert api.post(f"/dead-letters/{letter}/replay", {"payload": {"s": "\ud800"}}).status_code == 422
    assert api.post(f"/dead-letters/{letter}/replay", {"nothing": 1}).status_code == 422
    assert letter_id(api) == letter


def test_what_another_task_owns_or_nobody_can_read_stays(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    work.app.enqueue("t", {}, id="t", idempotency_key="k")
    work.bury()
    redis.set("idemp:k", "another")
    redis.xadd("buraq_tasks", {"payload": "not json"})
    work.bury(reason="undecodable")
    for n in range(2):
        assert api.post(f"/dead-letters/{letter_id(api, n)}/replay").status_code == 409
    assert api.get("/dead-letters")["total"] == 2


def test_a_dead_letter_is_deleted_for_good(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {}, id="t")
    work.bury()
    letter = letter_id(api)
    assert api.ask("DELETE", f"/dead-letters/{letter}").status_code == 204
    assert api.ask("DELETE", f"/dead-letters/{letter}").status_code == 404
    shown = api.get("/tasks/t")  # the history still knows it
    assert (shown["state"], shown["dead_letter"], shown["error"]) == ("dead", None, "ValueError: no")
    assert actions(api) == [("delete", "default", "t", None)]


# --- Many dead letters --------------------------------------------------------------------------


def bury_many(work: Workplace, count: int, queue: str = "default", task_type: str = "t") -> None:
    for n in range(count):
        work.app.enqueue(task_type, {}, id=f"{task_type}-{queue}-{n}", queue=queue)
    work.bury(count, queue=queue)


def test_all_of_a_type_are_replayed_and_the_others_stay(both: tuple[Client, Workplace]) -> None:
    api, work = both
    bury_many(work, 3, task_type="a")
    bury_many(work, 2, task_type="b")
    bury_many(work, 2, "mail", "a")
    shown = finished(api, api.post("/dead-letters/replay", {"filter": {"type": "a"}}))
    assert (shown["state"], shown["done"], shown["seen"], shown["total"]) == ("done", 5, 7, 7)
    assert api.get("/dead-letters")["total"] == 2
    assert actions(api) == [("replay", None, "type=a", 5)]
    assert [one["id"] for one in api.get("/operations")["operations"]] == [shown["id"]]


def test_those_that_are_named_are_deleted_and_what_is_gone_is_counted(both: tuple[Client, Workplace]) -> None:
    api, work = both
    bury_many(work, 3)
    ids = [letter_id(api, n) for n in (0, 2)]
    shown = finished(api, api.post("/dead-letters/delete", {"ids": [*ids, "default:1-1", "nonsense"]}))
    assert (shown["done"], shown["skipped"]["gone"], shown["total"], shown["seen"]) == (2, 2, 4, 4)
    assert api.get("/dead-letters")["total"] == 1
    assert actions(api) == [("delete", None, "4 chosen", 2)]


def test_all_is_more_than_a_batch_and_leaves_what_dies_meanwhile(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for task_type in ("a", "b"):
        bury_many(work, 200, task_type=task_type)
    known = Operations(work.app.backend)
    operation = known.begin("delete", "me", ["default"], {}, ())
    assert known.step(operation)
    assert (operation.seen, api.get("/dead-letters")["total"]) == (BATCH, 400 - BATCH)
    bury_many(work, 1, task_type="later")
    shown = at_its_end(api, operation.id)  # whoever looks goes on with it
    assert (shown["state"], shown["done"], shown["total"]) == ("done", 400, 400)
    assert [one["task_id"] for one in api.get("/dead-letters")["items"]] == ["later-default-0"]


def test_an_operation_that_is_done_is_so_where_the_audit_list_cannot_be_written(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, work = both
    bury_many(work, 2)
    redis.set(work.app.backend.names.audit, "no stream")
    shown = finished(api, api.post("/dead-letters/delete", {"filter": {}}))
    assert (shown["state"], shown["done"], shown["error"]) == ("done", shown["total"], None)


def test_an_operation_can_be_stopped_once(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    bury_many(work, 2)
    operation = Operations(work.app.backend).begin("delete", "me", ["default"], {}, ())
    redis.set(work.app.backend.names.runner(operation.id), "somebody", px=60_000)
    assert api.get(f"/operations/{operation.id}")["state"] == "running"
    assert api.post(f"/operations/{operation.id}/stop").json["state"] == "stopped"  # type: ignore[index]
    assert api.post(f"/operations/{operation.id}/stop").status_code == 409
    assert api.get("/dead-letters")["total"] == 2
    assert redis.ttl(work.app.backend.names.operation(operation.id)) > 80_000
    assert actions(api) == [("stop_operation", None, operation.id, None)]


def test_an_operation_that_the_server_refuses_says_so_and_why_is_in_the_log(
    both: tuple[Client, Workplace], redis: Redis, causes: Callable[[], str]
) -> None:
    api, work = both
    bury_many(work, 1)
    redis.delete("buraq_tasks_dlq:groups")
    redis.set("buraq_tasks_dlq:groups", "of the wrong type")
    shown = finished(api, api.post("/dead-letters/replay", {"filter": {}}))
    assert (shown["state"], shown["error"]) == ("failed", "Redis refused a command, see the log")
    assert api.get("/audit")["items"][0]["note"].endswith(f"failed {shown['error']}")
    assert "WRONGTYPE" in causes()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"ids": []}, "ids"),
        ({"ids": [1]}, "ids[0]"),
        ({"ids": ["x"], "filter": {}}, "filter"),
        ({"filter": {"colour": 1}}, "filter.colour"),
        ({"filter": {"queue": "nowhere"}}, "filter.queue"),
        ({"filter": {"reason": "x"}}, "filter.reason"),
    ],
)
def test_a_wrong_selection_is_named(both: tuple[Client, Workplace], body: Any, field: str) -> None:
    answer = both[0].post("/dead-letters/replay", body)
    assert (answer.status_code, answer.json["field"]) == (422, field)  # type: ignore[index]


def test_an_unknown_operation_is_not_found(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    assert api.ask("GET", "/operations/0123456789ab").status_code == 404
    assert api.post("/operations/0123456789ab/stop").status_code == 404


# --- The audit list -----------------------------------------------------------------------------


def test_the_audit_list_says_who_what_and_when_and_is_read_in_pages(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n in range(3):
        work.app.enqueue("t", {}, id=f"t{n}")
        api.post(f"/tasks/t{n}/cancel")
    page = api.get("/audit?limit=2")
    assert [one["target"] for one in page["items"]] == ["t2", "t1"]
    assert (page["items"][0]["who"], page["items"][0]["address"]) == ("loopback", "127.0.0.1")
    last = api.get(f"/audit?limit=2&cursor={page['next']}")
    assert ([one["target"] for one in last["items"]], last["next"]) == (["t0"], None)


def test_the_replay_of_the_original_is_in_the_audit_list(both: tuple[Client, Workplace]) -> None:
    api, work = both
    bury_many(work, 2)
    assert api.http.post("/api/retry-dlq").json == {
        "success": True,
        "retried": 2,
        "skipped": {"unreadable": 0, "owned": 0},
    }
    assert actions(api) == [("replay", None, "all", 2)]


def test_a_change_that_is_done_is_answered_so_and_logged_where_the_audit_list_cannot_be_written(
    both: tuple[Client, Workplace], redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    api, work = both
    bury_many(work, 3)
    work.app.enqueue("t", {}, id="waits")
    operation = Operations(work.app.backend).begin("delete", "me", ["default"], {}, ())
    redis.set(work.app.backend.names.runner(operation.id), "somebody", px=60_000)
    redis.set(work.app.backend.names.audit, "no stream")
    asked = {
        "/tasks/waits/cancel": "cancel",
        "/queues/default/pause": "pause",
        "/queues/default/resume": "resume",
        f"/dead-letters/{letter_id(api)}/replay": "replay",
        f"/operations/{operation.id}/stop": "stop_operation",
    }
    assert [api.post(path).status_code for path in asked] == [200] * len(asked)
    assert api.ask("DELETE", f"/dead-letters/{letter_id(api)}").status_code == 204
    logged = [record for record in caplog.records if record.getMessage() == "action is not in the audit list"]
    assert [record.__dict__["action"] for record in logged] == [*asked.values(), "delete"]
    assert (logged[0].__dict__["who"], logged[0].__dict__["target"]) == ("loopback", "waits")


def test_an_entry_of_the_audit_list_that_cannot_be_read_is_left_out(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    redis.xadd("buraq_tasks:audit", {"action": ujson.dumps({"who": "x"})})
    assert both[0].get("/audit")["items"] == []
