"""What dead processes held gets another chance, or is buried; what the living hold is left alone."""

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
import ujson
from redis import Redis

from buraq.app import Buraq
from buraq.broker import RECLAIM_BATCH
from buraq.config import Config
from buraq.deadletters import ShardLetters
from buraq.keys import QueueKeys
from buraq.worker.lease import Lease
from buraq.worker.reclaimer import FOREIGN_IDLE_MS, MOST_DEATHS, Reclaimer, target_of
from tests.servers import Server
from tests.worker.parts import (
    GROUP,
    PATIENT,
    consumers,
    dead_letters,
    hearing,
    lapse,
    lease_of,
    pending,
    raw_task,
    waiting,
)

DEAD = "host~deadbeef"


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


@pytest.fixture
def lease(app: Buraq) -> Lease:
    """A lease that was held for two renewals."""
    lease = lease_of(app)
    assert lease.renew()
    return lease


class Reclaiming:
    """A reclaimer, and what it says that it took: again, buried."""

    def __init__(self, app: Buraq, lease: Lease, **settings: Any) -> None:
        self.took: list[tuple[int, int]] = []
        backend = app.backend
        self.loop = Reclaimer(
            backend.server.shared,
            lease,
            lambda: lease.covered,
            reclaimed=lambda again, buried: self.took.append((again, buried)),
            letters=lambda queue: ShardLetters(backend.shards[0], queue),
            config=Config(**settings),
        )

    @property
    def total(self) -> tuple[int, int]:
        return sum(again for again, _ in self.took), sum(buried for _, buried in self.took)


@pytest.fixture
def reclaiming(app: Buraq, lease: Lease) -> Reclaiming:
    for name in app.backend.broker("default").group_commands():
        app.backend.server.shared.commands([name])
    return Reclaiming(app, lease)


@pytest.fixture
def held(redis: Redis, reclaiming: Reclaiming, keys: QueueKeys) -> Callable[..., None]:
    """Let a process hold tasks: `held("t1", "t2", by=…, deaths=…, letter=…)`."""

    def held(
        *task_ids: str,
        by: str = DEAD,
        letter: str = "n",
        deaths: int = 0,
        fields: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        for task_id in task_ids:
            extra: dict[str, Any] = {**({"deaths": deaths} if deaths else {}), **(fields or {})}
            entry = redis.xadd(keys.streams[letter], {"payload": raw_task(task_id, **members), **extra})
            redis.hset(keys.index, task_id, letter + entry)
        redis.xreadgroup(GROUP, by, {keys.streams[letter]: ">"}, count=len(task_ids))

    return held


def idle(redis: Redis, keys: QueueKeys, consumer: str, ms: int) -> None:
    """Let the entries of a consumer look as old as `ms`. Only XCLAIM ages them, and it counts as a sign of life."""
    for row in redis.xpending_range(keys.streams["n"], GROUP, "-", "+", 100, consumername=consumer):
        redis.xclaim(keys.streams["n"], GROUP, consumer, 0, [row["message_id"]], idle=ms, justid=True)


# -- another chance


def test_what_a_dead_process_held_is_first_in_line_with_a_death(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1", "t2")

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"f": ["t1", "t2"]}
    rows = redis.xrange(keys.streams["f"])
    assert [body["deaths"] for _, body in rows] == ["1", "1"]
    assert [ujson.loads(body["payload"])["current_retries"] for _, body in rows] == [0, 0], "no attempt is charged"
    assert redis.hget(keys.index, "t1") == "f" + rows[0][0]
    assert reclaiming.took == [(2, 0)]


@pytest.mark.parametrize("letter", ["f", "h", "n", "l"])
def test_all_streams_are_looked_at(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, letter: str
) -> None:
    held("t1", letter=letter)

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"f": ["t1"]}


@pytest.mark.parametrize("letter", ["f", "s"])
def test_from_two_deaths_on_a_task_is_a_suspect(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, letter: str
) -> None:
    held("t1", letter=letter, deaths=1)

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"s": ["t1"]}
    assert redis.xrange(keys.streams["s"])[0][1]["deaths"] == "2"


