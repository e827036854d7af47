"""The fetcher takes what free slots can start, from all queues, and knows all that is pending under its name."""

import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from redis import Redis
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.connection import Server as Connections
from buraq.connection import Unreachable
from buraq.keys import LETTERS, QueueKeys
from buraq.task import Completed
from buraq.worker.holdings import Company, Holdings
from buraq.worker.lease import Lease
from tests.proxy import Proxy
from tests.servers import Server
from tests.worker.parts import (
    BLOCK,
    GROUP,
    LONG,
    PATIENT,
    Fetching,
    Settling,
    ids,
    lapse,
    lease_of,
    pending,
    raw_task,
    waiting,
)

WORKER = "w~00000001"


@pytest.fixture
def lease(app: Buraq) -> Lease:
    return lease_of(app)


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


@pytest.fixture
def fetching(app: Buraq, lease: Lease) -> Fetching:
    """A fetcher with ten slots that has made its groups and found nothing."""
    fetching = Fetching(app, lease)
    fetching.step()
    return fetching


@pytest.fixture
def proxied(app: Buraq, lease: Lease, proxy: Proxy) -> Fetching:
    """The same, with a proxy before the server."""
    fetching = Fetching(app, lease, server=Connections.from_url(proxy.url))
    fetching.step()
    return fetching


def is_fetch(request: bytes) -> bool:
    return b"XREADGROUP" in request


def is_look(request: bytes) -> bool:
    return b"XPENDING" in request


def add(app: Buraq, *task_ids: str, queue: str = "default", priority: str = "normal") -> None:
    for task_id in task_ids:
        app.enqueue("t", id=task_id, queue=queue, priority=priority)


# -- how much, and from where


def test_no_more_is_fetched_than_slots_are_free(app: Buraq, redis: Redis, fetching: Fetching, keys: QueueKeys) -> None:
    add(app, *(f"t{n}" for n in range(30)))

    assert fetching.step() == [f"t{n}" for n in range(10)]
    assert pending(redis, keys) == {WORKER: 10}

    del fetching.dispatched[:4]
    assert fetching.step() == ["t10", "t11", "t12", "t13"]
    assert pending(redis, keys) == {WORKER: 14}


def test_without_a_free_slot_the_server_is_not_asked_and_a_slot_that_frees_ends_the_wait(
    app: Buraq, redis: Redis, fetching: Fetching
) -> None:
    add(app, *(f"t{n}" for n in range(11)))
    fetching.step()
    redis.config_resetstat()
    waiting_step = gevent.spawn(fetching.step)
    gevent.idle()
    assert "cmdstat_xreadgroup" not in redis.info("commandstats")

    fetching.dispatched.pop()
    fetching.fetcher.room.set()
    gevent.idle()

    assert waiting_step.ready(), "it would look by itself, but only after a second"
    assert fetching.step() == ["t10"]


@pytest.mark.parametrize("letter", LETTERS)
def test_each_stream_is_fetched_from(redis: Redis, fetching: Fetching, keys: QueueKeys, letter: str) -> None:
    redis.xadd(keys.streams[letter], {"payload": raw_task("t1")})

    assert fetching.step() == ["t1"]
    assert fetching.dispatched[0].letter == letter


def test_all_queues_are_fetched_from(app: Buraq, redis: Redis) -> None:
    fetching = Fetching(app, lease_of(app, "default", "mail", "bulk"))
    for queue in ("default", "mail", "bulk"):
        add(app, queue, queue=queue)

    assert sorted(fetching.step()) == ["bulk", "default", "mail"]
    assert {
        task: delivery.queue.name for task, delivery in zip(ids(fetching.dispatched), fetching.dispatched, strict=True)
    } == {
        "bulk": "bulk",
        "default": "default",
        "mail": "mail",
    }


