"""The shortest runs in which a model of the protocol lost a task or ran one twice, once one of its rules was taken out.

Each is played here, step by step, by the real parts on a real server. Those that take but one part are played beside
its other tests: in tests/worker, tests/transitions and tests/integration/test_producer.py. docs/reliability.md has the
list.
"""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from redis import Redis

from buraq.app import Buraq
from buraq.config import Config
from buraq.connection import Server as Connections
from buraq.connection import Unreachable
from buraq.deadletters import DeadLetters
from buraq.scripts import load
from buraq.task import Completed, Dead, Delivery, Released
from buraq.worker.reclaimer import Reclaimer
from buraq.worker.worker import Worker, process_name
from tests.proxy import Proxy
from tests.servers import Server
from tests.worker.parts import (
    GROUP,
    PATIENT,
    Fetching,
    Settling,
    consumers,
    ids,
    lapse,
    lease_of,
    left,
    pending,
    waiting,
)

KEYED = {"idempotency_key": "k"}


class Process:
    """A worker process whose every step the test takes. It has ten slots, in which nothing ends by itself."""

    def __init__(self, app: Buraq, name: str, through: Proxy | None = None) -> None:
        self.app, self.name = app, name
        backend = app.backend
        server = Connections.from_url(through.url) if through else backend.server
        self.lease = lease_of(app, name=name)
        self.fetching = Fetching(app, self.lease, server=server)
        self.settling = Settling(app, name, self.fetching.holdings, server)
        self.reclaimer = Reclaimer(
            server.shared,
            self.lease,
            lambda: self.lease.covered,
            reclaimed=lambda again, buried: None,
            letters=lambda queue: DeadLetters(backend, queue),
            config=Config(),
        )
        self.fetching.step()

    @property
    def started(self) -> list[str]:
        return ids(self.fetching.dispatched)

    def takes(self) -> Delivery:
        """Fetch until something starts; return it."""
        with gevent.Timeout(PATIENT):
            while not (took := self.fetching.step()):
                pass
        assert len(took) == 1
        return self.fetching.dispatched[-1]

    def ends(self, delivery: Delivery, outcome: Any = None) -> None:
        """Settle an outcome, until it is sure."""
        self.settling.end(delivery, outcome or Completed())
        self.settling.all()

    def reclaims(self) -> None:
        self.lease.renew()
        assert self.lease.held >= 2
        self.reclaimer.step()


@pytest.fixture
def app(server: Server, redis: Redis) -> Buraq:
    return Buraq(redis_url=server.url)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def keys(app: Buraq) -> Any:
    return app.backend.broker("default").keys


def add(app: Buraq, task_id: str = "t1", **options: Any) -> bool:
    return app.enqueue("t", id=task_id, **options).created


def reads_normal(sent: bytes) -> bool:
    """Whether a request reads from the normal stream."""
    return b"XREADGROUP" in sent and b"\r\nburaq_tasks\r\n" in sent


def nothing_but_leases(redis: Redis, keys: Any) -> None:
    assert left(redis, keys).keys() <= {"leases", "facts", "consumers"}


# -- fetch, settle, reclaim


def test_a_group_made_anew_hands_out_what_runs_and_it_does_not_start_again(app, redis, keys, proxy):
    p0 = Process(app, "p~00000000", through=proxy)
    add(app)
    delivery = p0.takes()
    redis.xgroup_destroy(keys.streams["n"], GROUP)
    redis.xgroup_create(keys.streams["n"], GROUP, "0")
    rule = proxy.hit_next("stall", reads_normal)
    fetch = gevent.spawn(p0.fetching.step)
    assert rule.hit.wait(PATIENT)
    p0.ends(delivery)  # while the reply that names it is under way
    proxy.heal()
    fetch.join(PATIENT)

    assert p0.started == ["t1"]
    assert p0.settling.confirmed == [("t1", "committed")]
    nothing_but_leases(redis, keys)


