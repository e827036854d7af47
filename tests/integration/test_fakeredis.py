"""Code that uses Buraq can be tested with a server in memory."""

import time

import fakeredis
import pytest
import ujson

from buraq.app import Buraq
from buraq.deadletters import DeadLetters
from buraq.errors import EnqueueError
from buraq.inspector import Inspector
from buraq.task import Dead, Delivery, decode


@pytest.fixture(params=[fakeredis.FakeRedis, fakeredis.FakeStrictRedis, fakeredis.FakeRedis.from_url])
def redis(request: pytest.FixtureRequest) -> fakeredis.FakeRedis:
    """A client of a server of its own, in the ways in which fakeredis makes one."""
    if request.param == fakeredis.FakeRedis.from_url:
        return request.param("redis://in.memory:6379/3", server=fakeredis.FakeServer())
    return request.param(server=fakeredis.FakeServer())


@pytest.fixture
def app(redis: fakeredis.FakeRedis) -> Buraq:
    return Buraq(client=redis)


def bury_all(app: Buraq, redis: fakeredis.FakeRedis, reason: str) -> None:
    """Fetch what waits, as a worker does, and give it up."""
    broker = app.backend.broker("default")
    link = app.backend.server.shared
    link.commands(broker.group_commands())
    [reply] = link.commands([("XREADGROUP", "GROUP", broker.group, "w1", "STREAMS", broker.keys.base, ">")])
    deliveries = [Delivery(broker.keys, "n", entry, fields, 0) for entry, fields in reply[0][1]]
    for delivery in deliveries:
        delivery.task, delivery.outcome = decode(delivery.raw or b""), Dead(reason)
        delivery.note = '"worker_id":"w1-0"'
    link.call(broker.settle(deliveries, "w1", 1))


def test_a_task_is_enqueued_where_the_client_sees_it(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    @app.task
    def greet(name: str) -> None: ...

    handle = greet.enqueue("ada")

    [(_, fields)] = redis.xrange("buraq_tasks")
    assert ujson.loads(fields[b"payload"])["payload"] == {"name": "ada"}
    assert handle.state() == "waiting"
    assert redis.smembers("buraq_tasks:queues") == {b"default"}


def test_a_task_is_enqueued_once_by_id_and_by_key(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    first = app.enqueue("t", id="a", idempotency_key="k")
    same_id = app.enqueue("t", id="a")
    same_key = app.enqueue("t", id="b", idempotency_key="k")

    assert [(h.id, h.created) for h in (first, same_id, same_key)] == [("a", True), ("a", False), ("a", False)]
    assert redis.xlen("buraq_tasks") == 1


def test_a_delayed_task_is_scheduled_and_taken_back(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    handle = app.enqueue("t", delay=60, idempotency_key="k")
    assert handle.state() == "scheduled"

    assert handle.cancel()

    assert handle.state() is None
    assert not handle.cancel()
    assert redis.zcard("buraq_tasks:scheduled") == 0
    assert app.enqueue("t", idempotency_key="k").created


def test_a_waiting_task_is_taken_back(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    handle = app.enqueue("t", queue="mail")

    assert handle.cancel()

    assert redis.xlen("buraq_tasks:mail") == 0


def test_a_result_is_read(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    handle = app.enqueue("t", id="a")
    with pytest.raises(TimeoutError, match="task a left no result within 0s; its state is waiting"):
        handle.result()

    redis.set("buraq_tasks:result:a", '{"n":1}')

    assert handle.result() == {"n": 1}


def test_dead_letters_are_listed_and_get_another_life(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    handles = [app.enqueue("t", {"n": n}, id=f"t{n}") for n in range(3)]
    bury_all(app, redis, "max_retries")
    assert [handle.state() for handle in handles] == ["dead"] * 3
    letters = DeadLetters(app.backend, "default")
    assert [(letter.reason, letter.task and letter.task.id) for letter in letters.all()] == [
        ("max_retries", f"t{n}") for n in range(3)
    ]

    assert letters.replay_all().replayed == 3

    assert len(letters) == 0
    assert [handle.state() for handle in handles] == ["waiting"] * 3
    assert Inspector(app.backend).counts("default").waiting == 3


def test_an_error_of_the_server_is_told(app: Buraq, redis: fakeredis.FakeRedis) -> None:
    redis.set("buraq_tasks:index", "not a hash")

    with pytest.raises(EnqueueError, match="WRONGTYPE"):
        app.enqueue("t")


def test_a_deadline_does_not_disturb_a_server_that_has_no_socket(app: Buraq) -> None:
    link = app.backend.server.link()
    link.command("PING")

    link.deadline = time.monotonic() + 1

    assert link.command("PING") == b"PONG"


def test_two_queues_with_servers_of_their_own_share_nothing() -> None:
    one, other = (Buraq(client=fakeredis.FakeRedis(server=fakeredis.FakeServer())) for _ in range(2))

    one.enqueue("t", id="a")

    assert other.enqueue("t", id="a").created


def test_a_queue_that_is_made_at_import_can_be_given_a_client_later(redis: fakeredis.FakeRedis) -> None:
    queue = Buraq(redis_url="redis://nowhere.invalid:1/0")
    queue.use(client=redis)
    assert queue.enqueue("mail").state() == "waiting"
