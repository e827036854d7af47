"""To the API a cluster is one server: its lists have what lies on all shards, and its changes reach all of them."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from buraq import Buraq
from buraq.deadletters import DeadLetters
from buraq.inspector import Inspector
from buraq.pauses import Pauses
from buraq.web import create_app
from buraq.worker.worker import Worker
from tests.clusters import Cluster
from tests.servers import PATIENCE, eventually
from tests.web.contracts import Client

pytestmark = pytest.mark.e2e

# Of what completes in one second the history keeps 12 on each shard. With these more fall on one once in a hundred
# thousand runs, with 60 once in a thousand.
FEW = 40


@pytest.fixture
def api(app: Buraq) -> Client:
    return Client(create_app(app))


def pages(api: Client, path: str, limit: int = 7) -> list[Any]:
    """Read a list to its end, page by page."""
    found, cursor = [], ""
    while True:
        page = api.get(f"{path}limit={limit}{cursor}")
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def shard_of(letter: str) -> str:
    """Return the shard of a dead letter, whose id is `<queue>:<shard>/<entry id>`."""
    return letter.partition(":")[2].partition("/")[0]


def entered(letter: str) -> tuple[int, int, str]:
    """Return what dead letters are listed by: the newest entry first, of two that are as new the first shard's."""
    ms, _, number = letter.partition("/")[2].partition("-")
    return -int(ms), -int(number), shard_of(letter)


def buried(app: Buraq, start: Callable[..., Worker], count: int) -> Worker:
    """Bury tasks, by a worker that goes on."""

    @app.task(max_retries=0)
    def fail(n: int) -> None:
        raise ValueError(f"{n} is broken")

    fail.enqueue_many([{"n": n} for n in range(count)])
    worker = start(app, concurrency=50)
    eventually(lambda: len(DeadLetters(app.backend, "default")) == count)
    return worker


def test_what_waits_and_what_is_due_later_is_listed_once_each(app: Buraq, api: Client) -> None:
    waiting = {app.enqueue("t", {"n": n}).id for n in range(40)}
    later = {app.enqueue("t", {"n": n}, delay=60, queue="mail").id for n in range(40)}
    assert Counter(task["id"] for task in pages(api, "/tasks?state=waiting&")) == Counter(waiting)
    assert Counter(task["id"] for task in pages(api, "/tasks?state=scheduled&")) == Counter(later)
    assert api.get("/tasks?state=scheduled")["total"] == 40
    assert {task["queue"] for task in pages(api, "/tasks?state=scheduled&")} == {"mail"}


def test_what_has_ended_is_listed_the_newest_first_over_all_shards(app: Buraq, api: Client, start: Any) -> None:
    app.task(name="note")(lambda n: None)
    start(app, concurrency=50)
    ids = {app.enqueue("note", {"n": n}).id for n in range(FEW)}
    eventually(lambda: api.get("/tasks?state=completed")["total"] == FEW)
    found = pages(api, "/tasks?state=completed&")
    assert Counter(task["id"] for task in found) == Counter(ids)
    since = [task["since"] for task in found]
    assert since == sorted(since, reverse=True)
    assert api.get(f"/tasks/{found[3]['id']}")["state"] == "completed"
    history = api.get("/tasks?state=completed")["history"]
    assert (history["length"], history["kept"]) == (10_000, FEW), "HISTORY_LENGTH is divided among the shards"


def test_a_task_with_an_idempotency_key_is_found_with_its_result(app: Buraq, api: Client, start: Any) -> None:
    app.task(name="double", keep_result=True)(lambda n: 2 * n)
    start(app)
    handles = [app.enqueue("double", {"n": n}, idempotency_key=f"k{n}") for n in range(5)]
    assert [handle.result(PATIENCE) for handle in handles] == [0, 2, 4, 6, 8]
    assert [api.get(f"/tasks/{handle.id}")["result"] for handle in handles] == [0, 2, 4, 6, 8]


