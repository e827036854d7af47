"""No password and no key stands in what worker, API and command line write or answer, whatever goes wrong."""

import json
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any

import pytest

from buraq import Buraq
from tests.cli.conftest import Running
from tests.guarded import AclServer
from tests.ports import free_port
from tests.security import chores
from tests.servers import PATIENCE, Server, eventually

pytestmark = pytest.mark.e2e

PASSWORD, WRONG = "pass-7b1c9e-word", "wrong-5d20aa-word"
SECRETS = {
    "API_KEY": "key-of-api-93f1c2",
    "READ_KEY": "key-of-reads-41d7b8",
    "REDIS_SENTINEL_PASSWORD": "sentinel-c08a55-word",
}
ALL = (PASSWORD, WRONG, *SECRETS.values())


@pytest.fixture(scope="module")
def closed(shared: Callable[..., Any]) -> AclServer:
    """A server that knows one user beside the admin, with a password that is easy to find again."""
    server = shared(AclServer, {"app": "~* &* +@all"})
    server.client().execute_command("ACL", "SETUSER", "app", f">{PASSWORD}")
    return server  # type: ignore[no-any-return]


def assert_silent(*texts: str) -> None:
    for text in texts:
        assert text, "something was said"
        assert [secret for secret in ALL if secret in text] == []


def url_of(server: Server, password: str = PASSWORD) -> str:
    return f"redis://app:{password}@127.0.0.1:{server.port}/0"


def ask(port: int, path: str, key: str = SECRETS["API_KEY"], body: object = None) -> str:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def settled(port: int) -> bool:
    return '"healthy"' in ask(port, "/api/health")


def test_programs_that_work_write_and_answer_no_secret(closed: AclServer, launch: Callable[..., Running]) -> None:
    said = {**SECRETS, "LOG_LEVEL": "debug"}
    del said["REDIS_SENTINEL_PASSWORD"]
    metrics, port = free_port(), free_port()
    worker = launch(url_of(closed), "worker", **said, METRICS_PORT=f"127.0.0.1:{metrics}")
    api = launch(url_of(closed), "api", **said, API_PORT=f"127.0.0.1:{port}", LOG_FORMAT="text")
    chores.queue.use(Buraq(redis_url=url_of(closed)).config)
    assert chores.add.enqueue(1, 2).result(PATIENCE) == 3
    failed = chores.fails.enqueue()
    eventually(lambda: failed.state() == "dead")
    eventually(lambda: settled(port))
    ask(port, "/api/v1/tasks", body={"type": "add", "payload": {"a": 1, "b": 1}})
    paths = ("/api/v1/system", "/api/v1/audit", "/api/v1/workers", "/metrics", "/api/v1/overview", "/api/v1/session")
    answers = [ask(port, path) for path in paths]
    assert "***" in answers[0]
    answers.append(ask(metrics, "/metrics"))
    shown = [launch(url_of(closed), *words, **said) for words in (("config",), ("config", "--json"), ("status",))]
    assert [one.wait() for one in shown] == [0, 0, 0]
    closed.client().execute_command("CLIENT", "KILL", "USER", "app")
    eventually(lambda: "redis trouble" in worker.output or settled(port))
    for one in (worker, api):
        one.process.terminate()
    for one in (worker, api):
        one.wait()
    assert_silent(*answers, worker.output, api.output, *(one.output for one in shown))


def test_programs_that_are_not_let_in_write_no_secret(closed: AclServer, launch: Callable[..., Running]) -> None:
    said = {**SECRETS, "LOG_LEVEL": "debug"}
    del said["REDIS_SENTINEL_PASSWORD"]
    port = free_port()
    worker = launch(url_of(closed, WRONG), "worker", **said)
    api = launch(url_of(closed, WRONG), "api", **said, API_PORT=f"127.0.0.1:{port}")
    status = launch(url_of(closed, WRONG), "status", **said)
    enqueue = launch(url_of(closed, WRONG), "enqueue", "add", "{}", **said)
    assert [status.wait(), enqueue.wait()] == [3, 3]
    eventually(lambda: "WRONGPASS" in worker.output or "username-password" in worker.output)
    answer = eventually(lambda: ask(port, "/api/v1/overview"))
    eventually(lambda: "redis is away" in api.output)
    for one in (worker, api):
        one.process.terminate()
    for one in (worker, api):
        one.wait()
    assert_silent(answer, *(one.output for one in (worker, api, status, enqueue)))


def test_commands_that_cannot_use_a_url_do_not_repeat_its_password(launch: Callable[..., Running]) -> None:
    urls = (
        f"rediss://127.0.0.1:1/0?password={PASSWORD}&ssl_password={PASSWORD}",
        f"redis://app:{PASSWORD}/@127.0.0.1:1/0",
        f"http://app:{PASSWORD}@127.0.0.1/0",
    )
    commands = [launch(url, "status", LOG_LEVEL="debug") for url in urls]
    assert {one.wait() for one in commands} <= {2, 3}
    assert_silent(*(one.output for one in commands))


def test_sentinels_that_are_away_are_named_without_their_password(launch: Callable[..., Running]) -> None:
    there = {"REDIS_SENTINELS": f"127.0.0.1:{free_port()}", "REDIS_SENTINEL_MASTER": "main", **SECRETS}
    status, config = (launch(url_of_nobody(), word, **there) for word in ("status", "config"))
    assert (status.wait(), config.wait()) == (3, 0)
    assert_silent(status.output, config.output)


def url_of_nobody() -> str:
    return f"redis://app:{PASSWORD}@127.0.0.1:1/0"


def test_keys_that_cannot_be_used_are_not_repeated(launch: Callable[..., Running]) -> None:
    wrong = {name: f"{SECRETS[name]}\nx" for name in ("API_KEY", "REDIS_SENTINEL_PASSWORD")}
    commands = {name: launch(url_of_nobody(), "status", **{name: value}) for name, value in wrong.items()}
    assert [one.wait() for one in commands.values()] == [2, 2]
    assert all(name in one.output for name, one in commands.items())
    assert_silent(*(one.output for one in commands.values()))
