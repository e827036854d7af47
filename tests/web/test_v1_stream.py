"""The event stream as a client asks for it: by type, at most so many a second, and the whole once a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest
import ujson
from flask import Flask
from jsonschema import Draft202012Validator
from redis import Redis

from buraq import Buraq
from buraq.events import parse
from buraq.web import contract, create_app
from buraq.web.state import state_of
from buraq.web.stream import Stream
from buraq.web.wishes import Quiet, Whole, Wishes
from tests.servers import PATIENCE, Server, eventually


@pytest.fixture
def app(server: Server, redis: Redis) -> Iterator[Flask]:
    """The API; its subscription ends with the test."""
    queue = Buraq(redis_url=server.url)
    yield create_app(queue)
    state_of(queue.backend).streams.end()


def event(kind: str, n: int) -> str:
    return ujson.dumps({"type": kind, "task_id": f"t{n}", "worker_id": "", "at": n})


class Listener:
    """Reads a stream frame by frame."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._frames: list[str] = []

    def frame(self) -> str:
        with gevent.Timeout(PATIENCE):
            while not self._frames:
                self._frames = [one for one in next(self._chunks).decode().split("\n\n") if one]
        return self._frames.pop(0)

    def until(self, start: str) -> list[str]:
        """Return frames up to the first that begins like that, it included."""
        found = [self.frame()]
        while not found[-1].startswith(start):
            found.append(self.frame())
        return found


@contextmanager
def listening(app: Flask, query: str) -> Iterator[Listener]:
    answer = app.test_client().get(f"/api/stream{query}", buffered=False)
    assert answer.status_code == 200, answer.text
    listener = Listener(iter(answer.response))  # type: ignore[arg-type]
    assert '"type":"ping"' in listener.frame()
    try:
        yield listener
    finally:
        answer.close()


def publish(redis: Redis, *events: str) -> None:
    with redis.pipeline() as together:  # in one moment: what a client may have is counted by the second
        for one in events:
            together.publish("buraq_events", one)
        together.execute()


def data(frame: str) -> Any:
    return ujson.loads(frame.partition("data: ")[2])


def test_events_are_shown_by_type(app: Flask, redis: Redis) -> None:
    with listening(app, "?types=Failed,DLQ") as some, listening(app, "") as all_:
        publish(redis, event("Completed", 1), event("Failed", 2), event("Pending", 3), event("DLQ", 4))
        assert [data(some.frame())["task_id"] for _ in range(2)] == ["t2", "t4"]
        assert [data(all_.frame())["task_id"] for _ in range(4)] == ["t1", "t2", "t3", "t4"]


def test_the_whole_comes_once_a_second_in_the_shape_of_the_contract(app: Flask, redis: Redis) -> None:
    with listening(app, "?types=stats,DLQ") as listener:
        for _ in range(2):
            frame = listener.until("event: stats")[-1]
            schema = {"$ref": "#/components/schemas/Overview", "components": contract.document()["components"]}
            Draft202012Validator(schema).validate(data(frame))
            assert "id:" not in frame


def test_for_the_whole_alone_nobody_subscribes(app: Flask, redis: Redis) -> None:
    with listening(app, "?types=stats") as listener:
        assert listener.frame().startswith("event: stats")
        # That of the test before ends within a second.
        eventually(lambda: redis.pubsub_numsub("buraq_events") == [("buraq_events", 0)])


def test_beyond_the_limit_events_are_counted_and_not_shown(app: Flask, redis: Redis) -> None:
    with listening(app, "?limit=3") as listener:
        publish(redis, *(event("Completed", n) for n in range(10)))
        frames = listener.until("event: skipped")
        shown = [data(frame)["task_id"] for frame in frames[:-1]]
        assert (shown, data(frames[-1])) == (["t0", "t1", "t2"], {"type": "skipped", "count": 7})
        publish(redis, event("Completed", 11))
        assert data(listener.frame())["task_id"] == "t11"


@pytest.mark.parametrize(
    ("query", "field"), [("types=Gone", "types[0]"), ("types=", "types"), ("limit=0", "limit"), ("limit=x", "limit")]
)
def test_a_wrong_wish_is_named(app: Flask, query: str, field: str) -> None:
    answer = app.test_client().get(f"/api/stream?{query}")
    assert (answer.status_code, answer.json["field"]) == (422, field)  # type: ignore[index]


def test_who_wants_the_same_shares_what_is_written() -> None:
    query = {"types": ["DLQ", "Failed", "stats"], "limit": 5}
    one, other = Wishes.of(query), Wishes.of({**query, "types": ["Failed", "DLQ"]})
    assert one.view is other.view
    assert Wishes.of({}) == Wishes()
    shown = Wishes.of({"types": ["DLQ"]}).view([parse(event("DLQ", 1).encode())])  # type: ignore[list-item]
    assert shown.startswith(b"id: 1\n")


def test_the_whole_is_looked_at_only_while_somebody_wants_it() -> None:
    looks: list[int] = []

    def look() -> str:
        looks.append(1)
        return "{}"

    whole = Whole(look)
    assert whole.newer(0) == (0, b"")
    whole.join()
    eventually(lambda: looks)
    assert whole.newer(0) == (1, b"event: stats\ndata: {}\n\n")
    assert whole.newer(1) == (1, b"")
    whole.leave()
    eventually(lambda: not whole._running)


def test_while_the_server_is_away_there_is_no_whole() -> None:
    def look() -> str:
        raise ConnectionError("away")

    whole = Whole(look)
    whole.step()
    assert whole.newer(0) == (0, b"")


def test_a_look_that_breaks_is_not_the_last_one() -> None:
    whole = Whole(fail)
    whole._wanted, whole._running = 1, True
    with pytest.raises(RuntimeError, match="a bug"):
        whole._run()
    assert not whole._running, "nobody would ever look again"


def test_a_stream_that_breaks_the_pushing_does_not_end_it_for_those_that_come(server: Server) -> None:
    streams = state_of(Buraq(redis_url=server.url).backend).streams
    broken = Stream(None, Wishes())
    broken.pushed = True
    broken.push = fail  # type: ignore[method-assign]
    broken.inbox = Quiet()
    streams._open.add(broken)
    streams._serving = True
    with pytest.raises(RuntimeError, match="a bug"):
        streams._serve()
    assert not streams._serving, "no stream would ever be served again"


def fail(*args: Any) -> Any:
    raise RuntimeError("a bug")
