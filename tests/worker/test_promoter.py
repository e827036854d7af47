"""Due tasks go to their streams, in time."""

import time

import gevent
import pytest
import ujson
from redis import Redis
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.broker import PROMOTE_BATCH
from buraq.keys import QueueKeys
from buraq.worker.promoter import Promoter
from tests.servers import eventually
from tests.worker.parts import PATIENT, raw_task, waiting


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


def promoter_of(app: Buraq, *queues: str) -> Promoter:
    brokers = tuple(app.backend.broker(queue) for queue in queues or ("default",))
    return Promoter(app.backend.server.shared, lambda: brokers)


def test_what_is_due_goes_to_the_stream_of_its_priority_and_the_rest_stays(
    app: Buraq, redis: Redis, keys: QueueKeys
) -> None:
    app.enqueue("t", id="high", delay=0.05, priority="high")
    app.enqueue("t", id="low", delay=0.05, priority="low")
    app.enqueue("t", id="later", delay=3600)
    gevent.sleep(0.06)

    promoter_of(app).step()

    assert waiting(redis, keys) == {"h": ["high"], "l": ["low"]}
    assert redis.zrange(keys.scheduled, 0, -1) == redis.hkeys(keys.tasks) == ["later"]


def test_a_queue_that_refuses_holds_up_no_other_and_is_said(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    for queue in ("mail", "default"):
        app.enqueue("t", id=queue, delay=0.001, queue=queue)
    redis.set(app.backend.broker("mail").keys.streams["n"], "a text")
    gevent.sleep(0.01)
    promoter = promoter_of(app, "mail", "default")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        promoter.step()

    assert waiting(redis, keys) == {"n": ["default"]}
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        promoter.step()
    assert promoter.quiet_rounds == 0, "a burst has not worked off what is due there"


def test_the_next_step_is_when_the_next_task_is_due(app: Buraq, redis: Redis) -> None:
    promoter = promoter_of(app)

    def before_it_was_due() -> bool:  # unless the machine stood still
        app.enqueue("t", delay=0.09)
        promoter.step()
        return promoter.interval < 0.1

    eventually(before_it_was_due)

    assert 0 < promoter.interval <= 0.09


def test_it_looks_again_after_a_tenth_of_a_second_at_the_latest(app: Buraq, redis: Redis) -> None:
    promoter = promoter_of(app)
    promoter.step()
    assert promoter.interval == 0.1

    app.enqueue("t", delay=60)
    promoter.step()
    assert promoter.interval == 0.1


def test_after_a_full_batch_it_looks_again_at_once(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    for n in range(PROMOTE_BATCH + 1):
        redis.zadd(keys.scheduled, {f"t{n}": 1})
        redis.hset(keys.tasks, f"t{n}", raw_task(f"t{n}"))
    promoter = promoter_of(app)

    promoter.step()
    assert (promoter.interval, redis.zcard(keys.scheduled)) == (0, 1)

    promoter.step()
    assert (promoter.interval, redis.zcard(keys.scheduled)) == (0.1, 0)


def test_a_task_starts_its_way_when_it_is_due_and_not_before(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    promoter = promoter_of(app)
    run = gevent.spawn(promoter.run)
    due = {}
    for n in range(5):
        due[f"t{n}"] = time.time() + 0.05 + n * 0.07
        app.enqueue("t", id=f"t{n}", at=due[f"t{n}"])
    with gevent.Timeout(PATIENT):
        while redis.zcard(keys.scheduled):
            gevent.sleep(0.01)
    promoter.stop()
    run.join(PATIENT)

    for entry, body in redis.xrange(keys.streams["n"]):
        task_id = ujson.loads(body["payload"])["id"]
        late = int(entry.split("-")[0]) / 1000 - due[task_id]
        assert -0.002 <= late < PATIENT, task_id  # how late it may look is tested above, without a clock


def test_all_queues_are_promoted(app: Buraq, redis: Redis) -> None:
    for queue in ("default", "mail"):
        app.enqueue("t", id=queue, queue=queue, delay=0.01)
    gevent.sleep(0.02)

    promoter_of(app, "default", "mail").step()

    assert [waiting(redis, app.backend.broker(queue).keys) for queue in ("default", "mail")] == [
        {"n": ["default"]},
        {"n": ["mail"]},
    ]


def test_two_promoters_at_once_promote_each_task_once(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    count = 3 * PROMOTE_BATCH
    for n in range(count):
        redis.zadd(keys.scheduled, {f"t{n}": 1})
        redis.hset(keys.tasks, f"t{n}", raw_task(f"t{n}"))
    promoters = [promoter_of(app), promoter_of(Buraq(redis_url=app.config.redis_url))]

    def work(promoter: Promoter) -> None:
        while redis.zcard(keys.scheduled):
            promoter.step()

    gevent.joinall([gevent.spawn(work, promoter) for promoter in promoters], raise_error=True)

    assert sorted(waiting(redis, keys)["n"]) == sorted(f"t{n}" for n in range(count))


def test_nothing_is_written_when_nothing_is_due(app: Buraq, redis: Redis) -> None:
    promoter = promoter_of(app)

    promoter.step()

    assert redis.keys("*") == []
    assert promoter.quiet_rounds == 1
