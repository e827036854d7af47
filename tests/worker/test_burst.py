"""A burst ends when all is worked off, and also when all that is left is what the server refuses."""

from collections import Counter
from collections.abc import Callable

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.errors import Reject
from buraq.worker.burst import Burst
from buraq.worker.worker import Worker
from tests.worker.parts import waiting

PATIENCE = 25.0


class Now:
    """A clock that stands still until it is moved."""

    time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("buraq_tasks:stock_dlq", "broken_keys"),  # refuses outcomes
        ("buraq_tasks:stock:scheduled", "error"),  # refuses what is due
        ("buraq_tasks:queues", "error"),  # does not say which queues there are
    ],
)
def test_a_burst_does_what_it_can_and_gives_up_when_nothing_but_refusals_happens(
    app: Buraq,
    redis: Redis,
    start: Callable[..., Worker],
    eventually: Callable[..., object],
    key: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs, stock = Counter[str](), app.backend.broker("stock").keys

    def right() -> None:
        runs["right"] += 1

    def wrong() -> None:
        runs["wrong"] += 1
        raise Reject("no")

    tasks = [app.task(name="right")(right), app.task(name="wrong", queue="stock")(wrong)]
    for task in tasks:
        task.enqueue_many([{}] * 3)
    redis.delete(key)
    redis.set(key, "of the wrong type")
    settled = 3 if key == stock.dlq else 6
    worker = start(app, burst=True, concurrency=10)
    now = Now()
    burst = Burst(worker, PATIENCE, now)

    eventually(
        lambda: not burst.over() and worker.worked == settled and not worker.slots.load and said in burst._refusals()
    )
    assert runs == {"right": 3, "wrong": 3}
    now.time += PATIENCE - 1
    assert not burst.over()
    now.time += 1
    assert burst.over()
    assert burst.gave_up

    burst.say()
    worker.stop(5.0)
    [line] = [record for record in caplog.records if record.msg == "burst ends without what Redis refuses"]
    assert (key if said == "broken_keys" else "WRONGTYPE") in getattr(line, said)
    if key == stock.dlq:
        assert line.outcomes == "stock:3"  # type: ignore[attr-defined]
        assert sum(map(len, waiting(redis, stock).values())) == 3, "the next worker runs them again"


def test_a_burst_waits_as_long_as_nothing_is_refused(app: Buraq) -> None:
    worker, now = Worker(app, burst=True), Now()
    burst = Burst(worker, PATIENCE, now)
    now.time += 1000.0
    assert not burst.over(), "the server may be away"

    worker.promoter.refused = ResponseError("WRONGTYPE")
    assert not burst.over()
    worker.worked += 1
    now.time += PATIENCE
    assert not burst.over(), "something has happened"
    now.time += PATIENCE
    assert burst.over()


def test_a_loop_knows_what_was_refused_in_its_last_step(app: Buraq) -> None:
    worker = Worker(app, burst=True)
    errors: list[Exception] = [ResponseError("WRONGTYPE"), ConnectionError("away")]

    def step() -> None:
        if errors:
            raise errors.pop(0)

    worker.promoter.step = step  # type: ignore[method-assign]
    seen = []
    for _ in range(3):
        worker.promoter.attempt()
        seen.append(str(worker.promoter.refused))
    assert seen == ["WRONGTYPE", "None", "None"]


@pytest.mark.parametrize("key", ["_suspects", ":leases"])
def test_a_burst_is_not_done_without_a_queue_that_was_overwritten(
    app: Buraq, redis: Redis, start: Callable[..., Worker], eventually: Callable[..., object], key: str
) -> None:
    runs = Counter[str]()

    def count(queue: str) -> None:
        runs[queue] += 1

    task = app.task(name="count")(count)
    for queue in ("default", "stock"):
        task.options(queue=queue).enqueue(queue)
    redis.set(f"buraq_tasks:stock{key}", "of the wrong type")
    worker = start(app, burst=True)
    burst = Burst(worker, PATIENCE)

    eventually(burst.over)

    assert burst.gave_up
    assert burst._left_out == {"stock"}
    assert runs == {"default": 1}
