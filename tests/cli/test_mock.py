"""Mock tasks: each type comes, none of them touches what is the user's own."""

import json
import random

import pytest
from redis import Redis

from buraq import Buraq
from buraq.keys import Names
from buraq.worker.mock import MockProducer, register
from tests.servers import Server


@pytest.fixture
def app(server: Server, redis: Redis) -> Buraq:
    return Buraq(redis_url=server.url)


def tasks(redis: Redis) -> list[dict[str, object]]:
    streams = Names().queue().by_priority
    found = [json.loads(fields["payload"]) for stream in streams for _, fields in redis.xrange(stream)]
    return sorted(found, key=lambda task: str(task["id"]))


def test_the_first_mock_tasks_are_one_of_each_type(app: Buraq, redis: Redis) -> None:
    register(app)
    producer = MockProducer(app)

    for _ in app.registry:
        producer.step()

    assert {task["type"] for task in tasks(redis)} == set(app.registry)
    assert len(app.registry) == 6


def test_what_comes_then_is_mixed_and_now_and_then_put_off(app: Buraq, redis: Redis) -> None:
    register(app)
    producer = MockProducer(app, rand=random.Random(1))

    for _ in range(100):
        producer.step()

    waiting, put_off = len(tasks(redis)), redis.zcard("buraq_tasks:scheduled")
    assert waiting + put_off == 100
    assert put_off > 0


def test_a_mock_mail_looks_like_the_originals(app: Buraq, redis: Redis) -> None:
    register(app)

    MockProducer(app).step()

    [task] = tasks(redis)
    assert task["type"] == "email_notification"
    assert set(task["payload"]) == {"user_id", "template"}


def test_a_task_type_of_the_users_own_is_neither_replaced_nor_fed(app: Buraq, redis: Redis) -> None:
    @app.task
    def email_notification(user_id: int, template: str) -> None:
        """Sends a real mail."""

    register(app)
    producer = MockProducer(app)
    for _ in range(30):
        producer.step()

    assert app.registry["email_notification"] is email_notification
    assert "email_notification" not in {task["type"] for task in tasks(redis)}


def test_the_producer_survives_a_server_that_is_away(app: Buraq) -> None:
    gone = Buraq(redis_url="redis://127.0.0.1:1/0", enqueue_timeout=0.05)
    register(gone)
    producer = MockProducer(gone)

    producer.attempt()

    assert producer.produced == 0
