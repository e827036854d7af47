"""The lease says that a process is alive, whatever its greenlets are doing."""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from redis import Redis

from buraq.app import Buraq
from buraq.connection import Server as Connections
from buraq.keys import QueueKeys
from buraq.worker.executor import run_task
from buraq.worker.facts import Facts
from buraq.worker.lease import Lease, leases_of
from tests.proxy import Proxy
from tests.worker.parts import PATIENT, delivery_of, lapse, raw_task, read

NAME = "w~00000001"


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


def lease_on(app: Buraq, *queues: str, server: Connections | None = None, ttl: float = 10.0, **options: Any) -> Lease:
    """Return a lease that was not renewed yet."""
    facts = options.pop("facts", lambda: {"status": "active"})
    lease = Lease(server or app.backend.server, NAME, ttl, facts, **options)
    lease.brokers = tuple(app.backend.broker(queue) for queue in queues or ("default",))
    return lease


@pytest.fixture
def threaded(app: Buraq) -> Iterator[Callable[..., Lease]]:
    """Return leases that their thread renews: `threaded(ttl=1.0)`. They are stopped in the end."""
    made: list[Lease] = []

    def start(**options: Any) -> Lease:
        lease = lease_on(app, **options)
        made.append(lease)
        lease.start()
        with gevent.Timeout(PATIENT):
            while not lease.valid:
                lease.hub_turned = time.monotonic()
                gevent.sleep(0.01)
        return lease

    yield start
    for lease in made:
        lease.stop()
        with gevent.Timeout(PATIENT):
            while not lease.stopped:
                gevent.sleep(0.01)


# -- renewing


def test_a_renewal_writes_lease_and_facts_on_each_queue(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app, "default", "mail")
    assert not lease.valid

    assert lease.renew()

    now_ms = time.time() * 1000
    for queue in ("default", "mail"):
        keys = app.backend.broker(queue).keys
        assert 9_000 < redis.zscore(keys.leases, NAME) - now_ms <= 10_100
        assert redis.hget(keys.worker(NAME), "status") == "active"
    assert lease.valid
    assert lease.covered == lease.brokers


def test_renewals_in_a_row_are_counted(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app)
    assert [lease.renew() and lease.held for _ in range(3)] == [1, 2, 3]
    assert lease.epoch == 0, "the first one is no lapse"


