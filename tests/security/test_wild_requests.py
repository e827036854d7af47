"""No address and no header has the event stream, or a worker's port, answer 500 or nothing at all."""

import itertools
import json
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from tests.cli.conftest import Running
from tests.ports import free_port
from tests.servers import Server, eventually
from tests.wild import Answer, ask, quoted, raw, tried

pytestmark = pytest.mark.e2e

PING = b'data: {"type":"ping"}\n\n'

NAMES = st.sampled_from([b"types", b"limit", b"type", b"TYPES", b""]) | quoted(10)
VALUES = (
    st.sampled_from([b"Failed", b"DLQ,stats", b"stats", b"Pending,,DLQ", b"nothing", b""])
    | st.sampled_from([b"1", b"500", b"10000", b"10001", b"0", b"-1", b"1e3", b"+1", b"%D9%A3", b"9" * 400])
    | quoted()
)
PAIRS = st.lists(st.tuples(NAMES, VALUES).map(b"=".join), max_size=4).map(b"&".join)
QUERIES = st.just(b"") | PAIRS.map(b"?".__add__) | raw().map(b"?".__add__)
# Ids of ours, numbers that are none, and whatever else a header may hold.
IDS = st.integers(-10, 10**25).map(lambda number: b"%d" % number) | st.sampled_from([b"0", b"\xb2", b"1_0"]) | raw()

# Mostly what is sound, so that it gets past the web server.
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"BREW"])
PATHS = st.sampled_from([b"/livez", b"/readyz", b"/metrics", b"/%6civez", b"http://x/livez", b"/", b"//livez", b"*"])
ODD_METHODS = st.one_of(METHODS, METHODS, METHODS, st.just(b"get"), raw(8))
ODD_PATHS = st.one_of(PATHS, PATHS, PATHS, quoted().map(b"/".__add__), raw().map(b"/".__add__))
HEADERS = st.lists(st.one_of(quoted(), quoted(), raw()).map(b"X-Thing: ".__add__), max_size=2)


def test_whatever_the_stream_is_asked_for_it_begins_or_says_what_is_wrong(
    server: Server, redis: Redis, launch: Callable[..., Running]
) -> None:
    port, numbers, seen = free_port(), itertools.count(1), Counter[int]()
    api = launch(server.url_of("api"), "api", API_PORT=f"127.0.0.1:{port}", TRUSTED_PROXIES="1")
    eventually(lambda: ask(port, b"GET", b"/api/health").status == 200)

    @tried
    @given(QUERIES, st.none() | IDS)
    def try_it(query: bytes, last_id: bytes | None) -> None:
        number = next(numbers)  # each from an address of its own: the rate limit is not what is tried here
        headers = [b"X-Forwarded-For: 10.0.%d.%d" % divmod(number, 250)]
        headers += [b"Last-Event-ID: " + last_id] if last_id is not None else []
        answer = ask(port, b"GET", b"/api/stream" + query, *headers, until=PING)
        seen[answer.status] += 1
        assert answer.status in (200, 400, 422), answer
        if answer.status == 200:
            assert b"text/event-stream" in answer.head and b"retry: 3000\n" in answer.body and PING in answer.body
        elif answer.status == 422:
            assert json.loads(answer.body).keys() == {"error", "field"}

    try_it()

    assert min(seen[200], seen[422]) > 10, seen
    system = b"/api/v1/system"
    eventually(lambda: json.loads(ask(port, b"GET", system).body)["api"]["streams"] == 0)  # each place is given back
    assert "request_failed" not in api.output


def test_whatever_a_workers_port_is_asked_it_answers(
    server: Server, redis: Redis, launch: Callable[..., Running]
) -> None:
    port, seen = free_port(), Counter[int]()
    worker = launch(server.url_of("worker"), "worker", METRICS_PORT=f"127.0.0.1:{port}")
    eventually(lambda: ask(port, b"GET", b"/readyz").status == 200)

    @tried
    @given(ODD_METHODS, ODD_PATHS, st.sampled_from([b"", b"?", b"?a=%"]), HEADERS)
    def try_it(method: bytes, path: bytes, query: bytes, headers: list[bytes]) -> None:
        answer = ask(port, method, path + query, *headers)
        seen[answer.status] += 1
        assert answer.status < 500 or answer.status == 501, answer
        if answer.status == 200:
            assert unquote_to_bytes(path).endswith((b"/livez", b"/readyz", b"/metrics")), path
            assert method == b"HEAD" or is_said(answer), answer
        elif answer.status == 404:
            assert method == b"HEAD" or "/livez" in json.loads(answer.body)["error"]

    try_it()

    assert min(seen[200], seen[404], seen[400]) > 5, seen
    assert ask(port, b"GET", b"/readyz").status == 200
    assert "Traceback" not in worker.output


def is_said(answer: Answer) -> bool:
    """Whether the answer of a probe is whole: what is wrong, or the figures."""
    if b"application/json" in answer.head:
        return bool(json.loads(answer.body) == {"status": "ok", "problems": []})
    return b"# HELP" in answer.body
