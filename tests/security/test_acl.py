"""The ACL rules of docs/security.md let each user do its work, and nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from buraq import Buraq
from buraq.errors import EnqueueError
from buraq.web import create_app
from tests.cli.conftest import Running
from tests.guarded import GREETING, AclServer
from tests.security import chores
from tests.security.needs import BY_USER, of_scripts
from tests.security.rules import commands, rules
from tests.servers import PATIENCE, eventually
from tests.web.contracts import Client
from tests.web.workplace import Workplace

pytestmark = pytest.mark.e2e

FAST = {"LEASE_TTL": "1s", "RETRY_BACKOFF": "20ms", "RETRY_BACKOFF_MAX": "20ms"}
each_user = pytest.mark.parametrize("user", sorted(BY_USER))


def called(server: AclServer) -> set[str]:
    """Return the commands that a server was sent since its statistics were reset."""
    return {name.removeprefix("cmdstat_") for name in server.client().info("commandstats")}


def assert_content(server: AclServer, user: str) -> None:
    """Nothing was refused to a user, and nothing is granted that neither it nor a script of it sends."""
    assert [one for one in server.refused() if one[2] not in GREETING] == []
    assert commands(user) - called(server) - of_scripts(user) == set()


@each_user
def test_a_user_may_call_what_its_scripts_call(user: str) -> None:
    assert of_scripts(user) - commands(user) == set()


def test_a_worker_runs_retries_delays_buries_reclaims_and_leaves_under_its_rules(
    acl: AclServer, launch: Callable[..., Running], tmp_path: Path
) -> None:
    admin = acl.client()
    chores.queue.use(Buraq(redis_url=acl.url).config)
    handles = [
        chores.add.enqueue(1, 2),
        chores.fails_once.enqueue(),
        chores.snoozes_once.enqueue(str(tmp_path)),
        chores.enqueues.enqueue(),
        chores.computes.enqueue(10),
        chores.add.options(delay=0.1, idempotency_key="once").enqueue(1, 2),
    ]
    chores.rejected.enqueue()
    raw = {"id": "raw", "type": "add", "payload": {"a": 1, "b": 2}, "idempotency_key": "from-elsewhere"}
    admin.xadd("buraq_tasks", {"payload": json.dumps(raw)})
    worker = launch(acl.url_of("worker"), "worker", **FAST)
    results = [handle.result(PATIENCE) for handle in handles]
    assert results[:3] + results[4:] == [3, 1, "awake", 45, 3]
    eventually(lambda: admin.get("idemp:from-elsewhere") == "raw")
    fails = chores.fails.enqueue()
    assert chores.dies.enqueue(str(tmp_path), 1).result(PATIENCE) == 1
    eventually(lambda: fails.state() == "dead")
    worker.process.terminate()
    assert worker.wait() == 0
    assert admin.zcard("buraq_tasks:leases") == 0
    assert "redis trouble" not in worker.output
    assert "outcomes refused" not in worker.output
    assert_content(acl, "worker")


def test_a_producer_enqueues_in_all_ways_and_asks_for_results_under_its_rules(acl: AclServer) -> None:
    queue = Buraq(redis_url=acl.url_of("producer"), enqueue_timeout="5s")
    add = queue.task(name="add", keep_result=True)(_add)
    first = add.options(priority="high").enqueue(1)
    again = [add.options(idempotency_key="k", delay=60).enqueue(2).id for _ in range(2)]
    assert again[0] == again[1]
    known = [add.options(id="x", queue="mail").enqueue(3).created for _ in range(2)]
    assert known == [True, False]
    later = add.options(id="later", delay=60).enqueue(1)
    assert [add.options(id="later", delay=60).enqueue(1).created, later.state()] == [False, "scheduled"]
    assert len(add.enqueue_many([{"n": n} for n in range(300)])) == 300
    assert queue.enqueue("add", {"n": 1}).cancel() and later.cancel()
    Workplace(Buraq(redis_url=acl.url), acl.client()).complete(1, result=b"7")
    assert first.result() == 7
    assert_content(acl, "producer")


def _add(n: int = 0) -> int:
    return n


def test_the_api_answers_all_its_reads_and_changes_under_its_rules(acl: AclServer) -> None:
    work = Workplace(Buraq(redis_url=acl.url), acl.client())
    work.lease()
    work.app.task(name="f")(_add).enqueue_many([{"n": n} for n in range(12)])
    work.complete(3, result=b"1")
    work.fail()
    work.bury(3)
    work.bury(2, "undecodable")
    work.fetch()
    acl.client().config_resetstat()
    app = create_app(Buraq(redis_url=acl.url_of("api")))
    _read_all(app, work)
    _change_all(Client(app))
    assert_content(acl, "api")


def _read_all(app, work: Workplace) -> None:  # type: ignore[no-untyped-def]
    http, api = app.test_client(), Client(app)
    for path in ("/api/health", "/api/workers", "/metrics"):
        assert http.get(path).status_code == 200
    with http.get("/api/stream", buffered=False) as stream:
        frames = iter(stream.response)
        assert b"ping" in next(frames)
        work.app.enqueue("f", {})
        assert any(b"Pending" in frame for frame in frames)
    letter = api.get("/dead-letters")["items"][0]["id"]
    task = api.get("/tasks")["items"][0]["id"]
    for state in ("waiting", "running", "scheduled", "completed", "failed", "dead", "cancelled"):
        api.get(f"/tasks?state={state}")
    for path in ("overview", "queues", "queues/default", f"tasks/{task}", "task-types", "dead-letters/groups"):
        api.get(f"/{path}")
    assert api.ask("GET", "/dead-letters/export").status_code == 200
    for path in (f"dead-letters/{letter}", "operations", "workers", f"workers/{work.name}", "statistics", "system"):
        api.get(f"/{path}")


def _change_all(api: Client) -> None:
    def change(path: str, body: object = None, method: str = "POST") -> dict[str, str]:
        answer = api.ask(method, path, {} if body is None else body)
        assert answer.status_code < 300, answer.text
        return answer.json or {}

    letters = [item["id"] for item in api.get("/dead-letters")["items"]]
    change("/queues/default/pause")
    change("/queues/default/resume")
    change("/tasks", {"type": "f", "id": "mine", "idempotency_key": "k", "delay_ms": 60_000})
    change("/tasks/mine/cancel")
    change(f"/dead-letters/{letters[0]}/replay")
    assert api.ask("DELETE", f"/dead-letters/{letters[1]}").status_code == 204
    for path, reason in (("replay", "exhausted"), ("delete", "undecodable")):
        begun = change(f"/dead-letters/{path}", {"filter": {"reason": reason}})
        eventually(lambda begun=begun: api.get(f"/operations/{begun['id']}")["ended_at"])
    assert api.get("/audit")["items"]
    assert api.app.test_client().post("/api/retry-dlq").status_code == 200


@each_user
@pytest.mark.parametrize(
    "words",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("SCAN", "0"),
        ("ACL", "LIST"),
        ("SHUTDOWN",),
        ("MONITOR",),
        ("EVAL", "return 1", "0"),
        ("SCRIPT", "FLUSH"),
        ("XTRIM", "buraq_tasks", "MAXLEN", "0"),
        ("HGET", "other", "a"),
        ("XADD", "buraq_tasksofothers", "*", "payload", "{}"),
        ("PUBLISH", "other", "x"),
    ],
    ids=" ".join,
)
def test_what_a_user_does_not_need_is_refused(acl: AclServer, user: str, words: tuple[str, ...]) -> None:
    with pytest.raises(NoPermissionError):
        acl.client_of(user).execute_command(*words)


@each_user
def test_a_script_reaches_no_key_but_those_of_buraq(acl: AclServer, user: str) -> None:
    client = acl.client_of(user)
    sha = client.script_load("return redis.call('SET', 'other', 1)")
    with pytest.raises(ResponseError, match="access"):
        client.evalsha(sha, 0)
    assert acl.client().get("other") is None


def test_a_missing_permission_is_said_with_the_command_and_the_remedy(acl: AclServer) -> None:
    admin = acl.client()
    queue = Buraq(redis_url=acl.url_of("producer"))
    remedy = r"docs/security\.md.*ACL LOG"
    admin.execute_command("ACL", "SETUSER", "producer", "-xadd", "-get")
    try:
        handle_error = r"EVALSHA of enqueue\.lua: .*" + remedy
        with pytest.raises(EnqueueError, match=handle_error):
            queue.enqueue("add", {"n": 1})
        [reply] = queue.backend.server.shared.commands([("GET", "buraq_tasks:result:x")])
        assert re.match(r"GET: .*'get' command.*" + remedy, str(reply))
    finally:
        admin.execute_command("ACL", "SETUSER", "producer", "reset", "on", "nopass", *rules()["producer"].split())
