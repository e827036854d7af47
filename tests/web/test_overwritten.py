"""Something else has overwritten a key of one queue: what is asked of all is answered for the others, and names it.

The queue is no other file's: such a key is logged once a minute by each process, and other tests look for that line.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from tests.web.contracts import Client
from tests.web.workplace import Workplace

Make = Callable[..., tuple[Client, Workplace]]

STATES = ("scheduled", "waiting", "running", "completed", "failed", "dead", "cancelled")
LISTS = (
    *(f"/tasks?state={state}" for state in STATES),
    "/task-types",
    "/dead-letters",
    "/dead-letters/groups",
    "/workers",
    "/statistics",
)
PAST = {f"/tasks?state={state}" for state in ("completed", "failed", "cancelled")}
LIVE = {"/tasks?state=waiting", "/tasks?state=running"}  # their totals come with that of all that is there
NAMES = {  # what follows the base of a queue -> the lists that do without it
    "": {*LIVE, "/workers"},
    "_suspects": {*LIVE, "/workers"},
    "_dlq": {*LIVE, "/tasks?state=dead", "/dead-letters", "/dead-letters/groups"},
    "_dlq:groups": {"/dead-letters/groups"},
    ":scheduled": {*LIVE, "/tasks?state=scheduled"},
    ":scheduled:tasks": {"/tasks?state=scheduled"},
    ":index": {"/tasks?state=scheduled"},
    ":stats": {*PAST, "/statistics"},
    ":history:completed": {"/tasks?state=completed"},
    ":history:cancelled": {"/tasks?state=cancelled"},
    ":history:dead": set(),
    ":history": set(),
    ":leases": {"/workers"},
    ":types": {"/task-types"},
}


def overwrite(redis: Redis, key: str) -> None:
    """Put a list where Buraq has something else."""
    redis.delete(key)
    redis.rpush(key, "of the wrong type")


def fill(work: Workplace) -> None:
    """Have tasks in all states, in two queues."""
    work.lease("default", "stock", queues="default,stock")
    for queue in ("default", "stock"):
        for n, run in enumerate((work.bury, work.complete, work.fail)):
            work.app.enqueue("t", {}, queue=queue, id=f"{queue}-{n}")
            run(queue=queue)
        work.app.enqueue("t", {}, queue=queue, id=f"{queue}-running")
        work.fetch(1, queue)
        work.app.enqueue("t", {}, queue=queue, id=f"{queue}-waiting")
        work.app.enqueue("t", {}, queue=queue, id=f"{queue}-cancelled", delay=50)


@pytest.fixture
def filled(both: tuple[Client, Workplace]) -> tuple[Client, Workplace]:
    api, work = both
    fill(work)
    for queue in ("default", "stock"):
        assert api.post(f"/tasks/{queue}-cancelled/cancel", {}).status_code == 200
    return both


@pytest.mark.parametrize("suffix", NAMES)
def test_every_list_of_all_queues_has_those_of_the_others_and_names_the_key_that_it_does_without(
    filled: tuple[Client, Workplace], redis: Redis, suffix: str
) -> None:
    api, work = filled
    key = f"buraq_tasks:stock{suffix}"
    before = {path: api.get(path) for path in LISTS}
    overwrite(redis, key)

    for path in LISTS:
        shown = api.get(path)
        assert shown.get("broken", []) == ([key] if path in NAMES[suffix] else []), path
        for member in {"items", "groups"} & shown.keys():
            kept, was = ([item for item in one[member] if item["queue"] == "default"] for one in (shown, before[path]))
            assert [one.get("id") for one in kept] == [one.get("id") for one in was] != [], path
    for task in ("running", "waiting", "cancelled", "0", "1"):
        assert api.get(f"/tasks/default-{task}")["queue"] == "default"
    assert api.get(f"/workers/{work.name}").get("broken", []) == ([key] if "/workers" in NAMES[suffix] else [])
    warned = [one["text"] for one in api.get("/system")["warnings"] if key in one["text"]]
    assert bool(warned) == (suffix.startswith((":history:", ":stats")))
    assert "buraq_redis_up 1.0" in api.http.get("/metrics").text


def test_pages_go_on_past_a_queue_that_cannot_be_read(filled: tuple[Client, Workplace], redis: Redis) -> None:
    api, work = filled
    work.app.enqueue("t", {}, queue="post", id="post-waiting")
    overwrite(redis, "buraq_tasks:stock")

    first = api.get("/tasks?limit=1")
    second = api.get(f"/tasks?limit=1&cursor={first['next']}")

    assert [page["items"][0]["id"] for page in (first, second)] == ["default-waiting", "post-waiting"]
    assert first["broken"] == second["broken"] == ["buraq_tasks:stock"]
    assert first["total"] == 2


def test_one_queue_that_is_asked_for_and_cannot_be_read_is_not_said_to_be_empty(
    filled: tuple[Client, Workplace], redis: Redis
) -> None:
    api, _ = filled
    for key in ("", "_dlq", ":scheduled", ":history:completed"):
        overwrite(redis, f"buraq_tasks:stock{key}")

    for state in ("waiting", "running", "scheduled", "dead", "completed"):
        assert api.ask("GET", f"/tasks?state={state}&queue=stock").status_code == 503, state
        assert api.ask("GET", f"/tasks?state={state}&queue=default").status_code == 200, state
    for path in ("/dead-letters", "/dead-letters/groups", "/dead-letters/export"):
        assert api.ask("GET", f"{path}?queue=stock").status_code == 503, path


@pytest.mark.parametrize("key", ["index", "history"])
def test_a_task_that_may_be_in_a_queue_whose_index_cannot_be_read_is_not_said_to_be_unknown(
    filled: tuple[Client, Workplace], redis: Redis, key: str
) -> None:
    api, _ = filled
    assert api.ask("GET", "/tasks/nobody").status_code == 404
    overwrite(redis, f"buraq_tasks:stock:{key}")

    assert api.ask("GET", "/tasks/nobody").status_code == 503
    assert api.ask("GET", "/workers/nobody").status_code == 404


def test_a_worker_that_may_read_a_queue_whose_leases_cannot_be_read_is_not_said_to_be_unknown(
    filled: tuple[Client, Workplace], redis: Redis
) -> None:
    api, _ = filled
    overwrite(redis, "buraq_tasks:stock:leases")

    assert api.ask("GET", "/workers/nobody").status_code == 503


def test_an_export_has_the_dead_letters_of_the_other_queues_and_ends_with_what_it_lacks(
    filled: tuple[Client, Workplace], redis: Redis
) -> None:
    api, work = filled
    work.app.enqueue("t", {}, queue="post")
    work.bury(queue="post")
    overwrite(redis, "buraq_tasks:stock_dlq")

    *letters, last = [json.loads(line) for line in api.ask("GET", "/dead-letters/export").text.splitlines()]

    assert [letter["queue"] for letter in letters] == ["default", "post"]
    assert last["broken"] == ["buraq_tasks:stock_dlq"]
    assert last["error"].startswith("not complete")


@pytest.mark.parametrize("kind", ["replay", "delete"])
def test_an_operation_on_all_is_done_to_the_other_queues_and_says_what_it_left_out(
    filled: tuple[Client, Workplace], redis: Redis, kind: str, eventually: Callable[..., Any]
) -> None:
    api, _ = filled
    overwrite(redis, "buraq_tasks:stock_dlq")

    begun: Any = api.post(f"/dead-letters/{kind}", {"filter": {}}).json
    ended = eventually(lambda: (one := api.get(f"/operations/{begun['id']}"))["state"] != "running" and one)

    assert (ended["state"], ended["total"], ended["done"]) == ("done", 1, 1)
    assert "buraq_tasks:stock_dlq" in ended["error"]
    assert redis.xlen("buraq_tasks_dlq") == 0
    assert api.post(f"/dead-letters/{kind}", {"filter": {"queue": "stock"}}).status_code == 503


# --- The names of the queues --------------------------------------------------------------------


def test_without_the_names_of_the_queues_those_that_worker_processes_read_are_shown(
    filled: tuple[Client, Workplace], redis: Redis
) -> None:
    api, _ = filled
    key = "buraq_tasks:queues"
    overwrite(redis, key)

    for path in ("/overview", "/queues"):
        default, stock = api.get(path)["queues"]
        assert (default["name"], default["broken"], stock["name"]) == ("default", [key], "stock")
        assert "broken" not in stock
    for path in LISTS:
        assert api.get(path)["broken"] == [key], path
    assert {item["queue"] for item in api.get("/dead-letters")["items"]} == {"default", "stock"}
    assert [item["queue"] for item in api.get("/tasks?queue=stock")["items"]] == ["stock"]
    assert api.get("/queues/stock")["waiting"] == 1
    assert any(key in warning["text"] for warning in api.get("/system")["warnings"])
    assert 'buraq_queue_tasks{queue="stock",state="waiting"} 1.0' in api.http.get("/metrics").text
    last = json.loads(api.ask("GET", "/dead-letters/export").text.splitlines()[-1])
    assert last["broken"] == [key]


def test_without_the_names_of_the_queues_none_is_said_not_to_be_there(
    filled: tuple[Client, Workplace], redis: Redis, eventually: Callable[..., Any]
) -> None:
    api, _ = filled
    assert api.ask("GET", "/queues/nobodys").status_code == 404
    overwrite(redis, "buraq_tasks:queues")

    assert api.ask("GET", "/queues/nobodys").status_code == 503
    assert api.ask("GET", "/tasks?queue=nobodys").status_code == 503
    begun: Any = api.post("/dead-letters/delete", {"filter": {}}).json
    ended = eventually(lambda: (one := api.get(f"/operations/{begun['id']}"))["state"] != "running" and one)
    assert (ended["done"], "buraq_tasks:queues" in ended["error"]) == (2, True)
