"""Schemathesis finds no request that the API answers otherwise than its OpenAPI document says."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from buraq import Buraq
from tests.servers import Server
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = pytest.mark.e2e

OPTIONS = (
    "--exclude-operation-id=streamEvents",  # its answer has no end
    "--phases=examples,coverage,fuzzing",
    "--max-examples=10",
    "--generation-deterministic",
    "--continue-on-failure",
    "--no-color",
    "--suppress-health-check=too_slow",  # the machine may be busy
    "--request-timeout=60",
)


def populate(queue: Buraq, redis: Redis) -> dict[str, list[str]]:
    """Make tasks in every state, and return the names and ids of what there is, by the name of a parameter."""
    work = Workplace(queue, redis)
    work.lease("default", "mail")
    tasks = [
        queue.enqueue("t", {"n": n, "token": "x"}, id=f"t{n}", queue=("default", "mail")[n % 2]).id for n in range(90)
    ]
    for name in ("default", "mail"):
        work.complete(1, name)
        work.fail(queue=name)
        work.bury(30, queue=name)
        work.fetch(1, name)
    return {
        "queue": ["default", "mail"],
        "type": ["t"],
        "tasks": [*tasks, queue.enqueue("t", {}, delay=60).id],
        "dead-letters": [f"default:{entry}" for entry, _ in redis.xrange("buraq_tasks_dlq")],
        "workers": [work.name],
    }


@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None and "CI" not in os.environ,
    reason="schemathesis is not installed: see requirements-test.txt",
)
def test_schemathesis_finds_nothing_that_the_document_does_not_say(
    tmp_path: Path, server: Server, redis: Redis, start_api: Callable[..., ApiProcess]
) -> None:
    known = populate(Buraq(redis_url=server.url), redis)
    api = start_api(API_KEY="key", TRUSTED_PROXIES="1")

    tried = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/api/openapi.json"),
            *("--header=Authorization: Bearer key", *OPTIONS),
        ],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.web.schemathesis_hooks", "KNOWN": json.dumps(known)}
        | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
    )

    assert tried.returncode == 0, tried.stdout + tried.stderr
