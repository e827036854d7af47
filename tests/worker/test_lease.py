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
from buraq.worker.board import Board, Row
from buraq.worker.facts import Facts
from buraq.worker.guard import Guard
from buraq.worker.lease import Lease, leases_of
from buraq.worker.reports import Reports
from buraq.worker.rights import Rights
from tests.proxy import Proxy
from tests.servers import Server
from tests.worker.parts import PATIENT, burn, lapse

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


def turn_until(lease: Lease, done: Callable[[], bool]) -> None:
    """Let the hub turn until something has happened."""
    with gevent.Timeout(PATIENT):
        while not done():
            lease.guard.turn()
            gevent.sleep(0.01)


@pytest.fixture
def threaded(app: Buraq) -> Iterator[Callable[..., Lease]]:
    """Return leases that their thread renews: `threaded(ttl=1.0)`. They are stopped in the end."""
    made: list[Lease] = []

    def start(
        *queues: str,
        max_blocked: float = 60.0,
        row: Row | None = None,
        until: Callable[[Lease], bool] = lambda lease: lease.valid,
        **options: Any,
    ) -> Lease:
        lease = lease_on(app, *queues, guard=Guard(Reports(NAME), max_blocked, row=row), **options)
        made.append(lease)
        lease.start()
        turn_until(lease, lambda: until(lease))
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
    before_ms = time.time() * 1000

    assert lease.renew()

    after_ms = time.time() * 1000
    for queue in ("default", "mail"):
        keys = app.backend.broker(queue).keys
        assert before_ms - 2 <= redis.zscore(keys.leases, NAME) - 10_000 <= after_ms + 2
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

    assert abs(lease.clock_ahead_ms) < 60_000  # half of what the way to the server took counts as well


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
    lease = lease_on(app, server=Connections.from_url(proxy.url), ttl=6.0)
    lease.renew()
    proxy.hit_next("stall")

    began = time.monotonic()
    assert not lease.renew()

    assert time.monotonic() - began < 6.0, "there is time for another try"
    proxy.heal()
    assert lease.renew()


def test_a_full_server_still_renews(app: Buraq, redis: Redis, keys: QueueKeys) -> None:
    lease = lease_on(app)
    lease.renew()
    redis.zadd(keys.leases, {NAME: time.time() * 1000 + 5_000})
    before = redis.zscore(keys.leases, NAME)
    redis.config_set("maxmemory", 1)
    try:
        assert lease.renew()
    finally:
        redis.config_set("maxmemory", 0)

    assert redis.zscore(keys.leases, NAME) > before + 4_000
    assert lease.epoch == 0


