"""Event streams as clients see them, from a real gunicorn process."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.servers import Server, eventually
from tests.web.clients import ApiProcess, EventReader, Frame

pytestmark = pytest.mark.e2e

PING = {"type": "ping"}
GAP = Frame("gap", None, {"type": "gap"}, None)
TELLING = """
from buraq.web.state import _states
from wsgi import app

@app.get("/pushed")
def pushed():
    return [stream.pushed for state in _states.values() for stream in state.streams._open]
"""
StartApi = Callable[..., ApiProcess]
# Seconds, on a busy machine: before a comment is written to who has gone, or gunicorn kills what has not ended.
SOON = 12.0


def event(number: int, **members: object) -> dict[str, object]:
    return {"type": "Completed", "task_id": f"t{number}", "worker_id": "w-1", "at": number, **members}


def publish(redis: Redis, *events: dict[str, object]) -> None:
    with redis.pipeline(transaction=False) as pipe:
        for one in events:
            pipe.publish("buraq_events", json.dumps(one))
        pipe.execute()


def has_room(api: ApiProcess) -> bool:
    with EventReader(api.port) as reader:
        return reader.status == 200


def test_a_stream_begins_with_a_ping_at_once_and_events_follow_in_order(start_api: StartApi, redis: Redis) -> None:
    api = start_api()

    with EventReader(api.port) as reader:
        assert reader.frame() == Frame(None, None, PING, "3000")
        published = [event(n, error="línea\nzwei") for n in range(1, 501)]
        publish(redis, *published)
        frames = reader.frames(500)

    assert [frame.data for frame in frames] == published
    assert [frame.id for frame in frames] == [str(n) for n in range(1, 501)]
    assert reader.status == 200
    assert reader.headers["content-type"].startswith("text/event-stream")
    assert reader.headers["cache-control"] == "no-cache"
    assert reader.headers["x-accel-buffering"] == "no"
    assert reader.headers["connection"] == "close"


def test_a_client_that_knows_no_chunks_gets_the_same(start_api: StartApi, redis: Redis) -> None:
    """HTTP/1.0, which nginx speaks with us unless it is told not to."""
    api = start_api()

    with EventReader(api.port, version="1.0") as reader:
        assert reader.frame() == Frame(None, None, PING, "3000")
        publish(redis, *(event(n) for n in range(1, 501)))

        assert [frame.id for frame in reader.frames(500)] == [str(n) for n in range(1, 501)]
        assert "transfer-encoding" not in reader.headers
        assert api.stop() < SOON
        assert reader.frame() is None


def test_under_greenlets_we_write_to_the_sockets_ourselves(start_api: StartApi, redis: Redis, tmp_path: Path) -> None:
    """Without it all else goes on working, several times slower with thousands of streams."""
    (tmp_path / "telling.py").write_text(TELLING)
    api = start_api("telling:app", "--worker-class", "gevent", cwd=tmp_path)

    with EventReader(api.port), EventReader(api.port, version="1.0"):
        assert eventually(lambda: api.get("/pushed").json == [True, True])


def test_it_streams_from_threads_as_well(start_api: StartApi, redis: Redis, tmp_path: Path) -> None:
    api = start_api("wsgi:app", "--worker-class", "gthread", "--threads", "4", cwd=tmp_path)
    with EventReader(api.port) as reader, EventReader(api.port) as other:
        publish(redis, *(event(n) for n in range(1, 501)))
        for one in (reader, other):
            assert [frame.id for frame in one.frames(501)] == [None, *(str(n) for n in range(1, 501))]
        with EventReader(api.port, last_id="499") as resumed:
            assert [frame.id for frame in resumed.frames(2)] == [None, "500"]
            assert not has_room(api), "a quarter of the threads stays free"
        assert eventually(lambda: has_room(api), every=0.05)
        api.stop()
        assert reader.frame() is None


@pytest.mark.parametrize("worker", [("gevent",), ("gthread", "--threads", "4")])
def test_a_client_that_hears_nothing_gets_comments(
    start_api: StartApi, redis: Redis, tmp_path: Path, worker: tuple[str, ...]
) -> None:
    (tmp_path / "impatient.py").write_text("from buraq.web import stream\nstream.HEARTBEAT = 0.2\nfrom wsgi import app")
    api = start_api("impatient:app", "--worker-class", *worker, cwd=tmp_path)

    with EventReader(api.port) as reader:
        reader.frame()
        assert [reader.comment() for _ in range(3)] == [": here"] * 3
        publish(redis, event(1))
        assert reader.frame().id == "1"


def test_last_event_id_resumes_where_the_client_was(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    with EventReader(api.port) as reader:
        reader.frame()
        publish(redis, event(1), event(2), event(3))
        assert reader.frames(2)[-1].id == "2"

    publish(redis, event(4))
    with EventReader(api.port, last_id="2") as reader:
        reader.frame()
        publish(redis, event(5))
        assert [frame.id for frame in reader.frames(3)] == ["3", "4", "5"]


def test_the_ping_says_where_a_client_stands_that_has_heard_nothing_yet(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    with EventReader(api.port) as reader:
        reader.frame()
        publish(redis, event(7))
        reader.frame()

        with EventReader(api.port) as other:
            assert other.frame().id == "7"


@pytest.mark.parametrize("last_id", ["1", "999", "not-a-number", "-5"])
def test_an_id_that_is_not_in_the_ring_is_answered_with_a_gap(start_api: StartApi, redis: Redis, last_id: str) -> None:
    api = start_api()
    with EventReader(api.port) as reader:
        reader.frame()
        publish(redis, event(10))
        reader.frame()

    with EventReader(api.port, last_id=last_id) as reader:
        assert reader.frames(2) == [Frame(None, None, PING, "3000"), GAP]


def test_a_restart_of_the_server_shows_as_a_gap_and_the_stream_goes_on(
    start_api: StartApi, fresh_server: Callable[..., Server]
) -> None:
    server = fresh_server()
    api = start_api(REDIS_URL=server.url_of("api"))
    with EventReader(api.port) as reader:
        reader.frame()
        publish(server.client(), event(1))
        assert reader.frame().id == "1"

        server.restart(signal.SIGKILL)
        client = server.client()
        eventually(lambda: client.pubsub_numsub("buraq_events")[0][1])
        publish(client, event(2))

        assert reader.frame() == GAP
        assert reader.frame().id == "2"


def test_a_client_that_vanishes_frees_its_place_at_once(start_api: StartApi, redis: Redis) -> None:
    api = start_api("wsgi:app", "--worker-connections", "4")
    readers = [EventReader(api.port) for _ in range(3)]
    assert [reader.frame().data for reader in readers] == [PING] * 3
    assert not has_room(api)
    assert api.get("/api/health").status == 200, "a quarter of the connections stays free"

    readers[0].close()
    began = time.monotonic()
    eventually(lambda: has_room(api), every=0.05)

    assert time.monotonic() - began < SOON
    for reader in readers:
        reader.close()


def test_a_client_that_stops_reading_slows_nobody(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    stuck = EventReader(api.port)
    with EventReader(api.port) as reader:
        reader.frame()
        filler = "x" * 2000
        for start in range(0, 8000, 100):  # 16 MB: more than all buffers on the way
            publish(redis, *(event(n, error=filler) for n in range(start + 1, start + 101)))
            assert [frame.id for frame in reader.frames(100)] == [str(n) for n in range(start + 1, start + 101)]
        began = time.monotonic()
        assert api.get("/api/health").status == 200
        assert time.monotonic() - began < SOON

        # In the end it is cut off: its connection is closed with most of it unread.
        eventually(lambda: not holds(api, stuck), every=0.2)
    stuck.close()


def test_a_client_that_pauses_gets_everything_whole_and_in_order(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    with EventReader(api.port) as late, EventReader(api.port) as prompt:
        late.frame(), prompt.frame()
        published = [str(n) for n in range(1, 5001)]
        filler = "x" * 2000
        for start in range(0, 5000, 100):  # 10 MB: more than all buffers on the way
            publish(redis, *(event(n, error=filler) for n in range(start + 1, start + 101)))
            prompt.frames(100)

        assert [frame.id for frame in late.frames(5000)] == published


def holds(api: ApiProcess, reader: EventReader) -> bool:
    """Whether the API still has its end of the connection."""
    _, port = reader.socket.getsockname()
    workers = psutil.Process(api.process.pid).children()
    return any(held.raddr and held.raddr.port == port for worker in workers for held in worker.net_connections("tcp"))


def test_stopping_does_not_wait_for_open_streams(start_api: StartApi, redis: Redis) -> None:
    api = start_api()
    readers = [EventReader(api.port) for _ in range(20)]
    for reader in readers:
        reader.frame()
    stuck = EventReader(api.port)
    filler = "x" * 2000
    for start in range(0, 5000, 500):
        publish(redis, *(event(n, error=filler) for n in range(start, start + 500)))
        readers[0].frames(500)

    took = api.stop()

    assert took < SOON
    assert api.process.returncode == 0
    endings = []
    for reader in readers[:1]:
        while (frame := reader.frame()) is not None:
            endings.append(frame)
        reader.close()
    assert endings == [], "the stream ended as it should, not in the middle of a frame"
    for reader in [*readers, stuck]:
        reader.close()


def test_two_processes_each_resume_what_the_other_began(start_api: StartApi, redis: Redis) -> None:
    api = start_api("wsgi:app", "--workers", "2")
    readers: list[EventReader] = []

    def both_processes_have_one() -> bool:
        # Which process accepts a connection is the kernel's choice: many at once, until neither was left out.
        more = [EventReader(api.port) for _ in range(12)]
        for reader in more:
            reader.frame()
        readers.extend(more)
        return redis.pubsub_numsub("buraq_events")[0][1] == 2

    assert eventually(both_processes_have_one)
    publish(redis, event(1), event(2))
    for reader in readers:
        assert [frame.id for frame in reader.frames(2)] == ["1", "2"]

    for _ in range(6):
        with EventReader(api.port, last_id="1") as resumed:
            assert [frame.id for frame in resumed.frames(2)] == [None, "2"]
    for reader in readers:
        reader.close()