def test_other_fields_of_the_entry_go_with_it(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1", fields={"claimed": "1", "theirs": "x"})

    reclaiming.loop.step()

    [(_, body)] = redis.xrange(keys.streams["f"])
    assert (body["claimed"], body["theirs"]) == ("1", "x")


def test_more_than_a_batch_is_taken_in_one_step(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    count = 3 * RECLAIM_BATCH + 7
    held(*(f"t{n}" for n in range(count)))

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"f": [f"t{n}" for n in range(count)]}
    assert reclaiming.total == (count, 0)
    assert max(again for again, _ in reclaiming.took) == RECLAIM_BATCH


def test_a_consumer_is_deleted_when_nothing_is_pending_under_its_name(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1")
    redis.xgroup_createconsumer(keys.streams["l"], GROUP, "idle~00000000")

    reclaiming.loop.step()

    assert consumers(redis, keys) == set()


def test_an_entry_that_somebody_deleted_is_acked(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1")
    redis.xdel(keys.streams["n"], redis.xrange(keys.streams["n"])[0][0])

    reclaiming.loop.step()

    assert pending(redis, keys) == {}
    assert waiting(redis, keys) == {}
    assert reclaiming.took == []


def test_an_entry_that_cannot_be_read_is_left_to_whoever_fetches_it(
    redis: Redis, reclaiming: Reclaiming, keys: QueueKeys
) -> None:
    redis.xadd(keys.streams["n"], {"payload": "{", "x": "1"})
    redis.xadd(keys.streams["n"], {"x": "2"})
    redis.xreadgroup(GROUP, DEAD, {keys.streams["n"]: ">"})

    reclaiming.loop.step()

    assert [body for _, body in redis.xrange(keys.streams["f"])] == [
        {"deaths": "1", "payload": "{", "x": "1"},
        {"deaths": "1", "x": "2"},
    ]


def test_several_queues_are_looked_at(app: Buraq, redis: Redis, held: Callable[..., None]) -> None:
    lease = lease_of(app, "default", "mail")
    lease.renew()
    mail = app.backend.broker("mail").keys
    redis.xgroup_create(mail.streams["n"], GROUP, "0", mkstream=True)
    redis.xadd(mail.streams["n"], {"payload": raw_task("m1")})
    redis.xreadgroup(GROUP, DEAD, {mail.streams["n"]: ">"})

    Reclaiming(app, lease).loop.step()

    assert waiting(redis, mail) == {"f": ["m1"]}


def test_a_queue_that_refuses_holds_up_no_other(app: Buraq, redis: Redis) -> None:
    lease = lease_of(app, "mail", "default")
    lease.renew()
    found = [app.backend.broker(queue).keys for queue in ("mail", "default")]
    for keys in found:
        redis.xgroup_create(keys.streams["n"], GROUP, "0", mkstream=True)
        redis.xadd(keys.streams["n"], {"payload": raw_task(keys.name)})
        redis.xreadgroup(GROUP, DEAD, {keys.streams["n"]: ">"})
    redis.set(found[0].streams["f"], "a text")

    assert not Reclaiming(app, lease).loop.attempt()

    assert waiting(redis, found[1]) == {"f": ["default"]}
    assert redis.xpending(found[0].streams["n"], GROUP)["pending"] == 1


def test_queues_without_streams_are_passed_over(app: Buraq, redis: Redis) -> None:
    lease = lease_of(app, "nobody", "default")
    lease.renew()

    Reclaiming(app, lease).loop.step()

    assert not redis.exists("buraq_tasks", "buraq_tasks:nobody")


# -- the end


@pytest.mark.parametrize(
    ("max_retries", "survives"), [(0, 0), (1, MOST_DEATHS), (3, MOST_DEATHS), (5, MOST_DEATHS), (9, 9)]
)
def test_a_task_is_buried_when_its_deaths_exceed_its_retries_and_five(max_retries: int, survives: int) -> None:
    places = [target_of(deaths, max_retries) for deaths in range(1, survives + 2)]

    assert places == [*["f", *"s" * (survives - 1)][:survives], "d"]


def test_a_task_that_died_too_often_is_buried(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1", letter="s", deaths=MOST_DEATHS)
    held("t2", letter="s", deaths=MOST_DEATHS, max_retries=7)
    with hearing(redis) as events:
        reclaiming.loop.step()

    [letter] = dead_letters(redis, keys)
    assert (letter["reason"], letter["deaths"], ujson.loads(letter["payload"])["id"]) == ("crashed", "6", "t1")
    assert waiting(redis, keys) == {"s": ["t2"]}
    assert reclaiming.total == (1, 1)
    assert [(event["type"], event["task_id"]) for event in events] == [("DLQ", "t1"), ("Pending", "t2")]


def test_without_retries_the_first_death_buries(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1", max_retries=0)

    reclaiming.loop.step()

    [letter] = dead_letters(redis, keys)
    assert (letter["reason"], letter["deaths"]) == ("crashed", "1")


@pytest.mark.parametrize(("owner", "after"), [("t1", None), ("another", "another")])
def test_the_idempotency_key_of_a_buried_task_is_freed_if_it_is_its_own(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, owner: str, after: str | None
) -> None:
    redis.set("idemp:k", owner)
    held("t1", max_retries=0, idempotency_key="k")

    reclaiming.loop.step()

    assert len(dead_letters(redis, keys)) == 1
    assert redis.get("idemp:k") == after


def test_the_idempotency_key_of_a_task_with_another_chance_stays(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None]
) -> None:
    redis.set("idemp:k", "t1")
    held("t1", idempotency_key="k")

    reclaiming.loop.step()

    assert redis.get("idemp:k") == "t1"


# -- who is robbed, and who robs


def test_nothing_is_taken_from_the_living(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    lease_of(app, name="host~aaaaaaaa")
    held("t1", by="host~aaaaaaaa")

    reclaiming.loop.step()

    assert pending(redis, keys) == {"host~aaaaaaaa": 1}
    assert waiting(redis, keys) == {"n": ["t1"]}


def test_nothing_is_taken_from_ourselves(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1", by=lease.name)

    reclaiming.loop.step()

    assert pending(redis, keys) == {lease.name: 1}


def test_one_that_lapsed_is_robbed_and_one_that_did_not_is_not(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    lapsed = lease_of(app, name="host~bbbbbbbb")
    lease_of(app, name="host~cccccccc")
    held("t1", by="host~bbbbbbbb")
    held("t2", by="host~cccccccc")
    lapse(redis, lapsed)

    reclaiming.loop.step()

    assert pending(redis, keys) == {"host~cccccccc": 1}
    assert waiting(redis, keys)["f"] == ["t1"]


def test_a_process_that_has_not_renewed_twice_robs_nobody(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1")
    lapse(redis, lease)
    lease.renew()

    reclaiming.loop.step()
    assert pending(redis, keys) == {DEAD: 1}, "after an outage everybody has lapsed"

    lease.renew()
    reclaiming.loop.step()
    assert pending(redis, keys) == {}


def test_of_one_that_was_seen_to_die_all_is_taken_at_once_and_of_the_silent_nothing_yet(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1", "t2")
    held("t3", by="host~cccccccc")
    app.backend.server.shared.commands(app.backend.broker("default").died_commands(DEAD))
    lapse(redis, lease)
    lease.renew()

    reclaiming.loop.step()

    assert waiting(redis, keys)["f"] == ["t1", "t2"]
    assert pending(redis, keys) == {"host~cccccccc": 1}


def test_one_that_was_seen_to_die_and_has_a_lease_yet_is_not_robbed(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1", by="host~cccccccc")
    app.backend.server.shared.commands(app.backend.broker("default").died_commands("host~cccccccc"))
    lease_of(app, name="host~cccccccc")

    reclaiming.loop.step()

    assert pending(redis, keys) == {"host~cccccccc": 1}


def test_before_there_is_a_lease_it_is_looked_for_often(reclaiming: Reclaiming, lease: Lease) -> None:
    lease.until = time.monotonic()
    reclaiming.loop.step()
    assert reclaiming.loop.interval < 0.5

    lease.renew()
    reclaiming.loop.step()
    assert reclaiming.loop.interval == 1.0


def test_a_process_without_a_valid_lease_robs_nobody(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1")
    lease.until = time.monotonic()

    reclaiming.loop.step()

    assert pending(redis, keys) == {DEAD: 1}


def test_the_server_refuses_a_reclaim_of_one_whose_lease_it_does_not_know(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], lease: Lease, keys: QueueKeys
) -> None:
    held("t1")
    redis.zrem(keys.leases, lease.name)

    reclaiming.loop.step()

    assert pending(redis, keys) == {DEAD: 1}
    assert reclaiming.took == []


@pytest.mark.parametrize("name", ["worker-1", "host~DEADBEEF", "host~deadbee", "host-deadbeef", "~deadbeef2"])
def test_a_name_that_is_not_ours_is_left_alone(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, name: str
) -> None:
    held("t1", by=name)
    idle(redis, keys, name, 10 * FOREIGN_IDLE_MS)

    reclaiming.loop.step()

    assert pending(redis, keys) == {name: 1}, "it may be working on it"


def test_a_name_that_is_not_ours_and_was_idle_for_an_hour_is_dead(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    held("t1", by="worker-1")
    reclaiming.loop.step()
    assert pending(redis, keys) == {"worker-1": 1}
    monkeypatch.setattr("buraq.worker.reclaimer.FOREIGN_IDLE_MS", 50)
    with gevent.Timeout(PATIENT):
        while redis.xinfo_consumers(keys.streams["n"], GROUP)[0]["idle"] <= 60:
            gevent.sleep(0.01)

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"f": ["t1"]}


def test_a_consumer_whose_name_is_no_text_ends_no_loop(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    redis.xgroup_createconsumer(keys.streams["n"], GROUP, b"\xff\xfe")
    redis.zadd(keys.leases, {b"\xff": 1})
    held("t1")

    reclaiming.loop.step()

    assert waiting(redis, keys) == {"f": ["t1"]}


def test_a_server_that_refuses_a_question_ends_no_loop(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    held("t1")
    lease = redis.zscore(keys.leases, reclaiming.loop._lease.name)
    redis.delete(keys.leases)
    redis.set(keys.leases, "no set")  # as BUSY, while somebody's script runs

    assert not reclaiming.loop.attempt()

    redis.delete(keys.leases)
    redis.zadd(keys.leases, {reclaiming.loop._lease.name: lease})
    assert reclaiming.loop.attempt()
    assert waiting(redis, keys) == {"f": ["t1"]}


@pytest.mark.parametrize("word", ["ZRANGE", "TIME", "XPENDING", "XRANGE"])
def test_a_question_that_is_refused_once_is_asked_again_and_forgets_no_death(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys, server: Server, word: str
) -> None:
    held("t1", deaths=1)
    link = reclaiming.loop._link
    ask = link.commands

    def refused(words: Any) -> list[Any]:
        if word not in (one[0] for one in words):
            return ask(words)
        link.commands = ask  # type: ignore[method-assign]
        redis.execute_command("ACL", "SETUSER", server.USER, f"-{word}")
        try:
            return ask(words)
        finally:
            redis.execute_command("ACL", "SETUSER", server.USER, f"+{word}")
            redis.acl_log_reset()  # the refusal was asked for

    link.commands = refused  # type: ignore[method-assign]

    assert not reclaiming.loop.attempt()
    assert pending(redis, keys) == {DEAD: 1}

    assert reclaiming.loop.attempt()
    assert [body["deaths"] for _, body in redis.xrange(keys.streams["s"])] == ["2"]


def test_the_dead_behind_five_hundred_living_are_found_in_one_step(
    redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    """XAUTOCLAIM would look at the first thousand pending entries, all of the living."""
    living = {f"host~{n:08x}": 4e15 for n in range(500)}
    redis.zadd(keys.leases, living)
    with redis.pipeline(transaction=False) as together:
        for name in living:
            for _ in range(10):
                together.xadd(keys.streams["n"], {"payload": raw_task("t")})
            together.xreadgroup(GROUP, name, {keys.streams["n"]: ">"})
        together.execute()
    dead = [f"host~dead{n:04x}" for n in range(100)]
    for name in dead:
        held(f"cut off with {name}", by=name)

    reclaiming.loop.step()

    assert sorted(waiting(redis, keys)["f"]) == sorted(f"cut off with {name}" for name in dead)
    assert set(consumers(redis, keys)) >= set(living)
    assert not set(consumers(redis, keys)) & set(dead)
    assert redis.xpending(keys.streams["n"], GROUP)["pending"] == 5000


def test_two_reclaimers_at_once_take_everything_once(
    app: Buraq, redis: Redis, reclaiming: Reclaiming, held: Callable[..., None], keys: QueueKeys
) -> None:
    other_lease = lease_of(app, name="host~dddddddd")
    other_lease.renew()
    other = Reclaiming(Buraq(redis_url=app.config.redis_url), other_lease)
    count = 5 * RECLAIM_BATCH
    held(*(f"t{n}" for n in range(count)))

    gevent.joinall([gevent.spawn(reclaiming.loop.step), gevent.spawn(other.loop.step)], raise_error=True)

    assert sorted(waiting(redis, keys)["f"]) == sorted(f"t{n}" for n in range(count))
    assert reclaiming.total[0] + other.total[0] == count


# -- retention of the dead letters


def bury(redis: Redis, keys: QueueKeys, *ages_s: float) -> list[str]:
    """Add dead letters of these ages, oldest first; return their entry ids."""
    entries = []
    for n, age in enumerate(ages_s):
        entry = f"{int((time.time() - age) * 1000)}-{n}"
        redis.xadd(keys.dlq, {"reason": "exhausted", "payload": raw_task(f"d{n}")}, id=entry)
        redis.hset(keys.index, f"d{n}", "d" + entry)
        entries.append(entry)
    return entries


def test_by_default_all_dead_letters_stay(redis: Redis, reclaiming: Reclaiming, keys: QueueKeys) -> None:
    bury(redis, keys, 10**8, 10)

    reclaiming.loop.step()

    assert redis.xlen(keys.dlq) == 2


def test_dead_letters_that_are_too_old_are_deleted(app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys) -> None:
    bury(redis, keys, 500, 400, 100, 10)

    Reclaiming(app, lease, dlq_max_age=300.0).loop.step()

    assert [ujson.loads(body["payload"])["id"] for body in dead_letters(redis, keys)] == ["d2", "d3"]
    assert sorted(redis.hkeys(keys.index)) == ["d2", "d3"]


def test_dead_letters_beyond_the_length_are_deleted_the_oldest_first(
    app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys
) -> None:
    bury(redis, keys, *(range(700, 0, -1)))

    Reclaiming(app, lease, dlq_max_length=3).loop.step()

    assert [ujson.loads(body["payload"])["id"] for body in dead_letters(redis, keys)] == ["d697", "d698", "d699"]
    assert redis.hlen(keys.index) == 3


def test_both_limits_hold_together(app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys) -> None:
    bury(redis, keys, 500, 400, 350, 20, 10)

    Reclaiming(app, lease, dlq_max_age=300.0, dlq_max_length=4).loop.step()

    assert [ujson.loads(body["payload"])["id"] for body in dead_letters(redis, keys)] == ["d3", "d4"]


def test_dead_letters_are_looked_at_once_a_minute(app: Buraq, redis: Redis, lease: Lease, keys: QueueKeys) -> None:
    reclaiming = Reclaiming(app, lease, dlq_max_length=1)
    reclaiming.loop.step()
    bury(redis, keys, 20, 10)

    reclaiming.loop.step()
    assert redis.xlen(keys.dlq) == 2

    reclaiming.loop._trimmed -= 61
    reclaiming.loop.step()
    assert redis.xlen(keys.dlq) == 1
