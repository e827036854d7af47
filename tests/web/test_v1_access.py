"""Who may read and change, by key, by session, by the host app's word; and what no other site's page can do."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from redis import Redis

from buraq import Buraq
from buraq.web import blueprint, create_app, session
from buraq.web.state import state_of
from tests.servers import Server
from tests.web.contracts import Client

Make = Callable[..., Client]
API, READ = "the-api-key", "the-read-key"
OURS = {"Sec-Fetch-Site": "same-origin"}
REMOTE = "203.0.113.7"


@pytest.fixture
def make(server: Server, redis: Redis) -> Make:
    def build(address: str = "127.0.0.1", **settings: Any) -> Client:
        return Client(create_app(Buraq(**{"redis_url": server.url, **settings})), address=address)

    return build


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def sign_in(api: Client, key: str = API) -> Any:
    answer = api.post("/session", {"key": key}, **OURS)
    assert answer.status_code == 200, answer.text
    return answer


def enqueue(api: Client, **headers: str) -> int:
    return api.post("/tasks", {"type": "t"}, **headers).status_code


def cookie_of(api: Client) -> str:
    cookie = api.http.get_cookie(session.COOKIE)
    return cookie.value if cookie is not None else ""


# --- Keys ---------------------------------------------------------------------------------------


def test_without_keys_everybody_reads_and_this_machine_changes(make: Make) -> None:
    local, remote = make(), make(address=REMOTE)
    assert (enqueue(local), enqueue(remote)) == (201, 403)
    assert remote.get("/queues")["queues"]
    shown = local.get("/session"), remote.get("/session")
    assert [(one["who"], one["may_change"], one["can_sign_in"]) for one in shown] == [
        ("loopback", True, False),
        ("anybody", False, False),
    ]
    assert "API_KEY" in shown[1]["why_not"]


def test_a_page_of_another_site_changes_nothing_on_this_machine(make: Make) -> None:
    assert enqueue(make(), Origin="https://evil.example") == 403


@pytest.mark.parametrize("key", ["", "wrong", "thé-key"])
def test_with_a_key_changes_need_it(make: Make, key: str) -> None:
    api = make(api_key=API)
    assert enqueue(api, **(bearer(key) if key else {})) == 401
    assert enqueue(api, **bearer(API)) == 201
    assert api.get("/queues")["queues"]
    assert api.get("/audit")["items"][0]["who"] == "API key"


@pytest.mark.parametrize(
    "path", ["/queues", "/tasks", "/dead-letters", "/audit", "/system", "/workers", "/overview", "/dead-letters/export"]
)
def test_with_a_read_key_reads_need_one_of_the_keys(make: Make, path: str) -> None:
    api = make(api_key=API, read_key=READ)
    assert api.ask("GET", path).status_code == 401
    for key in (API, READ):
        assert api.ask("GET", path, **bearer(key)).status_code == 200


def test_the_read_key_changes_nothing(make: Make) -> None:
    api = make(api_key=API, read_key=READ)
    assert enqueue(api, **bearer(READ)) == 401
    shown = api.get("/session", **bearer(READ))
    assert (shown["who"], shown["signed_in"], shown["may_change"], shown["can_sign_in"]) == (
        "READ key",
        True,
        False,
        True,
    )


def test_read_only_takes_no_changes_from_anybody(make: Make) -> None:
    api = make(api_key=API, read_only=True)
    assert (enqueue(api), enqueue(api, **bearer(API))) == (403, 403)
    shown = api.get("/session")
    assert (shown["read_only"], shown["may_change"]) == (True, False)
    assert "READ_ONLY" in shown["why_not"]


# --- Sessions -----------------------------------------------------------------------------------


def test_a_session_reads_and_changes_until_it_is_ended(make: Make) -> None:
    api = make(api_key=API, read_key=READ)
    answer = sign_in(api)
    cookie = answer.headers["Set-Cookie"]
    for attribute in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert attribute in cookie
    assert "Secure" not in cookie
    assert API not in cookie
    assert (answer.json["who"], answer.json["may_change"], answer.json["can_sign_in"]) == ("API key", True, False)
    assert api.get("/session")["expires_at"] == answer.json["expires_at"]
    assert api.get("/queues")["queues"]
    assert enqueue(api, **OURS) == 201
    assert api.ask("DELETE", "/session", **OURS).status_code == 204
    assert api.ask("GET", "/queues").status_code == 401
    assert [one["action"] for one in api.get("/audit", **bearer(API))["items"]] == ["enqueue", "sign_in"]


def test_a_session_by_the_read_key_reads_only(make: Make) -> None:
    api = make(api_key=API, read_key=READ)
    assert sign_in(api, READ).json["may_change"] is False
    assert api.get("/queues")["queues"]
    assert enqueue(api, **OURS) == 401


def test_a_wrong_key_signs_nobody_in_and_is_noted(make: Make) -> None:
    api = make(api_key=API)
    answer = api.post("/session", {"key": "wrong"}, **OURS)
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert [one["action"] for one in api.get("/audit")["items"]] == ["sign_in_refused"]


def test_without_keys_there_is_nothing_to_sign_in_with(make: Make) -> None:
    assert make().post("/session", {"key": "x"}, **OURS).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://localhost"}, 201),
        ({"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"}, 201),  # in CORS_ORIGINS
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),  # not even an address
        ({"Origin": "null", "Host": ""}, 403),
    ],
)
def test_changes_by_session_come_from_our_pages_only(make: Make, headers: dict[str, str], status: int) -> None:
    api = make(api_key=API)
    sign_in(api)
    assert enqueue(api, **headers) == status
    assert enqueue(api, **headers, **bearer(API)) == 201  # a key is taken from anywhere
    assert api.get("/queues")["queues"]  # and reading needs no page


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cookie: cookie.replace("api.", "read."),
        lambda cookie: cookie[:-1] + ("0" if cookie[-1] != "0" else "1"),
        lambda cookie: f"api.{int(cookie.split('.')[1]) + 1}.{cookie.split('.')[2]}",
        lambda cookie: "",
        lambda cookie: "api..",
        lambda cookie: "api.x.y",
        lambda cookie: "x" * 3000,
    ],
)
def test_a_cookie_that_was_changed_is_none(make: Make, spoil: Callable[[str], str]) -> None:
    api = make(api_key=API, read_key=READ)
    sign_in(api)
    api.http.set_cookie(session.COOKIE, spoil(cookie_of(api)))
    assert api.ask("GET", "/queues").status_code == 401


def test_a_session_ends_by_itself_and_with_its_key(make: Make) -> None:
    with Flask("x").test_request_context(headers={"Cookie": f"buraq_session={session.sign('api', API, 1000.0)}"}):
        for now, key, found in ((1001.0, API, True), (1000.0 + session.LIFE, API, False), (1001.0, "new", False)):
            assert (session.read(request, {"api": key, "read": ""}, now) is not None) is found
    api = make(api_key="changed")
    api.http.set_cookie(session.COOKIE, session.sign("api", API, time.time()))
    assert enqueue(api, **OURS) == 401


def test_behind_a_proxy_that_speaks_https_the_cookie_is_secure(make: Make) -> None:
    for trusted, secure in ((1, True), (0, False)):
        api = make(api_key=API, trusted_proxies=trusted)
        answer = api.post("/session", {"key": API}, X_Forwarded_Proto="https", **OURS)
        assert ("Secure" in answer.headers["Set-Cookie"]) is secure


def test_another_sites_page_signs_nobody_in_or_out(make: Make) -> None:
    api = make(api_key=API)
    assert api.post("/session", {"key": API}, Sec_Fetch_Site="cross-site").status_code == 403
    for origin in ("https://evil.example", "http://[", "http://[x]:y"):
        assert api.post("/session", {"key": API}, Origin=origin).status_code == 403
        assert api.ask("DELETE", "/session", Origin=origin).status_code == 403


def test_the_event_stream_takes_the_session(server: Server, redis: Redis) -> None:
    queue = Buraq(redis_url=server.url, read_key=READ)
    api = Client(create_app(queue))
    assert api.http.get("/api/stream").status_code == 401
    sign_in(api, READ)
    answer = api.http.get("/api/stream", buffered=False)
    assert answer.status_code == 200
    answer.close()
    state_of(queue.backend).streams.end()


def test_the_session_answers_while_redis_is_away() -> None:
    api = Client(create_app(Buraq(redis_url="redis://127.0.0.1:1/0", api_key=API)))
    assert api.get("/session")["who"] == "anybody"
    assert sign_in(api).json["who"] == "API key"
    assert api.ask("GET", "/queues").status_code == 503


# --- A host app ---------------------------------------------------------------------------------


def hosted(server: Server, answers: dict[bool, str | None], **settings: Any) -> Client:
    app = Flask("host")
    queue = Buraq(redis_url=server.url, api_key=API, **settings)
    app.register_blueprint(blueprint(queue, authorize=answers.get), url_prefix="/admin/tasks")
    return Client(app, "/admin/tasks", address=REMOTE)


def test_a_host_app_decides_by_itself(server: Server, redis: Redis) -> None:
    api = hosted(server, {False: "ada", True: "ada@shop"})
    assert enqueue(api) == 201
    assert api.get("/session") == {
        "who": "ada@shop",
        "signed_in": False,
        "may_read": True,
        "may_change": True,
        "why_not": None,
        "can_sign_in": False,
        "read_only": False,
        "expires_at": None,
    }
    assert api.get("/audit")["items"][0]["who"] == "ada@shop"
    assert api.post("/session", {"key": API}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),  # no browser
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"}, 201),
        ({"Origin": "http://localhost"}, 201),  # a browser that knows no Sec-Fetch-Site
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, 201),  # in CORS_ORIGINS
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_what_a_host_app_allows_a_page_of_another_site_cannot_have_a_browser_do(
    server: Server, redis: Redis, headers: dict[str, str], status: int
) -> None:
    api = hosted(server, {False: "ada", True: "ada"})
    assert enqueue(api, **headers) == status
    assert redis.xlen("buraq_tasks") == (status == 201)
    assert api.http.post("/admin/tasks/api/retry-dlq", headers=headers).status_code == (200 if status == 201 else 403)
    assert api.ask("GET", "/queues", **headers).status_code == 200


def test_a_host_app_is_asked_once_for_a_request(server: Server, redis: Redis) -> None:
    asked: list[bool] = []

    def may(change: bool) -> str:
        asked.append(change)
        return "ada"

    app = Flask("host")
    app.register_blueprint(blueprint(Buraq(redis_url=server.url), authorize=may), url_prefix="/q")
    assert enqueue(Client(app, "/q")) == 201
    assert asked == [False, True]


def test_a_head_is_a_get_without_its_body(make: Make) -> None:
    answer = make().http.head("/api/v1/queues")
    assert (answer.status_code, answer.data, answer.content_type) == (200, b"", "application/json")


def test_a_host_app_may_allow_reading_alone_or_nothing(server: Server, redis: Redis) -> None:
    reader, nobody = hosted(server, {False: "bob"}), hosted(server, {})
    assert (enqueue(reader), reader.ask("GET", "/queues").status_code) == (403, 200)
    assert (enqueue(nobody), nobody.ask("GET", "/queues").status_code) == (403, 403)
    assert enqueue(nobody, **bearer(API)) == 403
    assert enqueue(hosted(server, {False: "a", True: "a"}, read_only=True)) == 403


def test_below_a_prefix_the_cookie_is_for_that_prefix(server: Server, redis: Redis) -> None:
    app = Flask("host")
    app.register_blueprint(blueprint(Buraq(redis_url=server.url, api_key=API)), url_prefix="/admin/tasks")
    api = Client(app, "/admin/tasks")
    assert "Path=/admin/tasks" in sign_in(api).headers["Set-Cookie"]


# --- CORS ---------------------------------------------------------------------------------------


def test_pages_of_listed_origins_may_ask_beforehand(make: Make) -> None:
    api = make(api_key=API)
    answer = api.http.options("/api/v1/tasks", headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST, HEAD, OPTIONS"
    assert answer.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    answer = api.http.options("/api/v1/session", headers={"Origin": "http://elsewhere"})
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_wrong_method_is_refused_as_json(make: Make) -> None:
    answer = make().http.put("/api/v1/tasks")
    assert (answer.status_code, answer.json["error"]) == (  # type: ignore[index]
        405,
        "PUT is not allowed here, use GET or POST",
    )
