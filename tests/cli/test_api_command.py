"""`buraq api` listens where it was told to, and stops with code 0."""

import http.client
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import Done, Running
from tests.ports import free_port
from tests.servers import PATIENCE

pytestmark = pytest.mark.e2e


def get(port: int, path: str) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("how", ["--bind", "--host", "PORT"])
def test_the_api_listens_where_it_was_told_to(
    start: Callable[..., Running], eventually: Callable[..., object], how: str
) -> None:
    port = free_port()
    arguments = {
        "--bind": ("--bind", f"127.0.0.1:{port}"),
        "--host": ("--host", "127.0.0.1", "--port", str(port)),
        "PORT": (),
    }[how]
    settings = {"PORT": f"127.0.0.1:{port}"} if how == "PORT" else {"PORT": "127.0.0.1:1"}

    api = start("api", *arguments, **settings)

    status, health = eventually(lambda: get(port, "/api/health"))  # type: ignore[misc]
    assert (status, health["status"]) == (200, "healthy")
    api.process.terminate()
    assert api.wait() == 0, api.output


def test_the_api_of_a_target_shows_that_queue(
    start: Callable[..., Running],
    module: Callable[..., Path],
    eventually: Callable[..., object],
    redis: Redis,
) -> None:
    module("shop", "from buraq import Buraq\nqueue = Buraq(group_name='shoppers', stream_name='buraq_tasks_shop')\n")
    port = free_port()

    start("api", "shop:queue", "--bind", f"127.0.0.1:{port}")

    redis.zadd("buraq_tasks_shop:leases", {"one~1": 10**15})
    status, workers = eventually(lambda: get(port, "/api/workers"))  # type: ignore[misc]
    assert (status, [worker["id"] for worker in workers]) == (200, ["one~1"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("1 / 0\n", "Error: target 'shop': importing shop failed"),
        ("from buraq import Buraq\nqueue = Buraq(max_retries='many')\n", "Error: max_retries='many' cannot be used"),
    ],
)
def test_a_target_that_cannot_be_used_is_code_2(
    run: Callable[..., Done], module: Callable[..., Path], source: str, said: str
) -> None:
    module("shop", source)

    done = run("api", "shop", "--bind", f"127.0.0.1:{free_port()}")

    assert done.code == 2
    assert said in done.err
