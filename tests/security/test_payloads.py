"""What is too large, too deep or no JSON is refused at enqueue; what stands in a queue all the same is not lost."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from buraq import Buraq
from buraq.errors import PayloadError, PayloadTooLarge
from buraq.web import create_app
from tests.cli.conftest import Running
from tests.servers import Server, eventually

LIMIT = 10_000
DIGITS = 5000  # more than Python converts


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("x" * LIMIT, PayloadTooLarge, "MAX_PAYLOAD_BYTES"),
        (nested(3000), PayloadError, "flatter"),
        (float("nan"), PayloadError, "x: nan is not a finite number"),
        ([float("-inf")], PayloadError, r"x\[0\]: -inf is not a finite number"),
        ("\ud800", PayloadError, "half a surrogate pair"),
        (10**DIGITS, PayloadError, "more digits than Python reads"),
    ],
    ids=["size", "depth", "nan", "infinity", "surrogate", "huge integer"],
)
def test_a_payload_that_no_worker_could_read_is_refused_at_enqueue_and_nothing_is_written(
    server: Server, redis: Redis, value: object, kind: type[Exception], said: str
) -> None:
    queue = Buraq(redis_url=server.url, max_payload_bytes=LIMIT)
    with pytest.raises(kind, match=said):
        queue.enqueue("keep", {"x": value})
    assert redis.keys() == []


BODIES = {
    "nan": b'{"x":NaN}',
    "infinity": b'{"x":1e999}',
    "digits": b'{"x":' + b"9" * DIGITS + b"}",
    "depth": b'{"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
    "surrogate": b'{"x":"\\ud800"}',
    "size": b'{"x":"' + b"y" * LIMIT + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_the_api_refuses_it_too_and_writes_nothing(server: Server, redis: Redis, name: str) -> None:
    http = create_app(Buraq(redis_url=server.url, max_payload_bytes=LIMIT)).test_client()
    body = b'{"type":"keep","payload":' + BODIES[name] + b"}"
    answer = http.post("/api/v1/tasks", data=body, content_type="application/json")
    assert answer.status_code == (413 if name == "size" else 422), answer.text
    assert redis.xlen("buraq_tasks") == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"type":"keep","payload":{"x":1},"type":"drop"}', "type"),
        (b'{"type":"keep","payload":{"x":1,"x":2}}', "payload.x"),
        (b'{"type":"keep","payload":{"x":[{},{"y":{"z":1,"w":1,"z":1}}]}}', "payload.x[1].y.z"),
        (b'{"type":"keep","payload":{"x":{"y":1,"y":2},"x":2}}', "payload.x"),
        (b'{"type":"keep","payload":' + b'{"x":' * 400 + b'{"y":1,"y":1}' + b"}" * 401, "payload" + ".x" * 400 + ".y"),
    ],
    ids=["of the body", "of the payload", "deep", "in what is replaced", "deeper"],
)
def test_the_api_refuses_two_members_of_one_name_and_names_them(
    server: Server, redis: Redis, body: bytes, field: str
) -> None:
    http = create_app(Buraq(redis_url=server.url)).test_client()
    answer = http.post("/api/v1/tasks", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["field"]) == (422, field)
    assert answer.get_json()["error"].endswith(" is there twice: write it once")
    assert redis.xlen("buraq_tasks") == 0


def test_the_api_names_a_member_that_is_there_twice_however_long_its_path(server: Server, redis: Redis) -> None:
    """The path is written once, not for each of the many that share its beginning."""
    long = b"n" * 100_000
    crowd = b",".join(b"{}" for _ in range(100_000))
    body = b'{"type":"keep","payload":{"%s":[%s,{"x":1,"x":2}]}}' % (long, crowd)
    answer = create_app(Buraq(redis_url=server.url)).test_client().post("/api/v1/tasks", data=body)
    assert answer.status_code == 422
    assert answer.get_json()["field"] == f"payload.{long.decode()}[100000].x"
    assert len(answer.get_json()["error"]) < 200


@pytest.mark.e2e
def test_a_worker_that_finds_such_entries_runs_or_buries_each_and_loses_none(
    server: Server, redis: Redis, launch: Callable[..., Running]
) -> None:
    bodies = {**BODIES, "twice": b'{"x":1,"x":2}', "broken": b'{"x":', "text": b"\xff"}
    for name, body in bodies.items():
        raw = b'{"id":"%s","type":"fails_with","payload":%s}' % (name.encode(), body)
        redis.xadd("buraq_tasks", {"payload": raw})
    worker = launch(server.url, "worker", MAX_PAYLOAD_BYTES=str(LIMIT))
    eventually(lambda: redis.xlen("buraq_tasks_dlq") == len(bodies))
    with server.client(decode_responses=False) as plain:
        letters = [letter for _, letter in plain.xrange("buraq_tasks_dlq")]
    found = {name: next(one for one in letters if b'"id":"%s"' % name.encode() in one[b"payload"]) for name in bodies}
    unread = {name for name, letter in found.items() if letter[b"reason"] == b"undecodable"}
    assert unread == {"digits", "depth", "broken", "text"}
    assert {letter[b"reason"] for letter in letters} == {b"undecodable", b"exhausted"}
    for name in unread:
        assert bodies[name] in found[name][b"payload"], "kept as it came"
    assert all(letter[b"error"] for letter in letters)
    assert b"got {'x': 2}" in found["twice"][b"error"]
    assert redis.xlen("buraq_tasks") == 0
    worker.process.terminate()
    assert worker.wait() == 0
