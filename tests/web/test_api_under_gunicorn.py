"""The API as it is deployed: `gunicorn wsgi:app`, and the same by `serve`."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from redis import Redis

from buraq import Buraq
from tests.ports import free_port
from tests.servers import PATIENCE, Server, eventually
from tests.web.clients import ROOT, ApiProcess

pytestmark = pytest.mark.e2e

StartApi = Callable[..., ApiProcess]
SOON = 20.0  # seconds: before gunicorn kills what has not ended by itself, and on a busy machine


def post(api: ApiProcess, authorization: bytes | None) -> tuple[int, str]:
    """Send a replay request byte by byte as given: http.client would refuse some of them."""
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE) as sock:
        header = b"" if authorization is None else b"Authorization: " + authorization + b"\r\n"
        sock.sendall(b"POST /api/retry-dlq HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + header + b"\r\n")
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def test_a_wrong_key_and_none_are_401_and_the_right_one_replays(start_api: StartApi, redis: Redis) -> None:
    api = start_api(API_KEY="s3cret")
    task = {"id": "task-1", "type": "mail", "payload": {}}
    redis.xadd("buraq_tasks_dlq", {"payload": json.dumps(task), "reason": "retries"})

    refused = [post(api, key) for key in (None, b"", b"Bearer wrong", "Bearer schlüssel".encode(), b"Bearer \xff\xfe")]
    assert {(status, json.loads(body)["error"]) for status, body in refused} == {(401, "Invalid or missing API key")}
    assert redis.xlen("buraq_tasks_dlq") == 1

    status, body = post(api, b"Bearer s3cret")
    assert (status, json.loads(body)["retried"]) == (200, 1)
    assert redis.xlen("buraq_tasks") == 1
    assert "s3cret" not in api.log.read_text()


# However long this machine takes for 201 requests, they are of one moment.
STANDING = """
from types import SimpleNamespace
import buraq.web.limits
import limits.storage.redis
from wsgi import app