def test_a_task_that_comes_while_the_fetcher_waits_is_taken_at_once(
    app: Buraq, redis: Redis, fetching: Fetching
) -> None:
    fetching.fetcher._block = LONG
    waiting_step = gevent.spawn(fetching.step)
    _blocked(redis)

    add(app, "t1")
    waiting_step.join(PATIENT)

    assert ids(fetching.dispatched) == ["t1"]


def test_the_surplus_of_a_blocking_read_is_handed_back(app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys) -> None:
    fetching = Fetching(app, lease, slots=1)
    fetching.step()
    fetching.fetcher._block = LONG
    waiting_step = gevent.spawn(fetching.step)
    _blocked(redis)

    with redis.pipeline() as both:  # a transaction: the server answers the read after all of it
        for letter, task_id in (("h", "high"), ("n", "normal"), ("l", "low")):
            both.xadd(keys.streams[letter], {"payload": raw_task(task_id)})
        both.execute()
    waiting_step.join(PATIENT)

    taken = ids(fetching.dispatched) + ids(fetching.handed_back)
    assert len(fetching.dispatched) == 1
    assert sorted(taken) == sorted(
        task_id
        for letter, task_id in (("h", "high"), ("n", "normal"), ("l", "low"))
        if task_id not in waiting_ids(redis, keys)
    ), "what was delivered is started or handed back, nothing else"
    assert len(fetching.holdings) == len(taken)


def waiting_ids(redis: Redis, keys: QueueKeys) -> set[str]:
    """Return the ids of what no process has yet."""
    found = set()
    for letter, names in waiting(redis, keys).items():
        held = {row["message_id"] for row in redis.xpending_range(keys.streams[letter], GROUP, "-", "+", 100)}
        entries = [entry for entry, _ in redis.xrange(keys.streams[letter])]
        found |= {name for name, entry in zip(names, entries, strict=True) if entry not in held}
    return found


def _blocked(redis: Redis) -> None:
    """Wait until a client is blocked on the server."""
    with gevent.Timeout(PATIENT):
        while not redis.info("clients")["blocked_clients"]:
            gevent.sleep(0.005)


# -- suspects


def test_suspects_are_fetched_one_at_a_time(redis: Redis, app: Buraq, fetching: Fetching, keys: QueueKeys) -> None:
    for n in range(3):
        redis.xadd(keys.streams["s"], {"payload": raw_task(f"s{n}"), "deaths": 2})
    add(app, "t1")

    assert fetching.step() == ["s0", "t1"]
    assert fetching.step() == []

    fetching.holdings.settled(fetching.dispatched[0])
    assert fetching.step() == ["s1"]


def test_the_next_suspect_is_taken_soon_after_the_one_before_has_ended(
    redis: Redis, fetching: Fetching, keys: QueueKeys
) -> None:
    for n in range(2):
        redis.xadd(keys.streams["s"], {"payload": raw_task(f"s{n}"), "deaths": 2})
    assert fetching.step() == ["s0"]
    fetching.fetcher._block = LONG
    waiting_step = gevent.spawn(fetching.step)
    _blocked(redis)

    fetching.holdings.settled(fetching.dispatched[0])
    waiting_step.join(PATIENT)

    assert waiting_step.ready()
    assert fetching.step() == ["s1"]


def test_two_suspects_that_come_at_once_on_two_queues_do_not_run_together(app: Buraq, redis: Redis) -> None:
    queues = [app.backend.broker(name).keys for name in ("default", "mail")]
    fetching = Fetching(app, lease_of(app, "default", "mail"))
    fetching.step()
    fetching.fetcher._block = LONG
    waiting_step = gevent.spawn(fetching.step)
    _blocked(redis)

    with redis.pipeline() as both:
        for keys in queues:
            both.xadd(keys.streams["s"], {"payload": raw_task(keys.name), "deaths": 2})
        both.execute()
    waiting_step.join(PATIENT)
    fetching.fetcher._block = BLOCK
    fetching.step()

    assert len(fetching.dispatched) == 1