def test_a_read_that_runs_after_its_process_died_and_was_tidied_away_orphans_nothing(app, redis, keys, proxy):
    p0, p1 = Process(app, "p~00000000", through=proxy), Process(app, "p~00000001")
    rule = proxy.hit_next("ghost", lambda sent: b"XREADGROUP" in sent)
    with pytest.raises(Unreachable):
        p0.fetching.step()
    assert rule.hit.is_set()
    lapse(redis, p0.lease)
    p1.reclaims()
    assert "p~00000000" not in consumers(redis, keys)
    redis.zrem(keys.leases, "p~00000000")
    add(app)
    proxy.release_ghosts()  # the server runs the read of a process that is long gone
    assert waiting(redis, keys) == {"n": ["t1"]}

    p1.reclaims()
    p1.ends(p1.takes())
    assert p1.started == ["t1"]
    nothing_but_leases(redis, keys)


def test_nobody_looks_at_what_is_pending_while_a_fetch_is_under_way(app, redis, keys, proxy, eventually):
    far, runs = Buraq(redis_url=proxy.url, lease_ttl="1s"), []
    far.task(name="t")(lambda: runs.append(1))
    worker = Worker(far, concurrency=5)
    rule = proxy.hit_next("stall", reads_normal)
    worker.start()
    try:
        assert rule.hit.wait(PATIENT)
        add(app)  # its blocking read, or the one before that, takes it, and the reply is held
        redis.config_resetstat()
        renewals = worker.lease.held
        eventually(lambda: worker.lease.held >= renewals + 6)  # two lease periods, in each of which it would look
        assert "cmdstat_xpending" not in redis.info("commandstats")
        proxy.heal()
        eventually(lambda: runs)
        eventually(lambda: not len(worker.holdings))
    finally:
        proxy.heal()
        worker.stop(PATIENT)
    assert runs == [1]
    nothing_but_leases(redis, keys)


@pytest.mark.parametrize("fault", ["cut_request", "cut_reply"])
def test_who_reclaims_and_dies_in_the_middle_of_it_holds_nothing(app, redis, keys, proxy, fault):
    p0, p1, p2 = Process(app, "p~00000000"), Process(app, "p~00000001", through=proxy), Process(app, "p~00000002")
    add(app)
    held = p0.takes()
    lapse(redis, p0.lease)
    redis.script_load(load("reclaim").source)  # else the first reply is that it is not there
    lost = proxy.hit_next(fault, lambda sent: load("reclaim").sha.encode() in sent and held.entry in sent)
    with pytest.raises(Unreachable):
        p1.reclaims()
    assert lost.hit.is_set()

    assert pending(redis, keys) == ({} if fault == "cut_reply" else {p0.name: 1})
    p1.reclaims()
    assert waiting(redis, keys) == {"f": ["t1"]}
    delivery = p2.takes()
    assert delivery.deaths == 1
    p2.ends(delivery)
    assert p1.started == []
    nothing_but_leases(redis, keys)


def test_what_a_lost_reply_brought_a_process_that_stops_is_handed_back_without_a_death(app, redis, keys, proxy):
    p0, p1 = Process(app, "p~00000000", through=proxy), Process(app, "p~00000001")
    add(app)
    proxy.hit_next("cut_reply", reads_normal)
    with pytest.raises(Unreachable):
        p0.fetching.step()
    p0.fetching.fetcher.leave()
    p1.reclaims()

    delivery = p1.takes()
    assert delivery.deaths == 0
    p1.ends(delivery)
    nothing_but_leases(redis, keys)


def test_after_an_outage_in_which_all_leases_ran_out_the_first_one_back_robs_nobody(app, redis, keys):
    p0, p1 = Process(app, "p~00000000"), Process(app, "p~00000001")
    add(app)
    delivery = p0.takes()
    for one in (p0, p1):
        lapse(redis, one.lease)
    p1.lease.renew()
    p1.reclaimer.step()  # held once only
    p0.lease.renew()
    p1.reclaims()

    assert p1.started == []
    p0.ends(delivery)
    assert p0.settling.confirmed == [("t1", "committed")]
    nothing_but_leases(redis, keys)


