"""What docs/security.md says of users in a cluster and with sentinels lets each do its work, and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from buraq import Buraq
from buraq.backend import Backend
from buraq.config import Config
from buraq.errors import QueueUnavailable
from buraq.web import create_app
from buraq.web.state import state_of
from tests.cli.conftest import Running
from tests.clusters import Cluster, Node
from tests.security import chores
from tests.security.needs import of_scripts
from tests.security.rules import CLUSTER, SENTINELS, USERS, additions, commands
from tests.security.test_acl import FAST, called, each_user
from tests.sentinels import Sentinels
from tests.servers import KINDS, PATIENCE, eventually
from tests.web.contracts import Client

pytestmark = pytest.mark.e2e

# What the page says may be left out in a cluster.
SPARE = (
    "resetkeys ~{buraq_tasks:* ~idemp:* resetchannels &{buraq_tasks:* -subscribe -publish -pubsub|numsub -pubsub|numpat"
)


def own(place: str, user: str) -> set[str]:
    """Return the commands that a user has in one kind of place alone."""
    return {word[1:] for word in set(additions(place, user)) - set(additions("", user)) if word.startswith("+")}


@pytest.fixture(scope="module", params=KINDS)
def lone(request: pytest.FixtureRequest, shared: Callable[..., Any]) -> Cluster:
    """A cluster of one master, whose users have nothing that is for one server alone."""
    cluster: Cluster = shared(Cluster, masters=1, replicas=0, aof=False, kind=request.param)
    for user in USERS:
        cluster.nodes[0].ask("ACL", "SETUSER", user, *SPARE.split())
    return cluster


@pytest.fixture
def node(lone: Cluster) -> Node:
    """Its master, empty, and as if nothing had been refused or sent."""
    [node] = lone.nodes
    with node.client() as client:
        client.flushall()
        client.acl_log_reset()
        client.config_resetstat()
    return node


def assert_content(node: Node, user: str) -> None:
    """Nothing was refused, and nothing is granted for a cluster that neither the user nor a script of it sends."""
    assert node.denied() == []
    assert own(CLUSTER, user) - called(node) - of_scripts(user, sharded=True) == set()


@each_user
def test_a_user_may_call_what_its_scripts_call_in_a_cluster(user: str) -> None:
    assert of_scripts(user, sharded=True) - commands(user) - own(CLUSTER, user) == set()


def test_a_worker_does_all_its_work_in_a_cluster_under_its_rules(
    lone: Cluster, node: Node, launch: Callable[..., Running]
) -> None:
    chores.queue.use(Config.from_env(lone.settings()))
    handles = [
        *(chores.add.options(idempotency_key=f"k{n}").enqueue(n, 1) for n in range(20)),
        chores.fails_once.enqueue(),
        chores.enqueues.enqueue(),
        chores.computes.enqueue(10),
        chores.add.options(delay=0.1).enqueue(1, 2),
    ]
    fails = chores.fails.enqueue()
    client = node.client()
    client.config_resetstat()

    worker = launch("", "worker", **lone.settings("worker"), **FAST)

    eventually(lambda: len(list(client.scan_iter("*:result:*", count=1000))) >= len(handles))
    eventually(lambda: sum(map(client.xlen, client.scan_iter("*_dlq", count=1000))) == 1)
    worker.process.terminate()
    assert worker.wait() == 0
    assert "redis trouble" not in worker.output
    assert "outcomes refused" not in worker.output
    assert_content(node, "worker")
    assert [handle.result(PATIENCE) for handle in handles[:20]] == [n + 1 for n in range(20)]
    assert fails.state() == "dead"


def test_a_producer_enqueues_and_asks_in_a_cluster_under_its_rules(lone: Cluster, node: Node) -> None:
    queue = Buraq(Config.from_env(lone.settings("producer", ENQUEUE_TIMEOUT="30s")))
    first, second = (queue.enqueue("t", {"n": 1}, idempotency_key="k", delay=60) for _ in range(2))
    assert (first.id, second.created) == (second.id, False)
    queue.task(name="t")(lambda n: None)
    assert len(queue.registry["t"].enqueue_many([{"n": n} for n in range(100)])) == 100
    assert (first.state(), first.cancel()) == ("scheduled", True)
    assert_content(node, "producer")


def test_the_api_reads_changes_and_streams_in_a_cluster_under_its_rules(lone: Cluster, node: Node) -> None:
    queue = Buraq(Config.from_env(lone.settings("api", ENQUEUE_TIMEOUT="30s")))
    api = Client(create_app(queue))
    http = api.app.test_client()
    assert http.get("/api/health").get_json()["redis"] is True
    with http.get("/api/stream", buffered=False) as stream:
        frames = iter(stream.response)
        assert b"ping" in next(frames)
        assert api.post("/tasks", {"type": "t", "id": "mine", "delay_ms": 60_000}).status_code == 201
        api.post("/tasks", {"type": "t"})
        assert any(b"Pending" in frame for frame in frames)
    for path in ("overview", "queues", "tasks", "tasks/mine", "dead-letters", "workers", "statistics", "system"):
        api.get(f"/{path}")
    for path in ("/tasks/mine/cancel", "/queues/default/pause", "/queues/default/resume"):
        assert api.post(path).status_code == 200
    assert [action["action"] for action in api.get("/audit")["items"]][:2] == ["resume", "pause"]
    assert http.get("/metrics").status_code == http.post("/api/retry-dlq").status_code == 200
    state_of(queue.backend).streams.end()
    assert_content(node, "api")


@each_user
def test_in_a_cluster_a_user_may_not_change_it_nor_reach_what_is_not_buraqs(node: Node, user: str) -> None:
    with node.client_of(user) as client:
        for words in (
            ("CLUSTER", "RESET"),
            ("CLUSTER", "FAILOVER"),
            ("CLUSTER", "SETSLOT", 1, "STABLE"),
            ("HGET", "{other:0}:index", "a"),
            ("SPUBLISH", "{other:0}:buraq_events", "x"),
        ):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)
    node.client().acl_log_reset()  # the refusals were asked for


def test_a_cluster_that_may_not_be_asked_who_serves_what_says_so_with_the_remedy(lone: Cluster, node: Node) -> None:
    node.ask("ACL", "SETUSER", "producer", "-cluster|slots")
    try:
        queue = Buraq(Config.from_env(lone.settings("producer", ENQUEUE_TIMEOUT="3s")))
        with pytest.raises(QueueUnavailable, match=r"CLUSTER SLOTS: .*docs/security\.md.*ACL LOG"):
            queue.enqueue("t", {})
    finally:
        node.ask("ACL", "SETUSER", "producer", "+cluster|slots")
        node.client().acl_log_reset()


@pytest.mark.parametrize("kind", KINDS)
def test_with_sentinels_each_user_finds_the_primary_and_they_tell_nothing_else(
    fresh: Callable[..., Any], kind: str
) -> None:
    sentinels: Sentinels = fresh(Sentinels, sentinels=1, replicas=0, aof=False, kind=kind)
    [sentinel] = sentinels.sentinels
    client = sentinels.primary.client()
    for user in USERS:
        client.config_resetstat()

        backend = Backend(Config.from_env(sentinels.settings(user)))

        assert backend.server.shared.command("TIME")
        assert own(SENTINELS, user) == called(sentinels.primary) & own(SENTINELS, user) == {"role"}
        backend.close()
    assert sentinels.denied() == []
    with sentinel.client_of("default") as asking:
        for words in (
            ("PING",),
            ("INFO",),
            ("SENTINEL", "MASTERS"),
            ("SENTINEL", "FAILOVER", sentinels.name),
            ("SENTINEL", "SET", sentinels.name, "quorum", 2),
            ("PUBLISH", "__sentinel__:hello", "x"),
            ("ACL", "LIST"),
        ):
            with pytest.raises(NoPermissionError):
                asking.execute_command(*words)
    sentinel.client().acl_log_reset()
