"""The API's answers: their shapes, who gets them, and what they change."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from buraq import Buraq
from buraq.web import blueprint, create_app
from buraq.web.blueprint import uptime
from tests.servers import Server, eventually

MakeApp = Callable[..., Flask]
VIEWS = ["/api/health", "/api/workers", "/api/stream", "/api/retry-dlq", "/metrics"]
KEY = {"Authorization": "Bearer s3cret"}
UNAUTHORIZED = {"error": "Invalid or missing API key"}


def bury(redis: Redis, stream: str, count: int, first: int = 1) -> None:
    for n in range(first, first + count):
        task = {"id": f"task-{n}", "type": "mail", "payload": {}, "current_retries": 3, "error": "late"}
        redis.xadd(stream, {"payload": json.dumps(task), "reason": "retries", "died_at": "1"})


def replay(app: Flask, address: str = "127.0.0.1", **headers: str) -> TestResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().post("/api/retry-dlq", headers=named, environ_base={"REMOTE_ADDR": address})


# --- Health, workers ----------------------------------------------------------------------------


def test_health_says_that_all_is_well(make_app: MakeApp) -> None:
    answer = make_app().test_client().get("/api/health")

    assert answer.status_code == 200
    assert answer.json is not None and answer.json.keys() == {"status", "uptime", "redis"}
    assert (answer.json["status"], answer.json["redis"]) == ("healthy", True)


@pytest.mark.parametrize(("seconds", "written"), [(0.9, "0s"), (72, "1m12s"), (3600, "1h0m0s"), (9252, "2h34m12s")])
def test_the_uptime_is_written_as_the_original_writes_it(seconds: float, written: str) -> None:
    assert uptime(seconds) == written


def test_workers_are_shown_as_they_described_themselves_with_what_they_run(make_app: MakeApp, redis: Redis) -> None:
    now_ms = int(redis.time()[0]) * 1000
    facts = {"host": "box", "pid": "12", "cpu": "41.5", "memory_mb": "88.2", "slots": "1000", "in_flight": "7"}
    facts |= {"started_ms": "1795287924796", "version": "0.1.0", "status": "draining", "queues": "default,mail"}
    redis.hset("buraq_tasks:worker:box-a", mapping=facts)
    redis.zadd("buraq_tasks:leases", {"box-a": now_ms + 60_000, "box-gone": now_ms - 1000})
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    for _ in range(3):
        redis.xadd("buraq_tasks", {"payload": "{}"})
    redis.xreadgroup("buraq_workers", "box-a", {"buraq_tasks": ">"}, count=2)

    listed = make_app().test_client().get("/api/workers").json

    assert listed == [
        {
            "id": "box-a",
            "cpu": 41.5,
            "memory": 88.2,
            "status": "draining",
            "in_flight": 2,
            "concurrency": 1000,
            "hostname": "box",
            "pid": 12,
            "started_at": "2026-11-21T19:05:24.796Z",
            "queues": ["default", "mail"],
            "version": "0.1.0",
        },
        dict.fromkeys(["cpu", "memory", "concurrency", "hostname", "pid", "started_at", "version"])
        | {"id": "box-gone", "status": "lost", "in_flight": 0, "queues": ["default"]},
    ]


# --- Replay -------------------------------------------------------------------------------------


def test_replay_gives_the_dead_letters_of_all_queues_another_life(make_app: MakeApp, redis: Redis) -> None:
    bury(redis, "buraq_tasks_dlq", 3)
    redis.sadd("buraq_tasks:queues", "mail")
    bury(redis, "buraq_tasks:mail_dlq", 2, first=4)
    redis.xadd("buraq_tasks_dlq", {"payload": "no task", "reason": "undecodable"})

    answer = replay(make_app())

    assert answer.status_code == 200
    assert answer.json == {"success": True, "retried": 5, "skipped": {"unreadable": 1, "owned": 0}}
    lengths = [redis.xlen(f"buraq_tasks{end}") for end in ("", "_dlq", ":mail", ":mail_dlq")]
    assert lengths == [3, 1, 2, 0]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_replay_takes_nothing_but_post(make_app: MakeApp, redis: Redis, method: str) -> None:
    bury(redis, "buraq_tasks_dlq", 1)

    answer = make_app().test_client().open("/api/retry-dlq", method=method)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST, OPTIONS"
    assert answer.content_type == "application/json"
    assert redis.xlen("buraq_tasks_dlq") == 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        "Bearer s3cre",
        "Bearer s3crets",
        "Basic s3cret",
        "s3cret",
        "Bearer schlüssel",
    ],
)
def test_without_the_right_key_nothing_is_replayed(make_app: MakeApp, redis: Redis, header: str | None) -> None:
    bury(redis, "buraq_tasks_dlq", 1)

    answer = replay(make_app(api_key="s3cret"), **({} if header is None else {"Authorization": header}))

    assert (answer.status_code, answer.json) == (401, UNAUTHORIZED)
    assert redis.xlen("buraq_tasks_dlq") == 1


@pytest.mark.parametrize("key", ["s3cret", "schlüssel", "ключ"])
def test_with_the_right_key_anybody_may_replay(make_app: MakeApp, key: str) -> None:
    sent = f"bearer {key}".encode().decode("latin-1")  # as WSGI hands header bytes over

    assert replay(make_app(api_key=key), "203.0.113.9", Authorization=sent).status_code == 200


def test_without_a_key_only_this_machine_may_replay(make_app: MakeApp) -> None:
    app = make_app()

    assert replay(app, "127.0.0.1").status_code == 200
    assert replay(app, "::1").status_code == 200
    assert replay(app, "::ffff:127.0.0.1").status_code == 200
    for address in ("203.0.113.9", "10.0.0.1", "", "nonsense"):
        answer = replay(app, address)
        assert answer.status_code == 403, address
        assert "API_KEY" in answer.json["error"]


def test_a_proxy_on_this_machine_makes_nobody_local(make_app: MakeApp) -> None:
    assert replay(make_app(), X_Forwarded_For="203.0.113.9").status_code == 403
    assert replay(make_app(), X_Forwarded_For="127.0.0.1").status_code == 403
    assert replay(make_app(trusted_proxies=1), X_Forwarded_For="127.0.0.1, 203.0.113.9").status_code == 403
    assert replay(make_app(trusted_proxies=2), X_Forwarded_For="127.0.0.1").status_code == 403
    assert replay(make_app(trusted_proxies=1), X_Forwarded_For="127.0.0.1").status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:8080", 200),
        ("http://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
    ],
)
def test_without_a_key_a_strangers_web_page_cannot_use_the_browser(make_app: MakeApp, origin: str, status: int) -> None:
    assert replay(make_app(), Origin=origin).status_code == status


@pytest.mark.parametrize("view", ["/api/workers", "/api/stream"])
def test_with_a_read_key_reading_takes_that_key_or_the_other(make_app: MakeApp, view: str) -> None:
    client = make_app(read_key="look", api_key="s3cret").test_client()
    for header in (None, "Bearer wrong", "Bearer l\xf6\xf6k"):
        answer = client.head(view, headers={"Authorization": header} if header else {})
        assert answer.status_code == 401
    for key in ("look", "s3cret"):
        assert client.head(view, headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert client.get("/api/health").status_code == 200


def test_a_read_key_changes_nothing(make_app: MakeApp) -> None:
    app = make_app(read_key="look", api_key="s3cret")
    assert replay(app, Authorization="Bearer look").status_code == 401


def test_read_only_takes_no_changes_even_with_the_key(make_app: MakeApp, redis: Redis) -> None:
    bury(redis, "buraq_tasks_dlq", 1)

    answer = replay(make_app(api_key="s3cret", read_only=True), **KEY)

    assert answer.status_code == 403
    assert "READ_ONLY" in answer.json["error"]
    assert redis.xlen("buraq_tasks_dlq") == 1


# --- Limit --------------------------------------------------------------------------------------


def statuses(app: Flask, count: int, path: str = "/api/workers", **options: Any) -> list[int]:
    client = app.test_client()
    return [client.get(path, **options).status_code for _ in range(count)]


def test_the_201st_request_in_two_seconds_is_refused_whatever_it_says_of_itself(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(
        "limits.storage.redis.time", SimpleNamespace(time=lambda: now)
    )  # however long this machine takes
    monkeypatch.setattr("buraq.web.limits.ANSWER_TIMEOUT", 30.0)  # beyond it each app counts by itself
    app = make_app()
    client = app.test_client()

    answers = [
        client.get("/api/workers", headers={"X-Forwarded-For": f"203.0.113.{n % 250}"}, environ_base=from_("192.0.2.1"))
        for n in range(201)
    ]

    assert [answer.status_code for answer in answers] == [200] * 200 + [429]
    assert answers[-1].json == {"error": "Too many requests from this address"}
    assert answers[-1].headers["Retry-After"] == "2"
    assert statuses(app, 1, "/api/stream", environ_base=from_("192.0.2.1")) == [429], "one limit over all views"
    assert statuses(app, 1, environ_base=from_("192.0.2.2")) == [200], "another address has its own"
    for free in ("/api/health", "/metrics"):
        assert statuses(app, 1, free, environ_base=from_("192.0.2.1")) == [200]
    assert statuses(make_app(), 1, environ_base=from_("192.0.2.1")) == [429], "one limit over all processes"


def test_behind_a_proxy_that_is_trusted_each_client_has_its_own_limit(make_app: MakeApp, redis: Redis) -> None:
    app = make_app(trusted_proxies=1)
    forged = {"X-Forwarded-For": "10.9.8.7, 203.0.113.5"}
    statuses(app, 3, headers=forged)
    statuses(app, 3, headers={"X-Forwarded-For": "203.0.113.6"})

    counted = {key: redis.llen(key) for key in redis.scan_iter("buraq_tasks:limits:*")}

    assert sorted(counted.values()) == [3, 3]
    assert any("203.0.113.5" in key for key in counted)


def from_(address: str) -> dict[str, str]:
    return {"REMOTE_ADDR": address}


# --- Redis away ---------------------------------------------------------------------------------


def test_with_redis_away_everything_but_health_and_metrics_is_503(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    app = create_app(Buraq(redis_url=server.url))
    client = app.test_client()
    assert client.get("/api/workers").status_code == 200

    server.kill()
    health = eventually(lambda: (answer := client.get("/api/health")).status_code == 503 and answer)

    assert health.json["status"] == "degraded" and health.json["redis"] is False
    for path, method in (("/api/workers", "GET"), ("/api/stream", "GET"), ("/api/retry-dlq", "POST")):
        answer = client.open(path, method=method)
        assert (answer.status_code, list(answer.json)) == (503, ["error"]), path
        assert server.url not in answer.get_data(as_text=True)
    figures = client.get("/metrics")
    assert figures.status_code == 200
    assert "buraq_redis_up 0.0" in figures.get_data(as_text=True)

    server.start()
    eventually(lambda: client.get("/api/workers").status_code == 200)


def test_with_redis_away_the_limit_still_holds(
    fresh_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr("limits.storage.memory.time", SimpleNamespace(time=lambda: now))  # as above
    server = fresh_server()
    app = create_app(Buraq(redis_url=server.url))
    server.kill()

    assert set(statuses(app, 200)) == {503}
    assert statuses(app, 1) == [429]


def test_a_server_that_hangs_holds_up_health_for_two_seconds_at_most(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    client = create_app(Buraq(redis_url=server.url)).test_client()
    server.pause()
    try:
        for path, status in (("/api/health", 503), ("/api/workers", 503), ("/metrics", 200), ("/api/health", 503)):
            limit = 2 if path == "/api/health" else 3
            # The machine may stand still during one of them.
            assert any(seconds_for(client, path, status) < limit for _ in range(3)), path
    finally:
        server.resume()


def seconds_for(client: FlaskClient, path: str, status: int) -> float:
    """Return how long an answer takes."""
    began = time.monotonic()
    assert client.get(path).status_code == status
    return time.monotonic() - began


# --- Shapes -------------------------------------------------------------------------------------


def test_an_unknown_path_is_404_as_json(make_app: MakeApp) -> None:
    answer = make_app().test_client().get("/nothing/here")

    assert (answer.status_code, answer.json) == (
        404,
        {"error": "There is nothing at /nothing/here: see /api/openapi.json"},
    )


@pytest.mark.parametrize("path", [*VIEWS, "/nothing"])
def test_every_answer_carries_the_security_headers(make_app: MakeApp, path: str) -> None:
    answer = make_app().test_client().head(path)

    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_pages_of_the_listed_origins_may_read_and_no_others(make_app: MakeApp) -> None:
    app = make_app(cors_origins=("https://shop.example", "http://localhost:3000"))

    def allowed(origin: str, method: str = "GET", path: str = "/api/workers") -> str | None:
        answer = app.test_client().open(path, method=method, headers={"Origin": origin})
        assert "Origin" in answer.headers["Vary"]
        listed = answer.headers.get("Access-Control-Allow-Origin")
        assert answer.headers.get("Access-Control-Allow-Credentials") == (None if listed is None else "true")
        return listed

    assert allowed("https://shop.example") == "https://shop.example"
    assert allowed("https://shop.example", "POST", "/api/retry-dlq") == "https://shop.example"
    assert allowed("https://shop.example", "GET", "/nothing") == "https://shop.example"
    assert allowed("https://shop.example", "OPTIONS", "/api/retry-dlq") == "https://shop.example"
    for stranger in ("https://shop.example.evil", "http://shop.example", "https://shop.example:444", "null", "*"):
        assert allowed(stranger) is None
        assert allowed(stranger, "OPTIONS", "/api/retry-dlq") is None


def test_a_preflight_names_method_and_headers_without_a_key(make_app: MakeApp) -> None:
    answer = (
        make_app(api_key="s3cret")
        .test_client()
        .options("/api/retry-dlq", headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"})
    )

    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Methods"] == "POST, OPTIONS"
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]


def test_the_log_of_requests_holds_no_key(make_app: MakeApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    client = make_app(api_key="s3cret").test_client()

    client.post("/api/retry-dlq?key=s3cret", headers=KEY)
    client.post("/api/retry-dlq", headers={"Authorization": "Bearer wr0ng"})

    said = [record.__dict__ for record in caplog.records if record.message == "request"]
    assert [(line["method"], line["path"], line["status"]) for line in said] == [
        ("POST", "/api/retry-dlq", 200),
        ("POST", "/api/retry-dlq", 401),
    ]
    assert "s3cret" not in str(said) and "wr0ng" not in str(said)


# --- In somebody's app --------------------------------------------------------------------------


@pytest.fixture
def shop(server: Server, redis: Redis) -> Flask:
    """A user's app that has a queue and our blueprint under a prefix."""
    app = Flask("shop")
    app.config["BURAQ_REDIS_URL"] = server.url
    Buraq().init_app(app)
    app.register_blueprint(blueprint(), url_prefix="/ops/queue")
    app.add_url_rule("/", "home", lambda: "shop")
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
    return app