def test_a_task_of_a_group_is_found_with_its_result(app: Buraq, api: Client, start: Any) -> None:
    app.task(name="double", keep_result=True)(lambda n: 2 * n)
    start(app)
    handles = app.registry["double"].options(group="tenant-17").enqueue_many([{"n": n} for n in range(5)])
    assert [handle.result(PATIENCE) for handle in handles] == [2 * n for n in range(5)]
    assert [api.get(f"/tasks/{handle.id}")["result"] for handle in handles] == [2 * n for n in range(5)]


def test_the_api_enqueues_a_task_on_the_shard_of_its_group(app: Buraq, api: Client) -> None:
    of_group = app.backend.shard_of("tenant-17")
    for n in range(8):
        assert api.post("/tasks", {"type": "t", "payload": {"n": n}, "group": "tenant-17"}).status_code == 201
    refused = api.post("/tasks", {"type": "t", "group": ""})
    assert (refused.status_code, refused.json["field"]) == (422, "group")
    assert of_group.server.shared.command("XLEN", of_group.names.queue("default").streams["n"]) == 8


def test_dead_letters_of_all_shards_are_listed_shown_replayed_and_deleted(app: Buraq, api: Client, start: Any) -> None:
    buried(app, start, 40).stop(0.0)
    found = pages(api, "/dead-letters?")
    ids = [one["id"] for one in found]
    assert (len(set(ids)), ids) == (40, sorted(ids, key=entered))
    # Redis 7.0 stamps an entry some ms after its script began, which is when the task died: exact at each shard alone.
    for shard in {shard_of(one) for one in ids}:
        died = [one["died_at"] for one in found if shard_of(one["id"]) == shard]
        assert died == sorted(died, reverse=True)
    [group] = api.get("/dead-letters/groups")["groups"]
    assert (group["count"], group["type"]) == (40, "fail")
    for one in found:
        assert api.get(f"/dead-letters/{one['id']}")["task_id"] == one["task_id"]
    listed = pages(api, "/tasks?state=dead&")
    assert Counter(task["dead_letter"] for task in listed) == Counter(one["id"] for one in found)
    assert api.post(f"/dead-letters/{found[0]['id']}/replay").json["id"] == found[0]["task_id"]
    assert api.ask("DELETE", f"/dead-letters/{found[1]['id']}").status_code == 204
    assert api.ask("GET", f"/dead-letters/{found[1]['id']}").status_code == 404
    assert len(DeadLetters(app.backend, "default")) == 38


@pytest.mark.parametrize("kind", ["replay", "delete"])
def test_an_operation_reaches_the_dead_letters_of_all_shards(app: Buraq, api: Client, start: Any, kind: str) -> None:
    buried(app, start, 40).stop(0.0)
    chosen = [one["id"] for one in api.get("/dead-letters")["items"][:5]]

    def whole(body: dict[str, Any]) -> tuple[int, int, int]:
        begun = api.post(f"/dead-letters/{kind}", body).json
        eventually(lambda: api.get(f"/operations/{begun['id']}")["state"] == "done")
        ended = api.get(f"/operations/{begun['id']}")
        return ended["total"], ended["seen"], ended["done"]

    assert whole({"ids": chosen}) == (5, 5, 5)
    assert whole({"filter": {"type": "fail"}}) == (35, 35, 35)
    counts = Inspector(app.backend).counts("default")
    assert (counts.dead, counts.waiting) == (0, 40 if kind == "replay" else 0)


