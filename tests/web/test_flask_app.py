"""A user's own Flask app, the one in docs/examples/flask_app, with the queue in it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask
from redis import Redis

from buraq.errors import ConfigError
from tests.ports import free_port
from tests.servers import PATIENCE, Server, eventually
from tests.web.clients import ROOT, ApiProcess, EventReader

EXAMPLE = ROOT / "docs/examples/flask_app"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, server: Server, redis: Redis) -> Iterator[ModuleType]:
    """The example's package, imported anew: a queue joins the apps of one process."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setenv("REDIS_URL", server.url)
    import shop

    yield shop
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.fixture
def api(start_api: Callable[..., ApiProcess]) -> ApiProcess:
    """The example under gunicorn, in two processes."""
    return start_api("shop:create_app()", "--workers", "2", ready="/queue/api/health", cwd=EXAMPLE)


@pytest.mark.e2e
def test_its_own_routes_work_and_enqueue(api: ApiProcess, redis: Redis) -> None:
    assert api.get("/").body == "Welcome to Corner Shop!\n"

    first, second = (api.request("POST", "/orders/7") for _ in range(2))

    assert (first.status, second.status) == (202, 202)
    assert first.json == second.json, "the same order twice is one task"
    [(_, fields)] = redis.xrange("buraq_tasks")
    assert json.loads(fields["payload"])["payload"] == {"number": 7}


@pytest.mark.e2e
def test_its_own_limit_is_left_alone_and_leaves_ours_alone(api: ApiProcess) -> None:
    for path in ("/queue/api/health", "/queue/api/workers", "/queue/metrics"):
        assert {api.get(path).status for _ in range(15)} == {200}, "their limit of 5 would show"

    answers = [api.get("/") for _ in range(15)]  # in memory, so 5 in each of two processes, whichever is asked

    assert [answer.status for answer in answers].count(200) <= 10
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["content-type"].startswith("text/html"), "their answer, not ours"
    assert "content-security-policy" not in refused.headers
    assert api.get("/queue/api/workers").json == []


@pytest.mark.e2e
def test_events_stream_under_the_prefix_and_the_app_stops_soon_with_one_open(api: ApiProcess, redis: Redis) -> None:
    with EventReader(api.port, "/queue/api/stream") as reader:
        assert reader.frame().data == {"type": "ping"}
        task = api.request("POST", "/orders/8").json["task"]

        event = reader.frame()

        assert (event.data["type"], event.data["task_id"], event.id) == ("Pending", task, str(event.data["at"]))
        assert api.stop() < 20, "before gunicorn would kill it"
        assert reader.frame() is None


def test_a_second_init_app_is_refused(shop: ModuleType) -> None:
    app = shop.create_app()

    with pytest.raises(ConfigError, match="init_app"):
        shop.queue.init_app(app)


def test_the_factory_makes_apps_with_queues_of_their_own(shop: ModuleType, redis: Redis) -> None:
    one = shop.create_app(BURAQ_STREAM_NAME="buraq_tasks_one")
    other = shop.create_app(BURAQ_STREAM_NAME="buraq_tasks_other")

    assert one.test_client().post("/orders/1").status_code == 202

    assert (redis.xlen("buraq_tasks_one"), redis.xlen("buraq_tasks_other")) == (1, 0)
    assert waiting(one) == 1
    assert waiting(other) == 0


def waiting(app: Flask) -> float:
    text = app.test_client().get("/queue/metrics").text
    [line] = [line for line in text.splitlines() if line.startswith("buraq_queue_tasks") and "waiting" in line]
    return float(line.rpartition(" ")[2])


def test_its_task_sees_the_app(shop: ModuleType, tmp_path: Path) -> None:
    shop.create_app(ORDERS_FOLDER=str(tmp_path), SHOP_NAME="Test")
    from shop.tasks import confirm_order

    with shop.queue.context():
        confirm_order(7)

    assert (tmp_path / "7.txt").read_text() == "Test: your order 7 is on its way.\n"


@pytest.mark.e2e
def test_it_enqueues_under_flask_run_and_a_worker_runs_the_task(redis: Redis, server: Server, tmp_path: Path) -> None:
    """Threads and nothing patched on the one side, greenlets on the other."""
    port = free_port()
    env = {**os.environ, "REDIS_URL": server.url, "SHOP_ORDERS_FOLDER": str(tmp_path), "PYTHONPATH": str(EXAMPLE)}
    command = [sys.executable, "-m", "flask", "--app", "shop", "run", "--port", str(port)]
    with (tmp_path / "flask.log").open("w") as log:
        web = subprocess.Popen(command, cwd=EXAMPLE, env=env, stdout=log, stderr=log)
    try:

        def order() -> int:
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("POST", "/orders/9")
            with connection.getresponse() as answer:
                return answer.status

        assert eventually(order) == 202
    finally:
        web.terminate()
        web.wait(PATIENCE)
    worker = [sys.executable, "-m", "buraq", "worker", "shop:create_app", "--burst"]
    subprocess.run(worker, cwd=EXAMPLE, env=env, check=True, timeout=3 * PATIENCE, capture_output=True)
    assert "order 9 is on its way" in (tmp_path / "9.txt").read_text()