def test_a_blueprint_serves_under_any_prefix(shop: Flask) -> None:
    client = shop.test_client()

    assert client.get("/ops/queue/api/health").status_code == 200
    assert client.get("/ops/queue/api/workers").json == []
    assert b"buraq_workers 0.0" in client.get("/ops/queue/metrics").data
    assert client.get("/ops/queue/api/retry-dlq").json == {"error": "GET is not allowed here, use POST"}
    assert client.post("/ops/queue/api/retry-dlq").json["success"] is True
    assert client.get("/api/health").status_code == 404


def test_a_blueprint_leaves_the_app_around_it_alone(shop: Flask) -> None:
    client = shop.test_client()

    home = client.get("/", headers={"Origin": "http://localhost:3000"})
    assert home.text == "shop"
    assert {"Content-Security-Policy", "Vary", "Access-Control-Allow-Origin"} & set(home.headers.keys()) == set()
    for path, status in (("/broken", 500), ("/ops/queue/nothing", 404)):
        answer = client.get(path)
        assert (answer.status_code, answer.content_type) == (status, "text/html; charset=utf-8")
    assert statuses(shop, 250, "/") == [200] * 250, "our limit is not theirs"


def test_two_apps_of_one_factory_show_their_own_queues(server: Server, redis: Redis) -> None:
    queue, shared = Buraq(), blueprint()

    def make(stream: str) -> Flask:
        app = Flask(stream)
        app.config.update(BURAQ_REDIS_URL=server.url, BURAQ_STREAM_NAME=f"buraq_tasks_{stream}")
        queue.init_app(app)
        app.register_blueprint(shared)
        return app

    one, other = make("one"), make("other")
    with one.app_context():
        queue.enqueue("mail")

    def waiting(app: Flask) -> bool:
        return b'buraq_queue_tasks{queue="default",state="waiting"} 1.0' in app.test_client().get("/metrics").data

    assert (waiting(one), waiting(other)) == (True, False)


def test_a_blueprint_without_a_queue_says_what_is_missing() -> None:
    app = Flask("shop")
    app.register_blueprint(blueprint())

    answer = app.test_client().get("/api/workers")

    assert answer.status_code == 500
    assert "app.extensions['buraq']" in answer.json["error"]


def test_two_queues_of_one_app_are_shown_by_two_blueprints(server: Server, redis: Redis) -> None:
    app = Flask("shop")
    for name in ("one", "other"):
        queue = Buraq(redis_url=server.url, stream_name=f"buraq_tasks_{name}")
        app.register_blueprint(blueprint(queue, name=name), url_prefix=f"/{name}")
        if name == "other":
            queue.enqueue("mail")

    def oldest(name: str) -> bool:
        return b'state="waiting"} 1.0' in app.test_client().get(f"/{name}/metrics").data

    assert (oldest("one"), oldest("other")) == (False, True)
