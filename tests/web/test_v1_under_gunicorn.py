"""The API under /api/v1 in real gunicorn processes, whose streams are pushed and whose work is in greenlets."""

import json
from collections.abc import Callable
from http.client import HTTPConnection

import pytest
from redis import Redis

from tests.servers import PATIENCE, eventually
from tests.web.clients import ApiProcess, EventReader, Frame

pytestmark = pytest.mark.e2e

StartApi = Callable[..., ApiProcess]


def publish(redis: Redis, *numbers: int, kind: str = "Completed") -> None:
    with redis.pipeline() as pipe:  # in one moment: what a client may have is counted by the second
        for n in numbers:
            pipe.publish("buraq_events", json.dumps({"type": kind, "task_id": f"t{n}", "worker_id": "", "at": n}))
        pipe.execute()


def next_of(reader: EventReader, event: str | None) -> Frame:
    while (frame := reader.frame()) is not None:
        if frame.event == event:
            return frame
    raise EOFError("the stream ended")


def test_pushed_streams_are_told_the_whole_and_what_was_left_out(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    with EventReader(api.port, "/api/stream?types=stats,DLQ&limit=2") as reader, EventReader(api.port) as plain:
        assert next_of(reader, "stats").data["totals"]["dead"] == 0
        publish(redis, *range(1, 51), kind="Pending")
        publish(redis, *range(51, 61), kind="DLQ")
        assert [next_of(reader, None).data["task_id"] for _ in range(2)] == ["t51", "t52"]
        assert next_of(reader, "skipped").data == {"type": "skipped", "count": 8}
        assert next_of(reader, "stats").data["rate_window_s"] == 10
        shown = plain.frames(61)
        assert [frame.event for frame in shown if frame] == [None] * 61, "the original's stream has events alone"


def test_two_processes_know_of_the_same_operation(start_api: StartApi, redis: Redis) -> None:
    api = start_api("wsgi:app", "--workers", "2")
    for n in range(600):
        task = {"id": f"t{n}", "type": "mail", "payload": {}, "max_retries": 0, "current_retries": 0}
        redis.xadd("buraq_tasks_dlq", {"payload": json.dumps(task), "reason": "exhausted", "died_at": "1"})
    begun = post(api, "/api/v1/dead-letters/replay", {"filter": {}})

    def shown() -> dict[str, object]:
        found: dict[str, object] = api.get(f"/api/v1/operations/{begun['id']}").json
        return found

    eventually(lambda: shown()["state"] == "done")
    assert (shown()["done"], redis.xlen("buraq_tasks"), redis.xlen("buraq_tasks_dlq")) == (600, 600, 0)


def post(api: ApiProcess, path: str, body: object) -> dict[str, object]:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=PATIENCE)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 202
        read: dict[str, object] = json.loads(response.read())
        return read
    finally:
        connection.close()
