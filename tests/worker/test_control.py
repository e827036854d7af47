"""Control keeps a process up to date: its queues, its task types, its figures."""

import time

import pytest
from redis import Redis

from buraq.app import Buraq
from buraq.worker.worker import Worker
from tests.proxy import Proxy
from tests.worker.parts import Counters


def worker_of(app: Buraq, *queues: str) -> Worker:
    worker = Worker(app, queues=queues, name="w~00000001")
    worker.lease.brokers = tuple(app.backend.broker(name) for name in worker.queues_now())
    assert worker.lease.renew()
    return worker


def queues_of(worker: Worker) -> list[str]:
    return [broker.keys.name for broker in worker.lease.brokers]


def test_a_worker_consumes_the_queues_that_its_task_functions_name(app: Buraq, redis: Redis) -> None:
    app.task(name="a", queue="mail")(lambda: None)
    app.task(name="b")(lambda: None)

    assert queues_of(worker_of(app)) == ["default", "mail"]


def test_a_queue_that_appears_later_is_consumed(app: Buraq, redis: Redis) -> None:
    worker = worker_of(app)
    app.enqueue("t", queue="new")

    worker.control.step()

    assert queues_of(worker) == ["default", "new"]
    worker.lease.renew()
    assert worker.lease.epoch == 0


def test_a_worker_that_was_given_queues_consumes_only_those(app: Buraq, redis: Redis) -> None:
    worker = worker_of(app, "mail")
    app.enqueue("t", queue="new")

    worker.control.step()

    assert queues_of(worker) == ["mail"]


def test_the_queues_of_a_worker_exist_from_its_start(app: Buraq, redis: Redis) -> None:
    worker_of(app, "mail").control.step()

    assert redis.smembers("buraq_tasks:queues") == {"mail"}


def test_after_flushall_the_queues_and_types_are_written_again(app: Buraq, redis: Redis) -> None:
    app.task(name="t")(lambda: None)
    worker = worker_of(app)
    worker.control.step()
    redis.flushall()

    worker.control.step()
    assert queues_of(worker) == ["default"]

    worker.control._types_written -= 6
    worker.control.step()
    assert redis.smembers("buraq_tasks:queues") == {"default"}
    assert redis.zrange("buraq_tasks:types", 0, -1) == ["t"]


def test_task_types_live_for_as_long_as_somebody_says_so(app: Buraq, redis: Redis) -> None:
    app.task(name="known")(lambda: None)
    worker = worker_of(app)
    keys = app.backend.broker("default").keys
    worker.control.step()

    assert worker.control.type_lives(keys, "known")
    assert not worker.control.type_lives(keys, "nobody's")

    redis.zadd(keys.types, {"known": time.time() * 1000 - 1})
    assert not worker.control.type_lives(keys, "known")


def test_a_type_may_live_while_nobody_can_be_asked(redis: Redis, proxy: Proxy) -> None:
    app = Buraq(redis_url=proxy.url)
    worker = Worker(app)
    proxy.refuse()

    assert worker.control.type_lives(app.backend.broker("default").keys, "t")


def test_a_type_may_live_while_the_server_refuses_to_say(app: Buraq, redis: Redis) -> None:
    worker = worker_of(app)
    keys = app.backend.broker("default").keys
    redis.set(keys.types, "no set")  # as BUSY, while somebody's script runs

    assert worker.control.type_lives(keys, "t")


def test_a_dead_type_is_forgotten_in_the_end(app: Buraq, redis: Redis) -> None:
    app.task(name="t")(lambda: None)
    keys = app.backend.broker("default").keys
    redis.zadd(keys.types, {"long-gone": time.time() * 1000 - 600_000})

    worker_of(app).control.step()

    assert redis.zrange(keys.types, 0, -1) == ["t"]


def test_figures_are_handed_over(app: Buraq, redis: Redis, count: Counters) -> None:
    app.task(name="t")(lambda: None)
    worker = worker_of(app)
    worker.metrics.completed("t", 0.1, 0.1)

    worker.control.step()

    assert count("tasks_processed_total", task_type="t", status="success") == 1


def test_figures_are_handed_over_while_the_server_is_away(redis: Redis, proxy: Proxy, count: Counters) -> None:
    app = Buraq(redis_url=proxy.url)
    app.task(name="t")(lambda: None)
    worker = Worker(app)
    worker.metrics.completed("t", 0.1, 0.1)
    proxy.refuse()

    assert not worker.control.attempt()

    assert count("tasks_processed_total", task_type="t", status="success") == 1


def test_a_lease_thread_that_ended_by_itself_is_found(app: Buraq, redis: Redis) -> None:
    worker = worker_of(app)
    worker.lease._done = True

    with pytest.raises(RuntimeError, match="lease"):
        worker.control.step()
