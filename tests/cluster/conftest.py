"""A cluster of three masters, with queues, workers and commands that use it."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from click.testing import CliRunner

from buraq import Buraq
from buraq.cli.root import buraq
from buraq.config import Config
from buraq.worker.worker import Worker
from tests.clusters import Cluster
from tests.servers import KINDS


@pytest.fixture(scope="module", params=KINDS)
def cluster(request: pytest.FixtureRequest, shared: Callable[..., Any]) -> Cluster:
    """Three masters without replicas, which the tests of a module have in common and do not break."""
    # None is to be taken for dead that has only stood still.
    patient = ("--cluster-node-timeout", "15000")
    made: Cluster = shared(Cluster, replicas=0, aof=False, kind=request.param, options=patient)
    return made


@pytest.fixture
def app(cluster: Cluster) -> Buraq:
    """A queue on the cluster, which is empty. A task that fails runs again at once."""
    for node in cluster.masters():
        node.client().flushall()
    return Buraq(Config.from_env(cluster.settings(RETRY_BACKOFF="0s", ENQUEUE_TIMEOUT="30s")))


@pytest.fixture
def start(cluster: Cluster) -> Iterator[Callable[..., Worker]]:
    """Start whole workers in this process: `start(app, concurrency=…)`. They are stopped in the end, and leave nothing
    of themselves at any shard.
    """
    started: list[Worker] = []
    with contextlib.ExitStack() as running:

        def start(app: Buraq, **options: Any) -> Worker:
            worker = Worker(app, **options)
            worker.start()

            def stop() -> None:
                worker.stop(0.0)
                assert worker.broken is None, f"the {worker.broken} loop died"
                gevent.killall(worker._greenlets)

            running.callback(stop)
            started.append(worker)
            return worker

        yield start
    if started and all(worker.left for worker in started):
        assert members(cluster) == set(), "a worker process that has left is still known to a shard"


@pytest.fixture
def cli(cluster: Cluster) -> Callable[..., Any]:
    """Run a command against the cluster and return what it printed, read as JSON with `--json`."""

    def run(*words: str) -> Any:
        result = CliRunner().invoke(buraq, words, env=cluster.settings(), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout) if "--json" in words else result.stdout

    return run


_STAYS = ("memo", ":leases", ":worker:", ":types", "limits", ":history", ":audit")  # when no task is left


def left_over(cluster: Cluster) -> list[str]:
    """Return the keys of a cluster that say that tasks are left: streams with entries, and the like."""
    found = []
    for node in cluster.masters():
        client = node.client()
        for key in client.scan_iter():
            kind = client.type(key)
            size = {"stream": client.xlen, "zset": client.zcard, "hash": client.hlen}.get(kind, lambda key: 0)(key)
            if size and not any(word in key for word in _STAYS):
                found.append(f"{key} {size}")
    return found


def members(cluster: Cluster) -> set[str]:
    """Return the worker processes that hold a lease at any shard, or have a consumer there, the dead ones too."""
    found: set[str] = set()
    for node in cluster.masters():
        client = node.client()
        seconds, micros = client.time()
        for key in client.scan_iter(match="*:leases"):
            found |= set(client.zrangebyscore(key, seconds * 1000 + micros // 1000, "+inf"))
        for key in client.scan_iter(_type="stream"):
            for one in client.xinfo_groups(key):
                found |= {consumer["name"] for consumer in client.xinfo_consumers(key, one["name"])}
    return found