def test_what_was_fetched_before_a_lapse_and_has_not_started_is_of_an_older_epoch(app, redis, keys):
    p0, p1 = Process(app, "p~00000000"), Process(app, "p~00000001")
    add(app)
    delivery = p0.takes()
    lapse(redis, p0.lease)
    p1.reclaims()
    p0.lease.renew()

    assert delivery.epoch != p0.lease.epoch  # the slot that has it hands it back
    p1.ends(p1.takes())
    p0.ends(delivery, Released())
    assert p0.settling.confirmed == [("t1", "lost")]
    nothing_but_leases(redis, keys)


def test_of_a_lost_request_a_lapse_and_another_run_one_completion_is_counted(app, redis, keys, proxy):
    p0, p1 = Process(app, "p~00000000", through=proxy), Process(app, "p~00000001")
    add(app)
    delivery = p0.takes()
    proxy.hit_next("cut_request")
    p0.settling.end(delivery, Completed())
    with pytest.raises(Unreachable):
        p0.settling.settler.step()
    lapse(redis, p0.lease)
    p1.reclaims()
    p1.ends(p1.takes())
    p0.settling.all()

    assert p1.settling.confirmed == [("t1", "committed")]
    assert p0.settling.confirmed == [("t1", "unknown")]
    nothing_but_leases(redis, keys)


# -- enqueue


def test_a_lost_reply_asked_for_after_the_task_has_run_adds_it_no_second_time(app, redis, keys, proxy):
    far, p0 = Buraq(redis_url=proxy.url, enqueue_timeout=10), Process(app, "p~00000000")
    far.enqueue("t", id="first")  # connected, and known
    p0.ends(p0.takes())
    lost = proxy.hit_next("stall")
    enqueueing = gevent.spawn(far.enqueue, "t", id="t1")
    assert lost.hit.wait(PATIENT)
    p0.ends(p0.takes())
    proxy.cut_all()
    proxy.heal()

    assert enqueueing.get(timeout=PATIENT).id == "t1"
    assert p0.started == ["first", "t1"]
    assert p0.fetching.step() == []
    nothing_but_leases(redis, keys)


# -- idempotency keys


def test_a_refused_duplicate_leaves_no_row_that_a_later_enqueue_would_believe(app, redis, keys):
    assert add(app, "t1", **KEYED)
    assert not add(app, "t2", **KEYED)
    assert not redis.hexists(keys.index, "t2")
    assert add(app, "t2")


def test_a_dead_letter_whose_key_another_task_has_is_not_replayed_into_a_duplicate(app, redis, keys):
    p0 = Process(app, "p~00000000")
    add(app, "t1", **KEYED)
    p0.ends(p0.takes(), Dead("rejected", ""))
    assert add(app, "t2", **KEYED)

    assert DeadLetters(app.backend, "default").replay_all().replayed == 0
    assert redis.xlen(keys.dlq) == 1
    p0.ends(p0.takes())
    assert p0.started == ["t1", "t2"]


@pytest.mark.parametrize("next_id", ["t2", "t1"])
def test_a_cancelled_task_frees_its_key_for_another_and_for_itself(app, redis, keys, next_id):
    handle = app.enqueue("t", id="t1", **KEYED)
    assert handle.cancel()
    assert add(app, next_id, **KEYED)
    assert waiting(redis, keys) == {"n": [next_id]}


def test_a_replayed_task_runs_though_its_key_ran_out_and_another_took_it(app, redis, keys):
    p0 = Process(app, "p~00000000")
    add(app, "t1", **KEYED)
    p0.ends(p0.takes(), Dead("rejected", ""))
    assert DeadLetters(app.backend, "default").replay_all().replayed == 1
    redis.delete("idemp:k")  # its 24 hours are over
    assert add(app, "t2", **KEYED)

    assert p0.fetching.step() == ["t1", "t2"]
    assert [one.claimed for one in p0.fetching.dispatched[-2:]] == [True, True]  # neither is asked again at its start


def test_a_key_of_the_originals_is_taken_over_and_the_only_task_of_it_runs(app, redis, keys):
    redis.set("idemp:k", "1")
    assert add(app, "t1", **KEYED)
    assert redis.get("idemp:k") == "t1"


# -- names


def test_no_boot_of_a_process_has_the_name_of_another(app):
    """One that came back under its old name would adopt its guilty task as an ordinary one, again and again."""
    assert len({process_name("host") for _ in range(1000)}) == 1000
