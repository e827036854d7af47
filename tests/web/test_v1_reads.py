"""What /api/v1 shows is what the server holds, in the shape of the contract."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from buraq.web import contract
from buraq.web.v1.routes import ROUTES
from tests.web.contracts import Client
from tests.web.workplace import Workplace

Make = Callable[..., tuple[Client, Workplace]]


def ids(page: Any) -> list[str]:
    return [item["id"] for item in page["items"]]


def pages(api: Client, path: str, limit: int) -> list[Any]:
    """Read a list to its end, page by page."""
    found, cursor = [], ""
    while True:
        joint = "&" if "?" in path else "?"
        page = api.get(f"{path}{joint}limit={limit}{cursor}")
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


# --- Queues -------------------------------------------------------------------------------------


def test_an_empty_server_has_the_default_queue_and_nothing_in_it(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    whole = api.get("/overview")
    [queue] = whole["queues"]
    assert (queue["name"], queue["waiting"], queue["oldest_ms"], queue["paused"]) == ("default", 0, None, None)
    assert whole["workers"] == {"active": 0, "draining": 0, "lost": 0, "slots": 0, "in_flight": 0}


def test_the_overview_counts_what_is_where(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.lease("default", "mail")
    for n in range(4):
        work.app.enqueue("t", {"n": n}, queue="mail", priority="high")
    work.app.enqueue("t", {}, queue="mail", delay=50)
    work.fetch(1, "mail")
    work.bury(1, queue="mail")
    work.complete(1, queue="mail")
    whole = api.get("/overview")
    assert [queue["name"] for queue in whole["queues"]] == ["default", "mail"]
    mail = whole["queues"][1]
    counts = {name: mail[name] for name in ("waiting", "running", "scheduled", "dead", "workers")}
    assert counts == {"waiting": 1, "running": 1, "scheduled": 1, "dead": 1, "workers": 1}
    assert mail["waiting_by"] == {"suspects": 0, "front": 0, "high": 1, "normal": 0, "low": 0}
    assert mail["next_due_at"] > whole["at"]
    assert {name: whole["totals"][name] for name in ("waiting", "running", "scheduled", "dead")} == {
        name: counts[name] for name in ("waiting", "running", "scheduled", "dead")
    }
    assert whole["workers"] == {"active": 1, "draining": 0, "lost": 0, "slots": 10, "in_flight": 1}
    assert api.get("/queues/mail")["waiting"] == 1
    assert [queue["name"] for queue in api.get("/queues")["queues"]] == ["default", "mail"]


def test_a_paused_queue_says_since_when_and_by_whom(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.pauses.pause("default", "ada")
    assert api.get("/queues/default")["paused"]["by"] == "ada"


def test_an_unknown_queue_is_not_found_in_a_path_and_wrong_in_a_query(both: tuple[Client, Workplace]) -> None:
    api, _ = both
    assert api.ask("GET", "/queues/nowhere").status_code == 404
    answer = api.ask("GET", "/tasks?queue=nowhere")
    assert (answer.status_code, answer.json["field"]) == (422, "queue")  # type: ignore[index]


# --- Tasks --------------------------------------------------------------------------------------


def test_waiting_tasks_are_listed_as_workers_take_them(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n, priority in enumerate(["low", "normal", "high", "normal", "high"]):
        work.app.enqueue("t", {"n": n}, id=f"t{n}", priority=priority)
    work.fetch(1)  # t2
    assert ids(api.get("/tasks")) == ["t4", "t1", "t3", "t0"]
    assert [task["id"] for task in pages(api, "/tasks", 1)] == ["t4", "t1", "t3", "t0"]
    [first, *_] = api.get("/tasks")["items"]
    assert (first["state"], first["priority"], first["attempt"], first["worker"]) == ("waiting", "high", 1, None)
    assert first["payload_preview"] == '{"n":4}'
    assert api.get("/tasks")["total"] == 4


def test_running_tasks_say_where(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    other = Workplace(work.app, redis, "w~00000002")
    for n in range(3):
        work.app.enqueue("t", {}, id=f"t{n}")
    work.fetch(2)
    other.fetch(1)
    assert ids(api.get("/tasks?state=running")) == ["t0", "t1", "t2"]
    assert [task["id"] for task in pages(api, "/tasks?state=running", 1)] == ["t0", "t1", "t2"]
    page = api.get("/tasks?state=running&worker=w~00000002")
    assert (ids(page), page["items"][0]["worker"]) == (["t2"], "w~00000002")
    assert api.ask("GET", "/tasks?state=waiting&worker=w").status_code == 422
    shown = api.get("/tasks/t2")
    assert shown["attempts"][0]["outcome"] == "running"
    assert shown["place"]["line"] == "normal"


def test_scheduled_tasks_are_listed_by_their_time_and_none_twice(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    for n in range(5):
        work.app.enqueue("t", {}, id=f"t{n}", delay=100 - n // 3)
    redis.zadd("buraq_tasks:scheduled", {f"t{n}": 4_000_000_000_000 - n // 3 for n in range(5)})
    wanted = ["t3", "t4", "t0", "t1", "t2"]
    assert ids(api.get("/tasks?state=scheduled")) == wanted
    assert [task["id"] for task in pages(api, "/tasks?state=scheduled", 2)] == wanted
    assert api.get("/tasks?state=scheduled")["items"][0]["due_at"] == "2096-10-02T07:06:39.999Z"


LONG = "x" * 512
TIED = ["a", "b", "Ω", "Ωa", "Ωb", "Ωc"]


@pytest.mark.parametrize("gone", [TIED[:1], TIED[:2], TIED[1:2], TIED[1:3], TIED[2:5], TIED, []], ids="".join)
def test_scheduled_tasks_of_one_time_are_all_listed_though_some_go_meanwhile_and_others_come(
    both: tuple[Client, Workplace], redis: Redis, gone: list[str]
) -> None:
    api, work = both
    for task_id, due in {**dict.fromkeys(TIED, "2096-10-02T07:06:39Z"), LONG: "2096-10-02T07:06:40Z"}.items():
        assert api.post("/tasks", {"type": "t", "id": task_id, "due_at": due}).status_code == 201
    page = api.get("/tasks?state=scheduled&limit=2")
    assert ids(page) == TIED[:2]
    for task_id in gone:
        assert api.post(f"/tasks/{quote(task_id)}/cancel").status_code == 200
    work.app.enqueue("t", {}, id="A", at=datetime(2096, 10, 2, 7, 6, 39, tzinfo=UTC))
    rest, cursor = [], page["next"]
    while cursor is not None:
        page = api.get(f"/tasks?state=scheduled&limit=1&cursor={cursor}")
        rest, cursor = rest + ids(page), page["next"]
    assert rest == [*(task_id for task_id in TIED[2:] if task_id not in gone), LONG]


def test_a_place_after_an_id_that_no_cursor_carries_is_told_by_its_number(both: tuple[Client, Workplace]) -> None:
    api, work = both
    wanted = ["Ω" * 300 + str(n) for n in range(3)]
    for task_id in wanted:
        work.app.enqueue("t", {}, id=task_id, at=datetime(2096, 10, 2, tzinfo=UTC))
    assert [task["id"] for task in pages(api, "/tasks?state=scheduled", 1)] == wanted


def test_what_has_ended_is_listed_the_newest_first_across_queues(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n in range(4):
        queue = ("default", "mail")[n % 2]
        work.app.enqueue("t", {}, id=f"t{n}", queue=queue)
        work.complete(1, queue)
    wanted = ["t3", "t2", "t1", "t0"]
    page = api.get("/tasks?state=completed")
    assert (ids(page), page["total"], page["history"]["kept"]) == (wanted, 4, 4)
    assert page["history"]["length"] == 2 * 10_000
    assert api.get("/tasks?state=failed")["history"]["kept"] == 0
    assert api.get("/system")["history"]["length"] == 8 * 10_000
    assert [task["id"] for task in pages(api, "/tasks?state=completed", 1)] == wanted
    assert ids(api.get("/tasks?state=completed&queue=mail")) == ["t3", "t1"]
    assert page["items"][0]["duration_ms"] == 250
    assert page["history"]["sampled"] is False


def test_a_task_tells_its_whole_past(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("charge", {"order": 9}, id="t", idempotency_key="order-9", timeout=30)
    work.fail("ValueError: first", delay_ms=0)
    shown = api.get("/tasks/t")
    assert (shown["state"], shown["attempt"], shown["error"]) == ("scheduled", 2, "ValueError: first")
    work.promote()
    assert api.get("/tasks/t")["state"] == "waiting"
    work.bury(error="ValueError: last")
    shown = api.get("/tasks/t")
    assert [(one["number"], one["outcome"], one["error"]) for one in shown["attempts"]] == [
        (2, "failed", "ValueError: last"),
        (1, "failed", "ValueError: first"),
    ]
    assert shown["attempts"][0]["traceback"] == "Traceback …\nValueError: last"
    assert shown["attempts"][0]["worker_id"] == "w~00000001-3"
    assert (shown["state"], shown["reason"], shown["idempotency_key"]) == ("dead", "exhausted", "order-9")
    assert shown["timeout_ms"] == 30_000
    assert api.get(f"/dead-letters/{shown['dead_letter']}")["attempts"] == shown["attempts"]
    assert ids(api.get("/tasks?state=dead")) == ["t"]
    assert ids(api.get("/tasks?state=failed")) == ["t"]


def test_a_completed_task_is_found_with_what_it_returned(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.enqueue("t", {"a": 1}, id="x/y z")
    work.complete(result=b'{"pages":42,"token":"secret"}')
    shown = api.get("/tasks/x%2Fy%20z")
    assert (shown["state"], shown["has_result"], shown["result"]) == (
        "completed",
        True,
        {"pages": 42, "token": "[redacted]"},
    )
    assert shown["place"] is None
    assert [one["outcome"] for one in shown["attempts"]] == ["completed"]


def test_a_task_is_looked_for_in_the_queue_that_is_asked_for(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for queue in ("default", "mail"):
        work.app.enqueue("t", {}, id="same", queue=queue)
    assert api.get("/tasks/same")["queue"] == "default"
    assert api.get("/tasks/same?queue=mail")["queue"] == "mail"
    assert api.ask("GET", "/tasks/other").status_code == 404
    assert api.ask("GET", "/tasks/same?queue=none").status_code == 422


def test_the_history_is_off_when_it_is_told_so(make: Make) -> None:
    api, work = make(history_length=0)
    work.app.enqueue("t", {}, id="t")
    work.complete()
    page = api.get("/tasks?state=completed")
    assert (page["items"], page["history"]["length"]) == ([], 0)
    assert api.ask("GET", "/tasks/t").status_code == 404


def test_of_many_completed_tasks_the_history_says_that_it_samples(both: tuple[Client, Workplace]) -> None:
    api, work = both
    work.app.backend.producer  # noqa: B018
    for n in range(230):
        work.app.enqueue("t", {}, id=f"t{n}")
    work.complete(230)
    page = api.get("/tasks?state=completed")
    assert (page["total"], page["history"]["sampled"], page["history"]["per_s"]) == (200, True, 200)


def test_secrets_are_hidden(make: Make) -> None:
    api, work = make(redact_keys=("pin", "api_key"))
    payload = {"PIN": 1234, "user": {"apiKey": "x", "names": [{"pin_code": 1}]}, "token": "shown", "empty": {"pin": ""}}
    work.app.enqueue("t", payload, id="t")
    shown = api.get("/tasks/t")
    assert shown["payload"] == {
        "PIN": "[redacted]",
        "user": {"apiKey": "[redacted]", "names": [{"pin_code": "[redacted]"}]},
        "token": "shown",
        "empty": {"pin": ""},
    }
    assert shown["redacted"] == ["PIN", "user.apiKey", "user.names[0].pin_code"]
    assert "1234" not in shown["payload_preview"]


def test_a_payload_that_is_nested_deep_hides_no_list(both: tuple[Client, Workplace]) -> None:
    api, work = both
    deep: Any = "the bottom"
    for _ in range(600):
        deep = [deep]
    for n in range(2):
        work.app.enqueue("t", {"deep": deep}, id=f"t{n}")
    assert ids(api.get("/tasks?state=waiting")) == ["t0", "t1"]
    assert "too deep" in json.dumps(api.get("/tasks/t0")["payload"])
    work.complete()
    work.bury()
    assert ids(api.get("/tasks?state=completed")) == ["t0"]
    assert [one["task_id"] for one in api.get("/dead-letters")["items"]] == ["t1"]


def test_numbers_are_exact_and_what_is_no_number_is_null(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, _ = both
    raw = '{"id":"t","type":"t","payload":{"big":9007199254740993,"bigger":123456789012345678901234567890,"nan":NaN}}'
    redis.xadd("buraq_tasks", {"payload": raw})
    redis.hset("buraq_tasks:index", "t", "n" + redis.xrange("buraq_tasks")[0][0])
    payload = api.get("/tasks/t")["payload"]
    assert payload["big"] == 9007199254740993
    assert payload["nan"] is None


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/tasks?limit=0", "limit"),
        ("/tasks?limit=201", "limit"),
        ("/tasks?limit=x", "limit"),
        ("/tasks?state=gone", "state"),
        ("/tasks?cursor=x", "cursor"),
        ("/tasks?cursor=W10", "cursor"),
        ("/tasks?queue=a%20b", "queue"),
        ("/tasks?type=", "type"),
        ("/dead-letters?reason=bad", "reason"),
        ("/statistics?window=week", "window"),
        ("/audit?limit=-1", "limit"),
    ],
)
def test_a_wrong_parameter_is_named(both: tuple[Client, Workplace], path: str, field: str) -> None:
    answer = both[0].ask("GET", path)
    assert (answer.status_code, answer.json["field"]) == (422, field)  # type: ignore[index]


def test_a_cursor_of_another_list_is_refused(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n in range(3):
        work.app.enqueue("t", {}, id=f"t{n}")
    cursor = api.get("/tasks?limit=1")["next"]
    assert api.ask("GET", f"/tasks?state=scheduled&cursor={cursor}").status_code == 422


@pytest.mark.parametrize(
    ("path", "of", "place"),
    [
        ("/tasks?state=waiting", ["waiting", None], ["default", "1-1"]),
        ("/tasks?state=waiting", ["waiting", None], ["default", "n", ["1", 0]]),
        ("/tasks?state=running", ["running", None], ["default", "n", "1"]),
        ("/tasks?state=scheduled", ["scheduled", None], ["default", "z", "1-1"]),
        ("/tasks?state=scheduled", ["scheduled", None], ["default", "z", ["soon", 0, ""]]),
        ("/tasks?state=scheduled", ["scheduled", None], ["default", "z", ["1", 1]]),
        ("/tasks?state=scheduled", ["scheduled", None], ["default", "z", ["1", 1, 7]]),
        ("/tasks?state=scheduled", ["scheduled", None], ["default", "z", ["1", -1, ""]]),
        ("/tasks?state=completed", ["completed", None], ["default", "n", "1-1"]),
        ("/tasks?state=completed", ["completed", None], ["default", 1]),
        ("/tasks?state=dead", ["dead", None], ["default", "1-" + "1" * 30]),
        ("/dead-letters?limit=1", ["letters", None], ["default", "n", "1-1"]),
        ("/dead-letters?limit=1", ["letters", None], []),
        ("/audit?limit=1", ["audit"], ["", "n", ["1", 0]]),
    ],
)
def test_a_cursor_that_leads_nowhere_is_refused(
    both: tuple[Client, Workplace], path: str, of: list[Any], place: list[Any]
) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps([of, place]).encode()).decode().rstrip("=")
    answer = both[0].ask("GET", f"{path}&cursor={cursor}")
    assert (answer.status_code, answer.json["field"]) == (422, "cursor")  # type: ignore[index]


# --- Dead letters -------------------------------------------------------------------------------


def test_dead_letters_are_listed_the_newest_first_and_by_what_is_asked(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n, (task_type, error) in enumerate([("a", "E: 1 lost"), ("b", "E: 1 lost"), ("a", "E: 2 lost")]):
        work.app.enqueue(task_type, {}, id=f"t{n}")
        work.bury(error=error)
    work.app.enqueue("a", {}, id="t3", queue="mail")
    work.bury(queue="mail", reason="rejected", error="no")
    wanted = ["t3", "t2", "t1", "t0"]
    page = api.get("/dead-letters")
    assert ([one["task_id"] for one in page["items"]], page["total"]) == (wanted, 4)
    assert [one["task_id"] for one in pages(api, "/dead-letters", 1)] == wanted
    for query, found in {"type=b": ["t1"], "reason=rejected": ["t3"], "queue=mail": ["t3"]}.items():
        assert [one["task_id"] for one in api.get(f"/dead-letters?{query}")["items"]] == found
    groups = api.get("/dead-letters/groups")
    assert (groups["grouped"], groups["total"]) == (4, 4)
    assert next((one["count"], one["type"], one["error"]) for one in groups["groups"]) == (2, "a", "E: 2 lost")
    group = groups["groups"][0]["group"]
    assert [one["task_id"] for one in api.get(f"/dead-letters?group={group}")["items"]] == ["t2", "t0"]


def test_a_group_that_is_asked_for_is_shown_however_many_are_larger(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, _ = both
    rows: dict[str, Any] = {}
    for n in range(1, 601):
        facts = json.dumps({"type": "t", "reason": "exhausted", "error": f"E: {n}"})
        rows |= {f"g{n}": n, f"g{n}:first": 1, f"g{n}:last": f"2 {facts}"}
    redis.hset("buraq_tasks_dlq:groups", mapping=rows)
    plain, small, large, none = (
        api.get(f"/dead-letters/groups{query}") for query in ("", "?group=g3", "?group=g600", "?group=gone")
    )
    counts = [one["count"] for one in plain["groups"]]
    assert (counts, plain["grouped"]) == (list(range(600, 100, -1)), 600 * 601 // 2)
    assert [one["count"] for one in small["groups"]] == [*counts[:-1], 3]
    assert small["groups"][-1]["error"] == "E: 3"
    assert large == none == plain


def test_what_cannot_be_read_is_shown_as_it_is(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    redis.xadd("buraq_tasks", {"payload": "not json"})
    work.bury(reason="undecodable", error="payload is not JSON")
    [one] = api.get("/dead-letters")["items"]
    assert (one["task_id"], one["type"], one["payload_preview"], one["attempt"]) == (None, None, "not json", 0)
    shown = api.get(f"/dead-letters/{one['id']}")
    assert (shown["raw"], shown["payload"]) == ("not json", None)
    assert api.get("/tasks?state=dead")["items"] == []


def test_what_cannot_be_read_hides_its_secrets_in_the_list_by_itself_and_in_an_export(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, work = both
    for raw in ('{"type":"x","payload":{"password":"hush","n":1}}', "{'type': 'x', 'password': 'hush'}"):
        redis.xadd("buraq_tasks", {"payload": raw})
        work.bury(reason="undecodable", error="member 'id' is missing or not a text")
    wanted = ["{'type': 'x', 'password': \"[redacted]\"}", '{"type":"x","payload":{"password":"[redacted]","n":1}}']
    listed = api.get("/dead-letters")["items"]
    assert [one["payload_preview"] for one in listed] == wanted
    assert [api.get(f"/dead-letters/{one['id']}")["raw"] for one in listed] == wanted
    exported = [json.loads(line) for line in api.ask("GET", "/dead-letters/export").text.splitlines()]
    assert [(one["raw"], one["payload_preview"]) for one in exported] == [(raw, raw) for raw in reversed(wanted)]


def test_a_dead_letter_of_the_original_is_shown(both: tuple[Client, Workplace], redis: Redis) -> None:
    task = {"id": "go", "type": "mail", "payload": {}, "current_retries": 3, "max_retries": 3, "error": "late"}
    redis.xadd("buraq_tasks_dlq", {"payload": json.dumps(task)})
    api, _ = both
    [one] = api.get("/dead-letters")["items"]
    assert (one["task_id"], one["error"], one["group"]) == ("go", "late", "")
    groups = api.get("/dead-letters/groups")
    assert (groups["groups"], groups["grouped"], groups["total"]) == ([], 0, 1)


def test_a_dead_letter_of_the_original_is_found_by_the_reason_that_is_shown(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, _ = both
    redis.xadd("buraq_tasks_dlq", {"payload": json.dumps({"id": "old", "type": "t", "error": "no"})})
    [letter] = api.get("/dead-letters")["items"]
    assert [one["id"] for one in api.get(f"/dead-letters?reason={letter['reason']}")["items"]] == [letter["id"]]


@pytest.mark.parametrize("letter", ["default:1-1", "default:x", "nowhere:1-1", "x", "default:1-99999999999999999999"])
def test_an_unknown_dead_letter_is_not_found(both: tuple[Client, Workplace], letter: str) -> None:
    assert both[0].ask("GET", f"/dead-letters/{letter}").status_code == 404


def test_what_the_server_refuses_is_not_said_to_be_nowhere(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, _ = both
    redis.hset("buraq_tasks:index", "t1", "d1-1")
    redis.set("buraq_tasks_dlq", "of the wrong type")

    for path in ("/tasks/t1", "/dead-letters/default:1-1"):
        answer = api.ask("GET", path)
        assert (answer.status_code, answer.json) == (503, {"error": "Redis refused a command, see the log"})


def test_dead_letters_are_exported_as_lines(both: tuple[Client, Workplace]) -> None:
    api, work = both
    for n in range(3):
        work.app.enqueue("t", {"secret": 1}, id=f"t{n}")
    work.bury(3)
    answer = api.ask("GET", "/dead-letters/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["task_id"] for line in lines] == ["t0", "t1", "t2"]
    assert lines[0]["payload"] == {"secret": "[redacted]"}
    assert "dead-letters.jsonl" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(("method", "path"), [(method, route.path) for route in ROUTES for method in route.views])
def test_a_parameter_that_is_misspelt_is_named_and_not_ignored(
    both: tuple[Client, Workplace], method: str, path: str
) -> None:
    api, _ = both
    answer = api.http.open(f"{path}?tpye=charge", method=method, json={})
    assert (answer.status_code, answer.json["field"]) == (422, "tpye")  # type: ignore[index]
    assert str(answer.status_code) in contract.operations()[method, path]["responses"]


@pytest.mark.parametrize("path", ["/api/health", "/api/workers", "/metrics"])
def test_the_routes_of_the_original_ignore_parameters(both: tuple[Client, Workplace], path: str) -> None:
    assert both[0].http.get(f"{path}?status=lost").status_code == 200


def test_parameters_where_there_are_none_are_said_to_be_none(both: tuple[Client, Workplace]) -> None:
    answer = both[0].ask("GET", "/workers?status=lost")
    assert answer.json == {"error": "status is not known here: there is none", "field": "status"}


# --- Workers, statistics, system ----------------------------------------------------------------


def test_workers_say_what_they_finish(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    work.lease("default", memory_mb="84.5", cpu="37.5", hub_lag_ms="3.1", completed_s="2", retried_s="0", dead_s="0")
    redis.zadd("buraq_tasks:leases", {"gone": 1_000})
    listed = api.get("/workers")["workers"]
    assert [(one["id"], one["status"]) for one in listed] == [("gone", "lost"), ("w~00000001", "active")]
    assert listed[1]["memory_bytes"] == 84_500_000
    assert listed[1]["rates"] == {"completed": 2, "retried": 0, "dead": 0}
    assert api.get("/workers/w~00000001")["hub_lag_ms"] == 3.1
    assert api.ask("GET", "/workers/nobody").status_code == 404


def test_what_each_process_runs_is_what_the_server_has_handed_to_it(
    both: tuple[Client, Workplace], redis: Redis
) -> None:
    api, work = both
    other = Workplace(work.app, redis, "w~00000002")
    work.lease("default", "mail", in_flight=9)
    other.lease("default", in_flight=0)
    for priority in ("high", "normal", "low"):
        for queue in ("default", "mail"):
            work.app.enqueue("t", {}, queue=queue, priority=priority)
    work.complete()
    work.fetch(1)
    work.fetch(2, "mail")
    other.fetch(1)
    held = Counter[str]()
    for base in ("buraq_tasks", "buraq_tasks:mail"):
        for stream in (base, f"{base}_high", f"{base}_low"):
            for consumer in redis.xinfo_consumers(stream, work.app.config.group_name):
                held[consumer["name"]] += consumer["pending"]
    assert held == {"w~00000001": 3, "w~00000002": 1}
    assert {one["id"]: one["in_flight"] for one in api.get("/workers")["workers"]} == held
    whole = api.get("/overview")
    assert whole["workers"]["in_flight"] == whole["totals"]["running"] == held.total()


def test_task_types_that_live_are_listed_with_their_queues(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    work.lease("default", "mail")
    redis.zadd("buraq_tasks:types", {"mail": 4e12, "old": 1, "a": 4e12})
    redis.zadd("buraq_tasks:mail:types", {"mail": 4e12})
    assert api.get("/task-types")["types"] == [
        {"type": "a", "queues": ["default"]},
        {"type": "mail", "queues": ["default", "mail"]},
    ]


@pytest.mark.parametrize(("window", "steps"), [("hour", 60), ("day", 288)])
def test_statistics_count_what_happened_and_an_api_that_has_just_started_knows_it(
    make: Make, window: str, steps: int
) -> None:
    api, work = make()
    for queue in ("default", "mail"):
        for _ in range(3):
            work.app.enqueue("t", {}, queue=queue)
        work.complete(1, queue)
        work.fail(queue=queue)
        work.bury(queue=queue)
    shown = api.get(f"/statistics?window={window}")
    assert shown["totals"]["counts"] == {"enqueued": 6, "completed": 2, "retried": 2, "dead": 2}
    assert len(shown["counts"]["completed"]) == len(shown["run_ms"]["p50"]) == steps
    assert sum(shown["counts"]["completed"][-2:]) == 2
    assert shown["totals"]["run_ms"]["p50"] == pytest.approx(250, rel=0.15)
    mail = api.get(f"/statistics?window={window}&queue=mail")
    assert (mail["queue"], mail["totals"]["counts"]["completed"]) == ("mail", 1)
    assert make()[0].get(f"/statistics?window={window}")["totals"] == shown["totals"]


def test_the_system_shows_server_settings_and_no_secret(make: Make) -> None:
    api, _ = make(api_key="s3cret-key", read_key="")
    answer = api.ask("GET", "/system")
    assert answer.status_code == 200 and answer.json is not None
    assert "s3cret-key" not in answer.text
    shown = {one["variable"]: (one["value"], one["source"]) for one in answer.json["settings"]}
    assert shown["API_KEY"] == ("***", "set")
    assert shown["READ_KEY"] == (None, "set")
    assert shown["HISTORY_LENGTH"] == ("10000", "default")
    [shown_server] = answer.json["servers"]
    assert (shown_server["product"], shown_server["aof"], shown_server["shards"]) == ("valkey", False, 1)
    assert next(one["level"] for one in answer.json["warnings"]) == "danger"


# --- Keys that somebody has overwritten ---------------------------------------------------------


def overwrite(redis: Redis, key: str) -> None:
    """Put a list where Buraq has something else."""
    redis.delete(key)
    redis.rpush(key, "of the wrong type")


OVERWRITTEN = {  # key of the queue mail -> what is not known then
    "buraq_tasks:mail_dlq": "dead",
    "buraq_tasks:mail:scheduled": "scheduled",
    "buraq_tasks:mail_high": "waiting",
    "buraq_tasks:mail:stats": "rates",
    "buraq_tasks:mail:leases": "workers",
}


@pytest.mark.parametrize("key", OVERWRITTEN)
def test_a_key_that_was_overwritten_hides_no_other_figure_and_its_queue_names_it(
    both: tuple[Client, Workplace], redis: Redis, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    api, work = both
    work.lease("default", "mail")
    for queue in ("default", "mail"):
        work.app.enqueue("t", {}, queue=queue)
        work.app.enqueue("t", {}, queue=queue, delay=50)
    work.bury(1, queue="default")
    overwrite(redis, key)

    whole = api.get("/overview")

    default, mail = whole["queues"]
    assert (default["waiting"], default["scheduled"], default["dead"], default["workers"]) == (0, 1, 1, 1)
    assert "broken" not in default
    assert mail["broken"] == [key]
    assert mail["waiting"] == 1
    assert mail["scheduled"] == (OVERWRITTEN[key] != "scheduled")
    assert whole["workers"]["active"] == 1
    assert api.get("/queues/mail")["broken"] == [key]
    assert [queue["name"] for queue in api.get("/queues")["queues"]] == ["default", "mail"]
    [said] = [record for record in caplog.records if record.msg == "a key holds another type of value"]
    assert (said.queue, said.broken_key, said.unread) == ("mail", key, OVERWRITTEN[key])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("key", "path", "member"),
    [("stats", "/statistics", "counts"), ("types", "/task-types", "types"), ("leases", "/workers", "workers")],
)
def test_a_list_of_all_queues_is_answered_without_what_an_overwritten_key_would_add(
    both: tuple[Client, Workplace], redis: Redis, key: str, path: str, member: str
) -> None:
    api, work = both
    work.lease("default", "mail")
    work.app.enqueue("t", {}, queue="mail")
    overwrite(redis, f"buraq_tasks:mail:{key}")

    assert member in api.get(path)
    [worker] = api.http.get("/api/workers").json  # type: ignore[union-attr]
    assert worker["queues"] == (["default"] if key == "leases" else ["default", "mail"])


@pytest.mark.parametrize("key", ["buraq_tasks:bulk_dlq", "buraq_tasks:bulk_dlq:groups"])
def test_dead_letters_that_were_overwritten_hide_no_other_queues_and_are_not_said_to_be_none(
    both: tuple[Client, Workplace], redis: Redis, key: str
) -> None:
    api, work = both
    for queue in ("bulk", "default", "mail"):
        work.app.enqueue("t", {}, queue=queue, id=queue)
        work.bury(1, queue=queue)
    overwrite(redis, key)

    everywhere = api.get("/dead-letters")
    assert {letter["task_id"] for letter in everywhere["items"]} - {"bulk"} == {"default", "mail"}
    assert everywhere["total"] == len(everywhere["items"])
    assert {group["queue"] for group in api.get("/dead-letters/groups")["groups"]} == {"default", "mail"}
    assert api.ask("GET", "/dead-letters/groups?queue=bulk").status_code == 503
    assert api.ask("GET", "/dead-letters?queue=bulk").status_code == (503 if key.endswith("_dlq") else 200)
    if key.endswith("_dlq"):
        assert api.http.post("/api/retry-dlq").status_code == 503
        assert sorted(item["id"] for item in api.get("/tasks?state=waiting&queue=mail")["items"]) == ["mail"]


def test_a_pause_that_cannot_be_read_hides_no_figure(both: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = both
    work.app.enqueue("t", {})
    overwrite(redis, "buraq_tasks:paused")

    [default] = api.get("/overview")["queues"]
    assert (default["waiting"], default["paused"], default["broken"]) == (1, None, ["buraq_tasks:paused"])