def test_a_lease_that_lapsed_begins_a_new_epoch(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    lease = lease_on(app)
    lease.renew()
    lease.renew()

    lapse(redis, lease)
    lease.renew()

    assert (lease.epoch, lease.held, lease.valid) == (1, 1, True)


def test_a_lease_that_is_gone_after_flushall_begins_a_new_epoch(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app)
    lease.renew()

    redis.flushall()
    lease.renew()

    assert (lease.epoch, lease.held) == (1, 1)


def test_a_lapse_on_one_queue_of_two_is_one(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app, "default", "mail")
    lease.renew()

    redis.zrem(app.backend.broker("mail").keys.leases, NAME)
    lease.renew()

    assert lease.epoch == 1


def test_a_queue_that_is_added_later_is_no_lapse(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app)
    lease.renew()
    lease.brokers = (*lease.brokers, app.backend.broker("mail"))
    assert len(lease.covered) == 1

    lease.renew()

    assert lease.epoch == 0
    assert [broker.keys.name for broker in lease.covered] == ["default", "mail"]


def test_a_lease_is_valid_from_before_its_renewal_was_sent_by_our_own_clock(app: Buraq, redis: Redis) -> None:
    clock = Clock()

    def slow() -> dict[str, Any]:
        clock.now += 4.0
        return {}

    lease = lease_on(app, clock=clock, facts=slow)
    lease.renew()

    clock.now = 1009.9
    assert lease.valid
    clock.now = 1010.0
    assert not lease.valid


def test_it_knows_how_far_the_server_s_clock_is_ahead(app: Buraq, redis: Redis) -> None:
    lease = lease_on(app)
    lease.renew()

    assert abs(lease.clock_ahead_ms) < 1000


# -- the server is away, or refuses


def test_while_the_server_is_away_the_lease_runs_out_and_comes_back(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    clock = Clock()
    lease = lease_on(app, server=Connections.from_url(proxy.url), clock=clock)
    assert lease.renew()
    proxy.refuse()

    assert not lease.renew()
    assert (lease.reachable, lease.valid) == (False, True)
    clock.now += 10
    assert not lease.valid

    proxy.accept()
    assert lease.renew()
    assert (lease.reachable, lease.valid, lease.epoch) == (True, True, 0), "on the server it had not lapsed"


def test_an_outage_longer_than_the_lease_begins_a_new_epoch(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    lease = lease_on(app, server=Connections.from_url(proxy.url))
    lease.renew()
    lease.renew()
    proxy.refuse()
    assert not lease.renew()
    lapse(redis, lease)

    proxy.accept()
    lease.renew()

    assert (lease.epoch, lease.held) == (1, 1), "held for one renewal only: it may not reclaim yet"


def test_a_server_that_does_not_answer_is_not_waited_for_longer_than_a_third_of_the_lease(
    app: Buraq, redis: Redis, proxy: Proxy
) -> None:
    lease = lease_on(app, server=Connections.from_url(proxy.url), ttl=1.0)
    lease.renew()
    proxy.hit_next("stall")

    began = time.monotonic()
    assert not lease.renew()

    assert time.monotonic() - began < 0.9
    proxy.heal()
    assert lease.renew()


def test_a_full_server_still_renews(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    lease = lease_on(app)
    lease.renew()
    redis.zadd(keys.leases, {NAME: time.time() * 1000 + 2_000})
    before = redis.zscore(keys.leases, NAME)
    redis.config_set("maxmemory", 1)
    try:
        assert lease.renew()
    finally:
        redis.config_set("maxmemory", 0)

    assert redis.zscore(keys.leases, NAME) > before + 5_000
    assert lease.epoch == 0


def test_a_renewal_that_the_server_refuses_is_none(
    app: Buraq, redis: Redis, keys: QueueKeys, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(keys.leases, "a key of the wrong type")
    lease = lease_on(app)

    assert not lease.renew()
    lease.log_reports()

    assert not lease.valid
    assert [record.getMessage() for record in caplog.records] == ["lease refused"]


def test_a_name_that_is_no_lease_of_ours_can_be_read() -> None:
    assert leases_of([b"w~1", b"1000", b"w~2", b"2000.5"]) == {"w~1": 1000.0, "w~2": 2000.5}
    assert leases_of([b"\xff", b"1"])


# -- the thread


def burn(seconds: float) -> None:
    """Compute, and let no greenlet run."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


def as_task(app: Buraq, function: Callable[[], None], task_id: str = "guilty") -> None:
    """Run a function as a slot runs a task."""
    delivery = read(delivery_of(raw_task(task_id, "burner")))
    run_task(delivery, app, app.task(name="burner")(function), {})


def test_the_lease_holds_while_a_task_burns_cpu_for_three_leases_and_the_task_is_named(
    app: Buraq, redis: Redis, keys: QueueKeys, threaded: Callable[..., Lease], caplog: pytest.LogCaptureFixture
) -> None:
    lease = threaded(ttl=1.0)
    lease.hub_turned = time.monotonic()
    held = lease.held

    as_task(app, lambda: burn(3.0))

    assert lease.valid
    assert redis.zscore(keys.leases, NAME) > time.time() * 1000
    assert lease.epoch == 0
    assert lease.held >= held + 5
    assert lease.blocked > 2.0
    lease.log_reports()
    # On a busy machine the hub may have been late before the task began: that names no task.
    [record] = [record for record in caplog.records if getattr(record, "task_type", "none") != "none"]
    said: Any = record
    assert (said.levelno, said.task_type, said.task_id) == (logging.WARNING, "burner", "guilty")
    assert "test_lease.py:" in said.at
    assert 0.2 < said.seconds < 2.5, "said while it lasts"


def test_past_max_blocked_the_lease_is_let_go_and_taken_again_when_the_hub_turns(
    app: Buraq, redis: Redis, keys: QueueKeys, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=1.0, max_blocked=0.5)
    lease.hub_turned = time.monotonic()

    burn(2.0)

    assert not lease.valid
    assert redis.zscore(keys.leases, NAME) < time.time() * 1000
    with gevent.Timeout(PATIENT):
        while not lease.valid:
            lease.hub_turned = time.monotonic()
            gevent.sleep(0.01)
    assert lease.epoch == 1


def test_a_hub_that_turns_is_not_reported(threaded: Callable[..., Lease]) -> None:
    lease = threaded(ttl=1.0)
    for _ in range(20):
        lease.hub_turned = time.monotonic()
        gevent.sleep(0.02)

    assert lease.blocked == 0.0


def blocked_for(lease: Lease, clock: Clock, seconds: float) -> None:
    lease.hub_turned = clock.now
    clock.now += seconds
    lease.watch_hub()


def test_a_type_is_blamed_once_a_minute(app: Buraq, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    lease = lease_on(app, clock=clock)
    for _ in range(3):
        blocked_for(lease, clock, 4)
    lease.log_reports()
    assert len(caplog.records) == 1

    clock.now += 60
    blocked_for(lease, clock, 4)
    lease.log_reports()
    assert len(caplog.records) == 2


def test_a_hub_that_does_not_turn_again_is_reported_by_the_thread_itself(
    app: Buraq, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    lease = lease_on(app, clock=clock)
    blocked_for(lease, clock, 1)
    assert capfd.readouterr().err == ""
    clock.now += 5
    lease.watch_hub()
    said = ""
    with gevent.Timeout(PATIENT):
        while "hub blocked" not in said:
            gevent.sleep(0.01)
            said += capfd.readouterr().err


def test_a_queue_that_is_added_is_covered_without_waiting_for_the_next_renewal(
    app: Buraq, redis: Redis, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=10.0)
    began = time.monotonic()

    lease.brokers = (*lease.brokers, app.backend.broker("mail"))
    with gevent.Timeout(PATIENT):
        while lease.covered != lease.brokers:
            lease.hub_turned = time.monotonic()
            gevent.sleep(0.01)

    assert time.monotonic() - began < 2.0


def test_the_thread_comes_back_after_the_server_was_away(
    app: Buraq, redis: Redis, keys: QueueKeys, proxy: Proxy, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=1.0, server=Connections.from_url(proxy.url))
    proxy.refuse()
    with gevent.Timeout(PATIENT):
        while lease.valid:
            lease.hub_turned = time.monotonic()
            gevent.sleep(0.02)

    proxy.accept()
    with gevent.Timeout(5):
        while not lease.valid:
            lease.hub_turned = time.monotonic()
            gevent.sleep(0.02)

    assert lease.reachable
    assert lease.epoch <= 1


def test_what_a_process_says_of_itself_is_read_not_invented() -> None:
    facts = Facts(slots=7, in_flight=lambda: 3)
    burn(0.05)
    said = facts.read()

    assert (said["slots"], said["in_flight"], said["status"]) == (7, 3, "active")
    assert float(said["cpu"]) > 10
    assert float(said["memory_mb"]) > 5
    assert said["pid"] and said["host"]


def test_an_outage_is_said_once_and_then_every_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    nowhere = Buraq(redis_url="redis://127.0.0.1:1/0")
    lease = Lease(nowhere.backend.server, NAME, 10.0, dict, clock=clock)
    lease.brokers = (nowhere.backend.broker("default"),)
    for _ in range(12):
        assert not lease.renew()
        clock.now += 0.5
    lease.log_reports()
    assert [record.getMessage() for record in caplog.records] == ["lease not renewed"] * 2