def test_a_renewal_that_the_server_refuses_is_none(
    app: Buraq, redis: Redis, keys: QueueKeys, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(keys.leases, "a key of the wrong type")
    lease = lease_on(app)

    assert not lease.renew()
    lease.reports.log()

    assert not lease.valid
    assert [record.getMessage() for record in caplog.records] == ["lease refused"]


def test_a_connection_that_the_server_refuses_is_none(
    app: Buraq, redis: Redis, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    lease = lease_on(app, server=Connections.from_url(f"{server.url.rpartition('/')[0]}/9999"))

    assert [lease.renew(), lease.renew()] == [False, False]
    lease.reports.log()

    assert not lease.valid
    [record] = caplog.records
    assert record.getMessage() == "lease refused"
    assert "DB index" in record.__dict__["error"]


def test_a_name_that_is_no_lease_of_ours_can_be_read() -> None:
    assert leases_of([b"w~1", b"1000", b"w~2", b"2000.5"]) == {"w~1": 1000.0, "w~2": 2000.5}
    assert leases_of([b"\xff", b"1"])


@pytest.fixture
def guest(server: Server, redis: Redis) -> Iterator[str]:
    """A user who may do all, but nothing with the queue `zoo`: its name and password."""
    keys = ("resetkeys", "~buraq_tasks", "~buraq_tasks_*", "~buraq_tasks:[^z]*", "~idemp:*")
    redis.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "+@all", "&*", *keys)
    yield "guest:secret"
    redis.execute_command("ACL", "DELUSER", "guest")


@pytest.mark.parametrize(("at_start", "later"), [(["default"], ["default", "zoo"]), (["default", "zoo"], [])])
def test_a_denied_queue_is_left_out_unless_it_is_one_of_the_start_when_the_first_renewal_fails_too(
    app: Buraq,
    redis: Redis,
    proxy: Proxy,
    guest: str,
    threaded: Callable[..., Lease],
    at_start: list[str],
    later: list[str],
) -> None:
    away = Connections.from_url(f"redis://{guest}@127.0.0.1:{proxy.port}/0")
    proxy.refuse()
    lease = threaded(*at_start, server=away, rights=Rights(app.backend.names), until=lambda lease: not lease.reachable)
    lease.brokers = tuple(app.backend.broker(queue) for queue in later or at_start)

    proxy.accept()
    turn_until(lease, lambda: lease.valid or bool(lease.denied))

    assert [broker.keys.name for broker in lease.covered] == (["default"] if later else [])
    assert bool(lease.denied) == (not later)


# -- the thread


def test_the_lease_holds_while_a_task_burns_cpu_for_two_leases(
    redis: Redis, keys: QueueKeys, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=3.0)
    held = lease.held

    burn(6.5)

    assert lease.valid
    assert redis.zscore(keys.leases, NAME) > time.time() * 1000
    assert lease.epoch == 0
    assert lease.held >= held + 5


def test_the_board_shows_until_when_the_lease_holds_and_that_the_thread_looks(
    app: Buraq, redis: Redis, proxy: Proxy, threaded: Callable[..., Lease]
) -> None:
    row = Board().free_row()
    lease = threaded(ttl=5.0, row=row, server=Connections.from_url(proxy.url))
    turn_until(lease, lambda: row.read().lease_until == lease.until)
    state = row.read()
    assert state.reachable
    assert 0 < state.lease_until - time.monotonic() <= 5.0

    proxy.refuse()
    turn_until(lease, lambda: not row.read().reachable)
    assert row.read().looked > state.looked


def test_past_max_blocked_the_lease_is_let_go_and_taken_again_when_the_hub_turns(
    redis: Redis, keys: QueueKeys, threaded: Callable[..., Lease], caplog: pytest.LogCaptureFixture
) -> None:
    lease = threaded(ttl=1.0, max_blocked=0.5)

    burn(2.0)

    assert not lease.valid
    assert redis.zscore(keys.leases, NAME) < time.time() * 1000
    turn_until(lease, lambda: lease.valid)
    assert lease.epoch >= 1
    lease.reports.log()
    *_, said = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said.getMessage() == "lease let go: the hub has been blocked past MAX_BLOCKED"
    assert said.at.endswith(" burn")  # type: ignore[attr-defined]


def test_a_queue_that_is_added_is_covered_without_waiting_for_the_next_renewal(
    app: Buraq, redis: Redis, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=300.0)

    lease.brokers = (*lease.brokers, app.backend.broker("mail"))
    turn_until(lease, lambda: lease.covered == lease.brokers)


def test_the_thread_comes_back_after_the_server_was_away(
    app: Buraq, redis: Redis, keys: QueueKeys, proxy: Proxy, threaded: Callable[..., Lease]
) -> None:
    lease = threaded(ttl=1.0, server=Connections.from_url(proxy.url))
    proxy.refuse()
    turn_until(lease, lambda: not lease.valid)

    proxy.accept()
    turn_until(lease, lambda: lease.valid)

    assert lease.reachable
    assert lease.epoch <= 1


def test_what_a_process_says_of_itself_is_read_not_invented() -> None:
    facts = Facts(slots=7, in_flight=lambda: 3)
    until = time.process_time() + 0.05
    while time.process_time() < until:
        burn(0.01)
    said = facts.read()

    assert (said["slots"], said["in_flight"], said["status"]) == (7, 3, "active")
    assert float(said["cpu"]) > 0
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
    lease.reports.log()
    assert [record.getMessage() for record in caplog.records] == ["lease not renewed"] * 2


def test_a_queue_whose_leases_were_overwritten_costs_no_other_its_lease_and_has_one_again_when_the_key_is_moved_away(
    app: Buraq, redis: Redis
) -> None:
    clock = Clock()
    lease, mail = lease_on(app, "default", "mail", clock=clock), app.backend.broker("mail").keys
    lease.renew()
    redis.set(mail.leases, "of the wrong type")
    clock.now += 9.0

    assert lease.renew()

    clock.now += 9.0
    assert lease.valid
    assert (lease.complete, lease.overwritten) == (True, {"mail"})
    assert [broker.keys.name for broker in lease.covered] == ["default"]

    redis.delete(mail.leases)
    assert lease.renew()
    assert (lease.covered, lease.overwritten) == (lease.brokers, frozenset())

    for broker in lease.brokers:
        redis.set(broker.keys.leases, "of the wrong type")
    assert not lease.renew()
