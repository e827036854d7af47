"""However a task ends, and wherever it runs, no log line has a value of its payload or of what it returned."""

import json
from collections.abc import Callable

import pytest
from redis import Redis

from buraq import Buraq
from tests.cli.conftest import Running
from tests.guarded import StrictServer
from tests.ports import free_port
from tests.security import chores
from tests.security.test_secrets import SECRETS, ask, settled
from tests.servers import eventually

pytestmark = pytest.mark.e2e

NOTE = "note-4f7d21-word"
DEBUG = {"LOG_LEVEL": "debug", "RETRY_BACKOFF": "20ms", "RETRY_BACKOFF_MAX": "20ms", "TIMEOUT_GRACE": "100ms"}
HERE = ("return", "raise", "log", "hang", "block", "no JSON")
APART = ("return", "raise", "log", "spin", "no JSON", "abort")
DEAD = 2 + 3  # of them


def entry(**members: object) -> dict[str, str]:
    """Return an entry as another program would add it."""
    return {"payload": json.dumps({"id": "x", "type": "takes", "payload": {"how": "", "note": NOTE}, **members})}


def test_no_line_of_a_worker_and_its_child_processes_has_a_value_of_a_payload(
    server: StrictServer, redis: Redis, launch: Callable[..., Running]
) -> None:
    chores.queue.use(Buraq(redis_url=server.url_of("producer")).config)
    handles = [chores.takes.enqueue(how, NOTE) for how in HERE]
    handles += [chores.takes_apart.enqueue(how, NOTE) for how in APART]
    redis.xadd("buraq_tasks", entry(id="wrong", payload={"note": NOTE, "other": NOTE}))
    redis.xadd("buraq_tasks", entry(id="unknown", type="nobody_knows"))
    redis.xadd("buraq_tasks", entry(id="owned", idempotency_key="key"))
    redis.xadd("buraq_tasks", {"payload": entry()["payload"][:-3]})
    redis.xadd("buraq_tasks", entry(id="twisted", idempotency_key=7))

    worker = launch(server.url_of("worker"), "worker", **DEBUG)

    eventually(lambda: redis.xlen("buraq_tasks_dlq") == DEAD + 3)
    eventually(lambda: [handle.state() for handle in handles].count(None) == len(handles) - DEAD)
    eventually(lambda: redis.zscore("buraq_tasks:scheduled", "unknown"))  # put back: another release may know it
    worker.process.terminate()
    assert worker.wait() == 0
    said = ("said by a task", "task buried", "is not JSON and is not kept", "a child process died", "undecodable")
    assert [text for text in said if text not in worker.output] == []
    assert worker.output.count("said by a task") == 2, "the child's too"
    assert_silent(worker.output)


def test_no_line_of_the_api_or_of_a_command_has_a_value_of_a_payload(
    server: StrictServer, redis: Redis, launch: Callable[..., Running]
) -> None:
    port, key = free_port(), SECRETS["API_KEY"]
    api = launch(server.url_of("api"), "api", **DEBUG, API_KEY=key, API_PORT=f"127.0.0.1:{port}", LOG_FORMAT="text")
    eventually(lambda: settled(port))
    bodies = (
        {"type": "takes", "payload": {"how": "", "note": NOTE}},
        {"type": "takes", "payload": NOTE},
        {"type": "takes", "payload": {"note": NOTE + "\ud800"}},
        {"type": "takes", "payload": {}, "priority": NOTE},
        {"type": "takes", "payload": {}, NOTE: 1},
    )
    answers = [json.loads(ask(port, "/api/v1/tasks", body=body)) for body in bodies]
    assert ["error" in answer for answer in answers] == [False, True, True, True, True]
    ask(port, f"/api/v1/tasks/{answers[0]['id']}")
    ask(port, f"/api/v1/tasks?tpye={NOTE}")
    enqueue = launch(server.url_of("producer"), "enqueue", "takes", json.dumps({"how": "", "note": NOTE}), **DEBUG)
    assert enqueue.wait() == 0
    api.process.terminate()
    api.wait()
    assert api.output.count("/api/v1/tasks") >= len(bodies), "each request has a line"
    assert_silent(api.output, enqueue.output)


def assert_silent(*texts: str) -> None:
    for text in texts:
        assert text, "something was said"
        assert [secret for secret in (NOTE, *StrictServer.PASSWORDS.values()) if secret in text] == []