def test_of_several_suspects_that_were_delivered_unseen_one_runs(
    app: Buraq, redis: Redis, fetching: Fetching, keys: QueueKeys
) -> None:
    for n in range(3):
        redis.xadd(keys.streams["s"], {"payload": raw_task(f"s{n}"), "deaths": 2})
    redis.xreadgroup(GROUP, WORKER, {keys.streams["s"]: ">"})

    fetching.fetcher.reconcile()

    assert ids(fetching.dispatched) == ["s0"]
    assert ids(fetching.handed_back) == ["s1", "s2"]


def suspects(redis: Redis, keys: QueueKeys, *names: str, deaths: int = 2) -> None:
    for name in names:
        redis.xadd(keys.streams["s"], {"payload": raw_task(name), "deaths": deaths})


def test_where_suspects_run_in_a_sandbox_a_cohort_is_here_at_once(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, cohort=3)
    fetching.step()
    suspects(redis, keys, *(f"s{n}" for n in range(5)))
    add(app, "t1")

    assert fetching.step() == ["s0", "s1", "s2", "t1"]
    assert fetching.step() == []

    fetching.holdings.settled(fetching.dispatched.pop(1))
    assert fetching.step() == ["s3"]
    assert fetching.handed_back == []


def test_a_cohort_is_asked_for_while_other_levels_are_busy(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, slots=20, cohort=3)
    fetching.step()
    add(app, *(f"t{n}" for n in range(60)))
    assert len(fetching.step()) == 20
    fetching.dispatched.clear()
    suspects(redis, keys, "s0", "s1")
    fetching.fetcher._suspects_at = 0.0

    found = fetching.step()
    fetching.dispatched.clear()
    fetching.fetcher._suspects_at = 0.0
    assert {"s0", "s1"} <= {*found, *fetching.step()}
    assert fetching.handed_back == []


def test_a_suspect_whose_worker_died_of_it_maybe_meets_no_other(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, cohort=3)
    fetching.step()
    suspects(redis, keys, "killer", deaths=5)
    suspects(redis, keys, "s1", "s2")

    assert fetching.step() == ["killer"]
    assert ids(fetching.handed_back) == ["s1", "s2"]
    suspects(redis, keys, "s3")
    assert fetching.step() == [], "nor does what comes later"

    for delivery in [fetching.dispatched[0], *fetching.handed_back]:
        fetching.holdings.settled(delivery)
    assert fetching.step() == ["s3"]


def test_a_suspect_whose_worker_died_of_it_maybe_waits_until_the_cohort_is_done_and_is_not_fetched_meanwhile(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, cohort=3)
    fetching.step()
    suspects(redis, keys, "s1")
    suspects(redis, keys, "killer", deaths=5)

    assert fetching.step() == ["s1"]
    [killer] = fetching.handed_back
    fetching.holdings.settled(killer)
    suspects(redis, keys, "killer", deaths=5)
    assert fetching.step() == []
    assert len(fetching.handed_back) == 1

    fetching.holdings.settled(fetching.dispatched[0])
    assert fetching.step() == ["killer"]


@pytest.mark.parametrize(("deaths", "together"), [(2, 8), (3, 4), (4, 1), (5, 1)])
def test_the_company_of_a_suspect_gets_smaller_with_each_death(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys, deaths: int, together: int
) -> None:
    fetching = Fetching(app, lease, cohort=8)
    fetching.step()
    names = [f"s{n}" for n in range(8)]
    suspects(redis, keys, *names, deaths=deaths)

    assert fetching.step() == names[:together]
    assert ids(fetching.handed_back) == names[together:]


def of_two_shards(app: Buraq, lease: Lease, most: int, cohort: int) -> tuple[Fetching, Fetching]:
    """Two fetchers of one process. That both read the same streams is no matter: what they own they own apart."""
    holdings: list[Holdings] = []
    company = Company(holdings, most)
    one, other = (Fetching(app, lease, cohort=cohort, company=company) for _ in range(2))
    holdings += one.holdings, other.holdings
    assert (one.step(), other.step()) == ([], [])  # each has looked at what is pending
    return one, other


