"""A paused queue: nothing is fetched from it, all that waits stays, and what runs goes on."""

import gevent
import pytest
from gevent.event import Event
from redis import Redis

from buraq.app import Buraq
from buraq.pauses import Pause, Pauses
from buraq.worker.worker import Worker
from tests.worker.parts import PATIENT, Fetching, lease_of


@pytest.fixture
def fetching(app: Buraq) -> Fetching:
    return Fetching(app, lease_of(app, "default", "mail"))


def test_a_queue_is_paused_once_and_says_by_whom(app: Buraq, redis: Redis) -> None:
    pauses = Pauses(app.backend)
    assert (pauses.pause("mail", "ada"), pauses.pause("mail", "bob")) == (True, False)
    [(queue, pause)] = pauses.all().items()
    assert (queue, pause.by) == ("mail", "ada")
    assert abs(pause.at_ms - int(redis.time()[0]) * 1000) < 5000
    assert (pauses.resume("mail"), pauses.resume("mail"), pauses.all()) == (True, False, {})


def test_a_queue_that_was_paused_by_hand_is_paused(app: Buraq, redis: Redis) -> None:
    redis.hset(app.backend.names.paused, "mail", "yes")
    assert Pauses(app.backend).all() == {"mail": Pause(0, "")}


def test_nothing_is_fetched_from_a_paused_queue_and_all_of_it_stays(app: Buraq, fetching: Fetching) -> None:
    for queue in ("default", "mail"):
        app.enqueue("t", id=queue, queue=queue)
    fetching.fetcher.paused = frozenset({"mail"})
    assert fetching.step() == ["default"]
    app.enqueue("t", id="later", queue="mail")
    assert fetching.step() == []
    fetching.fetcher.paused = frozenset()
    assert fetching.step() == ["mail", "later"]


def test_with_all_queues_paused_the_fetcher_asks_for_nothing(app: Buraq, fetching: Fetching) -> None:
    app.enqueue("t", id="one")
    fetching.fetcher.paused = frozenset({"default", "mail"})
    assert fetching.step() == []
    assert fetching.fetcher.quiet_walks == 1


def test_nothing_is_fetched_before_somebody_has_looked_what_is_paused(app: Buraq, fetching: Fetching) -> None:
    app.enqueue("t", id="one")
    fetching.fetcher.paused = None
    assert fetching.step() == []


def test_a_queue_stays_paused_while_the_server_refuses_to_say(app: Buraq, redis: Redis) -> None:
    worker = Worker(app, name="w~00000001")
    Pauses(app.backend).pause("mail")
    worker.control.step()
    redis.delete(app.backend.names.paused)
    redis.set(app.backend.names.paused, "no hash")  # as BUSY, while somebody's script runs
    assert not worker.control.attempt(), "it is said"
    assert worker.fetcher.paused == {"mail"}


def test_the_control_looks_which_queues_are_paused(app: Buraq, redis: Redis) -> None:
    worker = Worker(app, name="w~00000001")
    assert worker.fetcher.paused is None
    Pauses(app.backend).pause("mail")
    worker.control.step()
    assert worker.fetcher.paused == {"mail"}
    Pauses(app.backend).resume("mail")
    worker.control.step()
    assert worker.fetcher.paused == set()


def test_a_worker_that_waits_leaves_a_paused_queue_and_comes_back(app: Buraq, redis: Redis) -> None:
    ran: list[int] = []
    ended = Event()

    @app.task(name="t")
    def note(n: int) -> None:
        ran.append(n)
        ended.set()

    worker = Worker(app, name="w~00000001", concurrency=4)
    worker.start()
    try:
        note.enqueue(1)
        assert ended.wait(PATIENT)
        Pauses(app.backend).pause("default")
        with gevent.Timeout(PATIENT):
            while worker.fetcher.open:
                gevent.sleep(0.01)
        ended.clear()
        note.enqueue(2)
        worker.control.step()
        assert ran == [1]
        Pauses(app.backend).resume("default")
        assert ended.wait(PATIENT)
        assert ran == [1, 2]
    finally:
        worker.stop(1.0)
