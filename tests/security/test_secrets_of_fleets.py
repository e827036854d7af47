"""No password of sentinels, of the servers that they watch or of a cluster's nodes stands in what programs write."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from buraq import Buraq
from buraq.config import Config
from tests.cli.conftest import Running
from tests.clusters import Cluster
from tests.guarded import StrictServer
from tests.ports import free_port
from tests.security import chores
from tests.security.test_secrets import SECRETS, WRONG, ask, settled
from tests.sentinels import Sentinel, Sentinels
from tests.servers import PATIENCE, eventually

pytestmark = pytest.mark.e2e

FLEETS: dict[str, tuple[Any, dict[str, int]]] = {
    "sentinels": (Sentinels, {"sentinels": 1, "replicas": 0}),
    "cluster": (Cluster, {"masters": 1, "replicas": 0}),
}
ALL = (WRONG, SECRETS["API_KEY"], *StrictServer.PASSWORDS.values(), *Sentinel.PASSWORDS.values())


@pytest.mark.parametrize("fleet", FLEETS)
def test_programs_that_work_with_several_servers_and_lose_them_write_and_answer_no_password(
    fresh: Callable[..., Any], launch: Callable[..., Running], fleet: str
) -> None:
    make, size = FLEETS[fleet]
    servers = fresh(make, aof=False, **size)
    said = {"LOG_LEVEL": "debug", "LEASE_TTL": "1s", "API_KEY": SECRETS["API_KEY"]}
    port, metrics = free_port(), free_port()
    worker = launch("", "worker", **servers.settings("worker"), **said, METRICS_PORT=f"127.0.0.1:{metrics}")
    api = launch("", "api", **servers.settings("api"), **said, API_PORT=f"127.0.0.1:{port}", LOG_FORMAT="text")
    chores.queue.use(Buraq(Config.from_env(servers.settings("producer"))).config)
    assert chores.computes.enqueue(3).result(PATIENCE) == 3
    failed = chores.fails.enqueue()
    eventually(lambda: failed.state() == "dead")
    eventually(lambda: settled(port))
    answers = [ask(port, path) for path in ("/api/v1/system", "/api/v1/workers", "/api/v1/overview", "/metrics")]
    assert "***" in answers[0]
    answers.append(ask(metrics, "/metrics"))
    shown = [launch("", *words, **servers.settings("api"), **said) for words in (("config",), ("status",))]
    assert [one.wait() for one in shown] == [0, 0]

    for server in servers.servers:
        server.kill()

    eventually(lambda: "redis trouble" in worker.output)
    answers.append(eventually(lambda: ask(port, "/api/v1/overview")))
    eventually(lambda: "redis is away" in api.output)
    late = launch("", "status", **servers.settings("api"), **said)
    assert late.wait() == 3
    for one in (worker, api):
        one.process.terminate()
    for one in (worker, api):
        one.wait()
    assert_silent(*answers, *(one.output for one in (worker, api, late, *shown)))


@pytest.mark.parametrize(
    ("fleet", "variable"),
    [
        ("sentinels", "REDIS_URL"),
        ("sentinels", "REDIS_SENTINEL_PASSWORD"),
        ("cluster", "REDIS_URL"),
    ],
)
def test_programs_that_one_of_several_servers_does_not_let_in_write_no_password(
    fresh: Callable[..., Any], launch: Callable[..., Running], fleet: str, variable: str
) -> None:
    make, size = FLEETS[fleet]
    servers = fresh(make, aof=False, **size)
    known = servers.settings("worker", LOG_LEVEL="debug", ENQUEUE_TIMEOUT="300ms")
    known[variable] = re.sub(r"[0-9a-f]{16}", WRONG, known[variable])
    assert WRONG in known[variable]
    worker = launch("", "worker", **known)
    others = [launch("", *words, **known) for words in (("status",), ("enqueue", "add", "{}"))]
    assert [one.wait() for one in others] == [3, 3]
    eventually(lambda: "WRONGPASS" in worker.output or "username-password" in worker.output)
    worker.process.terminate()
    worker.wait()
    assert_silent(worker.output, *(one.output for one in others))
    for server in servers.servers:
        server.client().acl_log_reset()  # the refusals were asked for


def assert_silent(*texts: str) -> None:
    for text in texts:
        assert text, "something was said"
        assert [secret for secret in ALL if secret in text] == []