def test_suspects_of_several_shards_are_one_company_and_no_more_than_a_cohort(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    one, other = of_two_shards(app, lease, most=3, cohort=2)
    suspects(redis, keys, *(f"s{n}" for n in range(6)))

    assert one.step() == ["s0", "s1"], "its own part"
    assert other.step() == ["s2"], "what is left"
    assert (one.step(), other.step()) == ([], [])

    one.holdings.settled(one.dispatched.pop())
    assert other.step() == ["s3"]
    assert one.handed_back == other.handed_back == []


def test_a_suspect_whose_worker_died_of_it_maybe_meets_none_of_another_shard(
    redis: Redis, app: Buraq, lease: Lease, keys: QueueKeys
) -> None:
    one, other = of_two_shards(app, lease, most=4, cohort=2)
    suspects(redis, keys, "s1")
    assert one.step() == ["s1"]
    suspects(redis, keys, "killer", deaths=5)

    assert other.step() == []
    [killer] = other.handed_back
    other.holdings.settled(killer)
    suspects(redis, keys, "killer", deaths=5)
    assert (one.step(), other.step()) == ([], []), "none comes before that one has ended"

    one.holdings.settled(one.dispatched.pop())
    assert other.step() == ["killer"]
    suspects(redis, keys, "s2")
    assert one.step() == []


# -- groups


def test_a_queue_without_streams_gets_its_groups(redis: Redis, fetching: Fetching, keys: QueueKeys) -> None:
    assert {letter: redis.xinfo_groups(keys.streams[letter])[0]["name"] for letter in LETTERS} == dict.fromkeys(
        LETTERS, GROUP
    )


def test_what_was_there_before_the_group_is_fetched(app: Buraq, redis: Redis, lease: Lease) -> None:
    add(app, "early")

    assert Fetching(app, lease).step() == ["early"]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_group_that_was_destroyed_is_made_again(
    app: Buraq, redis: Redis, fetching: Fetching, keys: QueueKeys, letter: str
) -> None:
    redis.xgroup_destroy(keys.streams[letter], GROUP)
    redis.xadd(keys.streams[letter], {"payload": raw_task("t1")})
    add(app, "other")

    fetching.step()
    fetching.step()

    assert sorted(ids(fetching.dispatched)) == ["other", "t1"]


def test_streams_that_are_deleted_under_a_blocking_read_are_made_again(
    app: Buraq, redis: Redis, fetching: Fetching
) -> None:
    fetching.fetcher._block = LONG
    waiting_step = gevent.spawn(fetching.step)
    _blocked(redis)

    redis.flushall()
    waiting_step.join(PATIENT)
    assert waiting_step.ready(), "the server says that the stream is gone"
    add(app, "t1")

    assert fetching.step() == ["t1"]


# -- a queue that cannot be read


@pytest.fixture
def mail(app: Buraq) -> QueueKeys:
    return app.backend.broker("mail").keys


@pytest.fixture
def guest(server: Server, redis: Redis) -> Iterator[Connections]:
    """A user who may do all, but nothing with the queue `mail`."""
    keys = ("resetkeys", "~buraq_tasks", "~buraq_tasks_*", "~buraq_tasks:[^m]*", "~buraq_tasks:m[^a]*", "~idemp:*")
    redis.execute_command("ACL", "SETUSER", "guest", "on", ">secret", "+@all", "&*", *keys)
    yield Connections.from_url(f"redis://guest:secret@127.0.0.1:{server.port}/0")
    redis.execute_command("ACL", "DELUSER", "guest")


def left_out(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Return what the log says of queues that are left out: the queue, and what the server said."""
    return [(r.queue, r.error) for r in caplog.records if r.message == "queue left out"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_queue_with_a_stream_of_the_wrong_type_is_left_out_and_said_once(
    app: Buraq, redis: Redis, mail: QueueKeys, caplog: pytest.LogCaptureFixture, letter: str
) -> None:
    stream = mail.streams[letter]
    redis.set(stream, "a text")
    fetching = Fetching(app, lease_of(app, "mail", "default"))
    add(app, "t1")
    assert fetching.step() == ["t1"]

    add(app, "t2")
    fetching.fetcher._left_out["mail"] = 0.0  # as after a while
    assert fetching.step() == ["t2"]

    [(queue, error)] = left_out(caplog)
    assert queue == "mail"
    assert error.startswith(f"XGROUP CREATE {stream}: WRONGTYPE ")


def test_nothing_is_fetched_from_a_queue_of_which_no_more_outcomes_can_be_kept(app: Buraq, mail: QueueKeys) -> None:
    fetching = Fetching(app, lease_of(app, "mail", "default"))
    add(app, "t1")
    add(app, "m1", queue="mail")
    fetching.fetcher.full = lambda: frozenset({"mail"})
    assert fetching.step() == ["t1"]

    fetching.fetcher.full = frozenset
    assert fetching.step() == ["m1"]


def test_a_queue_that_is_left_out_is_fetched_from_when_it_has_been_mended(
    app: Buraq, redis: Redis, mail: QueueKeys, caplog: pytest.LogCaptureFixture
) -> None:
    redis.set(mail.streams["n"], "a text")
    fetching = Fetching(app, lease_of(app, "mail", "default"))
    fetching.step()
    redis.delete(mail.streams["n"])
    add(app, "m1", queue="mail")
    fetching.fetcher._left_out["mail"] += LONG
    assert fetching.step() == [], "it is not asked about with each step"

    fetching.fetcher._left_out["mail"] = 0.0

    assert fetching.step() == ["m1"]
    redis.delete(mail.streams["n"])
    redis.set(mail.streams["n"], "a text")
    assert not fetching.fetcher.attempt()
    fetching.step()
    assert len(left_out(caplog)) == 2, "what breaks again is said again"


def test_a_stream_whose_place_is_taken_while_it_is_read_stops_no_other_queue(
    app: Buraq, redis: Redis, mail: QueueKeys, caplog: pytest.LogCaptureFixture
) -> None:
    fetching = Fetching(app, lease_of(app, "mail", "default"))
    fetching.step()
    redis.set(mail.streams["n"], "a text")
    add(app, "t1")

    fetching.fetcher.attempt()
    fetching.fetcher.attempt()

    assert ids(fetching.dispatched) == ["t1"]
    assert [queue for queue, _ in left_out(caplog)] == ["mail"]


def test_a_queue_that_may_not_be_read_is_left_out(
    app: Buraq, redis: Redis, guest: Connections, caplog: pytest.LogCaptureFixture
) -> None:
    add(app, "m1", queue="mail")
    add(app, "t1")

    assert Fetching(app, lease_of(app, "mail", "default"), server=guest).step() == ["t1"]
    [(queue, error)] = left_out(caplog)
    assert queue == "mail"
    assert error.startswith("XGROUP CREATE: ")


def test_a_refusal_that_is_not_a_queues_own_leaves_none_out(app: Buraq, redis: Redis, lease: Lease) -> None:
    fetching = Fetching(app, lease)
    fetching.fetcher._link.command("PING")
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(ResponseError, match="maxmemory"):
            fetching.step()
    finally:
        redis.config_set("maxmemory", 0)
    add(app, "t1")

    assert fetching.step() == ["t1"]


# -- lease


def test_without_a_valid_lease_nothing_is_fetched(
    app: Buraq, redis: Redis, fetching: Fetching, lease: Lease, keys: QueueKeys
) -> None:
    add(app, "t1")
    lapse(redis, lease)

    assert fetching.step() == []
    assert pending(redis, keys) == {}

    lease.renew()
    assert fetching.step() == ["t1"]


def test_a_queue_is_fetched_from_only_when_the_lease_covers_it(app: Buraq, redis: Redis, lease: Lease) -> None:
    fetching = Fetching(app, lease)
    add(app, "t1", queue="mail")
    lease.brokers = (*lease.brokers, app.backend.broker("mail"))
    assert fetching.step() == []

    lease.renew()
    assert fetching.step() == ["t1"]


def test_what_a_read_brings_after_the_lease_lapsed_is_handed_back(
    app: Buraq, redis: Redis, lease: Lease, proxied: Fetching, proxy: Proxy
) -> None:
    add(app, "t1")
    stall = proxy.hit_next("stall", lambda request: is_fetch(request) and b"_suspects" not in request)
    step = gevent.spawn(proxied.step)
    add(app, "t2", priority="high")
    assert stall.hit.wait(PATIENT)

    lapse(redis, lease)
    lease.renew()  # valid again, but others may have looked in between
    proxy.heal()
    step.join(PATIENT)

    assert "t2" in ids(proxied.handed_back)
    assert "t2" not in ids(proxied.dispatched)
    assert len(proxied.holdings) == len(proxied.dispatched) + len(proxied.handed_back)


def test_what_a_read_brings_without_a_valid_lease_is_handed_back(
    app: Buraq, redis: Redis, lease: Lease, proxied: Fetching, proxy: Proxy
) -> None:
    add(app, "t1", priority="high")
    stall = proxy.hit_next("stall", lambda request: is_fetch(request) and b"_suspects" not in request)
    step = gevent.spawn(proxied.step)
    assert stall.hit.wait(PATIENT)

    lapse(redis, lease)
    proxy.heal()
    step.join(PATIENT)

    assert ids(proxied.handed_back) == ["t1"]
    assert proxied.dispatched == []


# -- reconciling


def test_what_a_lost_reply_brought_is_adopted_once(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy, keys: QueueKeys
) -> None:
    add(app, "t1", "t2")
    proxy.hit_next("cut_reply", lambda request: is_fetch(request) and b"buraq_tasks\r\n" in request)
    with pytest.raises(Unreachable):
        proxied.step()
    assert pending(redis, keys) == {WORKER: 2}
    assert proxied.dispatched == []

    assert proxied.step() == ["t1", "t2"]
    proxied.fetcher.reconcile()

    assert ids(proxied.dispatched) == ["t1", "t2"]
    assert pending(redis, keys) == {WORKER: 2}


def test_what_is_running_is_not_adopted_again(app: Buraq, proxied: Fetching, proxy: Proxy) -> None:
    add(app, "t1")
    proxied.step()
    add(app, "t2")
    proxy.hit_next("cut_reply", lambda request: is_fetch(request) and b"buraq_tasks\r\n" in request)
    with pytest.raises(Unreachable):
        proxied.step()

    assert proxied.step() == ["t2"]


def test_a_read_that_the_server_runs_after_the_connection_broke_is_found(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy, keys: QueueKeys
) -> None:
    add(app, "t1")
    proxy.hit_next("ghost", lambda request: is_fetch(request) and b"buraq_tasks\r\n" in request)
    with pytest.raises(Unreachable):
        proxied.step()
    proxy.release_ghosts()
    assert pending(redis, keys) == {WORKER: 1}

    assert proxied.step() == ["t1"]


def test_one_of_more_than_a_page_that_is_not_known_is_found(
    app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, slots=300)
    add(app, *(f"t{n}" for n in range(250)))
    fetching.step()
    add(app, "unseen")
    redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})

    fetching.fetcher.reconcile()

    assert len(fetching.dispatched) == 251
    assert ids(fetching.dispatched[-1:]) == ["unseen"]


def test_what_is_adopted_beyond_the_free_slots_is_handed_back(
    app: Buraq, redis: Redis, fetching: Fetching, keys: QueueKeys
) -> None:
    add(app, *(f"t{n}" for n in range(15)))
    redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})

    fetching.fetcher.reconcile()

    assert len(fetching.dispatched) == 10
    assert len(fetching.handed_back) == 5


def test_what_was_settled_while_it_looked_is_not_adopted(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy
) -> None:
    add(app, "t1", "t2")
    proxied.step()
    settling = Settling(app, WORKER, proxied.holdings)
    stall = proxy.hit_next("stall", is_look)
    look = gevent.spawn(proxied.fetcher.reconcile)
    assert stall.hit.wait(PATIENT)

    settling.end(proxied.dispatched[0], Completed())
    settling.all()
    proxy.heal()  # the answer says that two are pending
    look.get(timeout=PATIENT)

    assert settling.confirmed == [("t1", "committed")]
    assert ids(proxied.dispatched) == ["t1", "t2"], "t1 does not start again"
    assert len(proxied.holdings) == 1


def test_what_was_settled_between_two_pages_is_not_adopted(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy, keys: QueueKeys
) -> None:
    add(app, "t1")
    proxied.step()
    add(app, "unseen")
    redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})
    settling = Settling(app, WORKER, proxied.holdings)
    stall = proxy.hit_next("stall", lambda request: is_look(request) and b"100\r\n" in request)
    look = gevent.spawn(proxied.fetcher.reconcile)
    assert stall.hit.wait(PATIENT)

    settling.end(proxied.dispatched[0], Completed())
    settling.all()
    proxy.heal()
    look.get(timeout=PATIENT)

    assert ids(proxied.dispatched) == ["t1", "unseen"]


def test_an_unseen_delivery_is_adopted_though_another_one_was_taken_away(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy, keys: QueueKeys
) -> None:
    add(app, "t1")
    proxied.step()
    redis.xack(keys.streams["n"], GROUP, proxied.dispatched[0].entry)  # as a reclaim does
    redis.xdel(keys.streams["n"], proxied.dispatched[0].entry)
    add(app, "t2")
    proxy.hit_next("cut_reply", lambda request: is_fetch(request) and b"buraq_tasks\r\n" in request)
    with pytest.raises(Unreachable):
        proxied.step()

    assert proxied.step() == ["t2"], "one is known and one is pending, but not the same"


def test_a_pending_entry_without_a_body_is_acked(redis: Redis, app: Buraq, fetching: Fetching, keys: QueueKeys) -> None:
    add(app, "t1")
    [[_, [[entry, _]]]] = redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})
    redis.xdel(keys.streams["n"], entry)

    fetching.fetcher.reconcile()

    assert fetching.dispatched == []
    assert pending(redis, keys) == {}


def test_it_looks_once_a_lease_period_without_a_fault(
    app: Buraq, redis: Redis, fetching: Fetching, lease: Lease, keys: QueueKeys
) -> None:
    add(app, "t1")
    redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})
    assert fetching.step() == []

    fetching.fetcher._reconciled -= lease.ttl + 1

    assert fetching.step() == ["t1"]


def test_a_look_that_breaks_is_made_again(
    app: Buraq, redis: Redis, proxied: Fetching, proxy: Proxy, lease: Lease, keys: QueueKeys
) -> None:
    add(app, "t1")
    redis.xreadgroup(GROUP, WORKER, {keys.streams["n"]: ">"})
    proxied.fetcher._reconciled -= lease.ttl + 1
    proxy.hit_next("cut_reply", is_look)
    with pytest.raises(Unreachable):
        proxied.step()

    assert proxied.step() == ["t1"]


# -- stopping


def test_wake_ends_a_blocking_read(redis: Redis, fetching: Fetching) -> None:
    fetching.fetcher._block = LONG
    run = gevent.spawn(fetching.fetcher.run)
    _blocked(redis)

    fetching.fetcher.stop()
    fetching.fetcher.wake()
    run.join(PATIENT)

    assert run.ready()


@pytest.mark.parametrize("what", [is_look, is_fetch], ids=["look", "fetch"])
def test_wake_ends_a_blocking_read_on_a_connection_that_was_made_again(
    redis: Redis, proxied: Fetching, proxy: Proxy, lease: Lease, what: Callable[[bytes], bool]
) -> None:
    fetcher = proxied.fetcher
    fetcher._reconciled -= lease.ttl + 1
    cut = proxy.hit_next("cut_reply", what)
    fetcher._block = LONG
    run = gevent.spawn(fetcher.run)
    assert cut.hit.wait(PATIENT)
    _blocked(redis)

    fetcher.stop()
    fetcher.wake()
    run.join(PATIENT)

    assert run.ready()


def test_wake_ends_the_wait_for_a_slot(app: Buraq, redis: Redis, fetching: Fetching) -> None:
    fetching.slots = 0
    run = gevent.spawn(fetching.fetcher.run)
    gevent.idle()

    fetching.fetcher.stop()
    fetching.fetcher.wake()
    gevent.idle()

    assert run.ready(), "it would look by itself, but only after a second"


def test_leaving_hands_back_what_is_pending_and_forgets_the_process(
    app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys
) -> None:
    fetching = Fetching(app, lease, slots=300)
    add(app, *(f"t{n}" for n in range(300)))
    fetching.step()

    assert fetching.fetcher.leave() == 300

    assert waiting(redis, keys) == {"f": [f"t{n}" for n in range(300)]}
    assert pending(redis, keys) == {}
    assert redis.zrange(keys.leases, 0, -1) == []
    assert redis.xinfo_consumers(keys.streams["n"], GROUP) == []


def test_who_leaves_before_the_first_fetch_forgets_the_process_too(
    app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys
) -> None:
    assert Fetching(app, lease).fetcher.leave() == 0
    assert redis.zrange(keys.leases, 0, -1) == []


def test_who_leaves_does_not_ask_a_queue_on_which_it_has_no_lease(
    app: Buraq, redis: Redis, keys: QueueKeys, guest: Connections
) -> None:
    fetching = Fetching(app, lease := lease_of(app), server=guest)
    add(app, "t1")
    fetching.step()
    lease.brokers = (*lease.brokers, app.backend.broker("mail"))

    assert fetching.fetcher.leave() == 1
    assert redis.zrange(keys.leases, 0, -1) == []


def test_who_leaves_hands_back_what_it_has_of_other_queues_where_one_refuses(
    app: Buraq, redis: Redis, keys: QueueKeys, mail: QueueKeys
) -> None:
    fetching = Fetching(app, lease_of(app, "mail", "default"))
    fetching.step()
    add(app, "t1")
    fetching.step()
    redis.delete(mail.streams["f"])
    redis.set(mail.streams["f"], "a text")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        fetching.fetcher.leave()

    assert waiting(redis, keys) == {"f": ["t1"]}
    assert redis.zrange(keys.leases, 0, -1) == []


def test_what_comes_while_it_stops_is_handed_back(app: Buraq, proxied: Fetching, proxy: Proxy) -> None:
    add(app, "t1", priority="high")
    stall = proxy.hit_next("stall", lambda request: is_fetch(request) and b"_suspects" not in request)
    step = gevent.spawn(proxied.step)
    assert stall.hit.wait(PATIENT)

    proxied.fetcher.stop()
    proxy.heal()
    step.join(PATIENT)

    assert proxied.dispatched == []
    assert ids(proxied.handed_back) == ["t1"]


def test_the_wait_of_a_step_is_as_long_as_its_block(redis: Redis, fetching: Fetching) -> None:
    began = time.monotonic()
    fetching.step()

    assert time.monotonic() - began >= BLOCK
    assert fetching.fetcher.quiet_walks == 2