def test_what_died_on_any_shard_after_it_was_counted_is_left_alone(app: Buraq, api: Client, start: Any) -> None:
    worker = buried(app, start, 20)
    until = api.get("/dead-letters/groups")["until"]
    app.registry["fail"].enqueue_many([{"n": n} for n in range(20, 60)])
    eventually(lambda: len(DeadLetters(app.backend, "default")) == 60)
    worker.stop(0.0)

    begun = api.post("/dead-letters/delete", {"filter": {}, "until": until}).json
    eventually(lambda: api.get(f"/operations/{begun['id']}")["state"] == "done")

    ended = api.get(f"/operations/{begun['id']}")
    assert (ended["total"], ended["seen"], ended["done"]) == (20, 20, 20)
    left = [api.get(f"/dead-letters/{one['id']}")["payload"]["n"] for one in pages(api, "/dead-letters?")]
    assert sorted(left) == list(range(20, 60))


def test_a_queue_is_paused_and_resumed_at_all_shards(app: Buraq, api: Client, start: Any) -> None:
    ran: Counter[int] = Counter()

    @app.task(queue="mail")
    def note(n: int) -> None:
        ran[n] += 1

    worker = start(app, concurrency=50)
    eventually(lambda: worker.standing.valid and all(lane.fetcher.open for lane in worker.lanes))
    assert api.post("/queues/default/pause").json["paused"]["by"]
    # Who has been told may yet wait at it for a moment.
    eventually(lambda: all([one.keys.name for one in lane.fetcher.open] == ["mail"] for lane in worker.lanes))
    note.enqueue_many([{"n": n} for n in range(40)])
    eventually(lambda: len(ran) == 40)
    stays = [app.enqueue("note", {"n": 100 + n}, queue="default") for n in range(40)]
    assert Inspector(app.backend).counts("default").waiting == 40
    assert api.post("/queues/default/resume").json["paused"] is None
    eventually(lambda: len(ran) == 80)
    assert (len(stays), Pauses(app.backend).all()) == (40, {})


def test_with_all_queues_paused_a_worker_rests_and_goes_on(app: Buraq, start: Any) -> None:
    ran: Counter[int] = Counter()

    @app.task
    def note(n: int) -> None:
        ran[n] += 1

    Pauses(app.backend).pause("default")
    note.enqueue_many([{"n": n} for n in range(40)])
    worker = start(app, concurrency=50)
    eventually(lambda: all(lane.fetcher.quiet_walks >= 2 for lane in worker.lanes))
    assert not ran
    Pauses(app.backend).resume("default")
    eventually(lambda: len(ran) == 40)


def test_figures_are_those_of_all_shards_together(app: Buraq, api: Client, start: Any) -> None:
    app.task(name="note")(lambda n: None)
    worker = start(app, concurrency=50)
    for n in range(FEW):
        app.enqueue("note", {"n": n})
    eventually(lambda: api.get("/statistics?window=hour")["totals"]["counts"]["completed"] == FEW)
    assert api.get("/statistics?window=hour")["totals"]["counts"]["enqueued"] == FEW
    assert api.get("/task-types")["types"] == [{"type": "note", "queues": ["default"]}]
    whole = api.get("/overview")
    assert (whole["totals"]["waiting"], whole["workers"]["active"]) == (0, 1)
    assert api.get(f"/workers/{worker.name}")["concurrency"] == 50
    assert worker.worked == FEW
    assert api.get("/system")["history"]["kept"] == FEW


def test_the_system_shows_each_master_and_what_is_wrong_with_it(api: Client, cluster: Cluster) -> None:
    shown = api.get("/system")
    assert sorted(one["address"] for one in shown["servers"]) == sorted(cluster.addresses)
    assert sorted(one["shards"] for one in shown["servers"]) == [5, 5, 6]
    assert {(one["mode"], one["role"], one["aof"]) for one in shown["servers"]} == {("cluster", "master", False)}
    dangers = [warning["text"] for warning in shown["warnings"] if warning["level"] == "danger"]
    assert all(any(address in text for text in dangers) for address in cluster.addresses)


def test_what_was_done_is_in_the_audit_list(app: Buraq, api: Client) -> None:
    api.post("/queues/default/pause")
    api.post("/queues/default/resume")
    assert [action["action"] for action in api.get("/audit")["items"]] == ["resume", "pause"]