limits.storage.redis.time = SimpleNamespace(time=lambda: 1_800_000_000.0)
buraq.web.limits.ANSWER_TIMEOUT = 30.0  # beyond it each process counts by itself
"""


def test_201_requests_at_once_are_too_many_for_two_processes_together(
    start_api: StartApi, redis: Redis, tmp_path: Path
) -> None:
    (tmp_path / "standing.py").write_text(STANDING)
    api = start_api("standing:app", "--config", str(ROOT / "gunicorn.conf.py"), "--workers", "2", cwd=tmp_path)

    with ThreadPoolExecutor(8) as pool:
        forged = [f"203.0.113.{n % 250}" for n in range(201)]
        answers = list(pool.map(lambda address: api.get("/api/workers", X_Forwarded_For=address), forged))

    refused = [answer for answer in answers if answer.status != 200]
    assert [answer.status for answer in refused] == [429]
    assert refused[0].json == {"error": "Too many requests from this address"}
    assert api.get("/api/health").status == 200
    assert api.get("/metrics").status == 200


def test_with_redis_away_health_is_503_soon_and_no_route_is_500(
    start_api: StartApi, fresh_server: Callable[..., Server]
) -> None:
    server = fresh_server()
    api = start_api(REDIS_URL=server.url_of("api"), API_KEY="s3cret")
    assert api.get("/api/workers").status == 200

    server.kill()
    eventually(lambda: api.get("/api/health").status == 503)

    for _ in range(5):
        for path in ("/api/workers", "/api/stream"):
            answer = api.get(path)
            assert (answer.status, list(answer.json)) == (503, ["error"])
    assert post(api, b"Bearer s3cret")[0] == 503
    server.start()
    eventually(lambda: api.get("/api/workers").status == 200)


def test_it_starts_while_redis_is_away(start_api: StartApi, fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    server.kill()

    api = start_api(REDIS_URL=server.url_of("api"))

    assert api.get("/api/health").status == 503
    server.start()
    eventually(lambda: api.get("/api/health").status == 200)


def test_a_wrong_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    api = ApiProcess(tmp_path / "log", "wsgi:app", TRUSTED_PROXIES="one")

    assert api.process.wait(PATIENCE) == 1
    said = api.log.read_text()
    assert "TRUSTED_PROXIES" in said and "Traceback" not in said


def test_no_key_is_said_loudly_at_the_start(start_api: StartApi) -> None:
    warned = [line for line in start_api().log.read_text().splitlines() if '"warning"' in line]

    assert any("API_KEY is not set" in line for line in warned)


def test_idle_it_stops_soon_and_leaves_nothing_behind(start_api: StartApi, tmp_path: Path) -> None:
    home = tmp_path / "tmp"
    home.mkdir()
    api = start_api(TMPDIR=str(home))
    workers = psutil.Process(api.process.pid).children()
    assert list(home.iterdir())

    assert api.stop() < SOON

    assert api.process.returncode == 0
    assert not any(worker.is_running() for worker in workers)
    assert list(home.iterdir()) == []


def test_figures_of_two_processes_behind_one_port_add_up(start_api: StartApi, tmp_path: Path, redis: Redis) -> None:
    (tmp_path / "producer.py").write_text(PRODUCER)
    api = start_api("producer:app", "--config", str(ROOT / "gunicorn.conf.py"), "--workers", "2", cwd=tmp_path)

    pids: list[str] = []

    def both_processes_have_had_some() -> bool:  # whichever accepts: the kernel's choice
        pids.extend(api.get("/enqueue").body for _ in range(50))
        return len(set(pids)) == 2

    assert eventually(both_processes_have_had_some)
    count = float(len(pids))

    def enqueued() -> float:
        found = re.search(r'^buraq_tasks_enqueued_total{task_type="mail"} (\S+)$', api.get("/metrics").body, re.M)
        return float(found[1]) if found else 0.0

    assert [enqueued() for _ in range(10)] == [count] * 10
    os.kill(int(pids[0]), signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(int(pids[0])))
    assert enqueued() == count, "what a process counted stays when it dies"
    waiting = f'buraq_queue_tasks{{queue="default",state="waiting"}} {count}'
    assert eventually(lambda: waiting in api.get("/metrics").body)


PRODUCER = """
import os
from flask import Flask
from buraq import Buraq
from buraq.web import blueprint

queue = Buraq()

@queue.task
def mail():
    pass

app = Flask("shop")
app.register_blueprint(blueprint(queue))

@app.get("/enqueue")
def enqueue():
    mail.enqueue()
    return str(os.getpid())
"""

SERVE = """
from gevent import monkey

monkey.patch_all()

import sys

from buraq import Buraq
from buraq.config import Config
from buraq.values import Address
from buraq.web.serve import serve

serve(Buraq, Config.from_env(), Address("127.0.0.1", int(sys.argv[1])))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_runs_until_it_is_told_to_stop(
    server: Server, redis: Redis, tmp_path: Path, number: signal.Signals
) -> None:
    port = free_port()
    env = {**os.environ, "REDIS_URL": server.url_of("api"), "PYTHONPATH": str(ROOT), "LOG_FORMAT": "json"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], env=env, stdout=log, stderr=log)
    try:

        def answers() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
                sock.sendall(b"GET /api/health HTTP/1.0\r\n\r\n")
                return b"200 OK" in sock.recv(100)

        eventually(answers)
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < SOON
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_id_of_any_letters_and_the_greatest_length_fits_into_an_address(
    start_api: StartApi, server: Server, redis: Redis
) -> None:
    name = "\U0001f4e6" * 512
    Buraq(redis_url=server.url).enqueue("t", id=name)
    answer = start_api().get(f"/api/v1/tasks/{quote(name)}")
    assert (answer.status, answer.json["id"]) == (200, name)


def test_a_full_collection_does_not_hold_up_an_answer_for_all_that_was_imported() -> None:
    program = """
from gevent import monkey
monkey.patch_all()
import gc
from buraq.config import Config
from buraq.web.serve import settings
from wsgi import app
before = len(gc.get_objects())
settings(Config.from_env())["post_worker_init"](None)
print(before, len(gc.get_objects()))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 10_000
    assert after < before / 100
