"""The settler writes each outcome once, many in one pipeline, whatever happens to the connection."""

import json
import time

import gevent
import pytest
import ujson
from redis import Redis

from buraq.app import Buraq
from buraq.broker import BATCH_BYTES, SETTLE_BATCH
from buraq.connection import Server as Connections
from buraq.connection import Unreachable
from buraq.keys import QueueKeys
from buraq.scripts import load
from buraq.task import Completed, Dead, Delivery, Outcome, Released, Retried
from buraq.worker.lease import Lease
from buraq.worker.refusals import MOST
from buraq.worker.settler import ROUND, ROUND_WATCHED, Notes
from buraq.worker.worker import Worker
from tests.proxy import Proxy
from tests.worker.parts import (
    LONG,
    PATIENT,
    Counters,
    Fetching,
    Settling,
    dead_letters,
    delivery_of,
    hearing,
    lease_of,
    pending,
    raw_task,
    read,
    waiting,
)

WORKER = "w~00000001"


@pytest.fixture
def lease(app: Buraq) -> Lease:
    return lease_of(app, "default", "mail")


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


@pytest.fixture
def fetching(app: Buraq, lease: Lease) -> Fetching:
    return Fetching(app, lease, slots=2000)


@pytest.fixture
def settling(app: Buraq, fetching: Fetching) -> Settling:
    return Settling(app, WORKER, fetching.holdings)


@pytest.fixture
def proxied(app: Buraq, redis: Redis, fetching: Fetching, proxy: Proxy) -> Settling:
    """A settler with a proxy before its server, which has the scripts: the first request is the one that counts."""
    for name in ("complete", "retry", "bury", "release"):
        redis.script_load(load(name).source)
    return Settling(app, WORKER, fetching.holdings, Connections.from_url(proxy.url))


def deliveries(app: Buraq, fetching: Fetching, count: int, queue: str = "default", **options: str) -> list[Delivery]:
    """Return deliveries of `count` new tasks, t0 first."""
    for n in range(count):
        app.enqueue("t", id=f"t{n}" if queue == "default" else f"{queue}-t{n}", queue=queue, **options)
    before = len(fetching.dispatched)
    while len(fetching.dispatched) < before + count:
        fetching.step()
    return fetching.dispatched[before:]


def outcomes(delivery: Delivery) -> list[Outcome]:
    """Return one outcome of each kind that can be settled."""
    raw = delivery.raw or b""
    return [
        Completed(b'{"n":1}', 60_000),
        Retried(60_000, raw, charged=True, error="no"),
        Retried(60_000, raw, charged=False),
        Dead("exhausted", "ValueError: no", "Traceback …"),
        Released(),
    ]


def calls(redis: Redis) -> int:
    return int(redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


# -- one pipeline


def test_what_ended_meanwhile_is_settled_by_one_call(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    for delivery in deliveries(app, fetching, 200):
        settling.end(delivery, Completed())
    settling.settler.step()  # loads the script
    for delivery in deliveries(app, fetching, 200):
        settling.end(delivery, Completed())
    redis.config_resetstat()

    settling.settler.step()

    assert calls(redis) == 1
    assert len(settling.confirmed) == 400
    assert pending(redis, keys) == {}
    assert redis.hlen(keys.index) == 0


def test_all_kinds_on_several_streams_and_queues_are_settled_in_one_round(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    mail = app.backend.broker("mail").keys
    for queue in ("default", "mail"):
        for priority in ("high", "low"):
            found = deliveries(app, fetching, 5, queue, priority=priority)
            app.backend.server.shared.commands([("DEL", keys.index), ("DEL", mail.index)])
            for delivery, outcome in zip(found, outcomes(found[0]), strict=True):
                settling.end(delivery, outcome)

    settling.settler.step()

    assert settling.settler.pending == 0
    assert [word for _, word in settling.confirmed] == ["committed"] * 20
    assert len(fetching.holdings) == 0
    for queue in (keys, mail):
        assert pending(redis, queue) == {}
        assert len(waiting(redis, queue)["f"]) == 2, "released"
        assert [letter["reason"] for letter in dead_letters(redis, queue)] == ["exhausted"] * 2
        assert redis.zcard(queue.scheduled) == 2, "a retry and one that was put off, the same ids on both streams"


def test_a_retry_carries_what_the_judge_wrote(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    [delivery] = deliveries(app, fetching, 1)
    settling.end(delivery, Retried(60_000, raw_task("t0", current_retries=1, error="no"), True, "no"))

    settling.all()

    assert ujson.loads(redis.hget(keys.tasks, "t0"))["current_retries"] == 1
    due = redis.zscore(keys.scheduled, "t0")
    assert 50_000 < due - time.time() * 1000 < 70_000


def test_what_was_handed_back_as_a_suspect_stays_one(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    redis.xadd(keys.streams["s"], {"payload": raw_task("s0"), "deaths": 3})
    fetching.step()
    [suspect] = fetching.dispatched
    settling.end(suspect, Released())

    settling.all()

    assert waiting(redis, keys) == {"s": ["s0"]}
    assert fetching.holdings.suspects == 0


def test_a_delivery_that_could_not_be_read_is_buried_as_it_was(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    redis.xadd(keys.streams["n"], {"body": "not ours", "x": "1"})
    fetching.step()
    settling.end(fetching.dispatched[0], Dead("undecodable", "no payload"))

    settling.all()

    [letter] = dead_letters(redis, keys)
    assert letter.pop("died_at")
    assert letter.pop("group")
    assert letter == {"reason": "undecodable", "error": "no payload", "body": "not ours", "x": "1"}


# -- the order of events


def test_no_completed_overtakes_its_processing(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    redis.script_flush()
    *found, first = deliveries(app, fetching, 301)
    settling.end(first, Completed())
    settling.all()  # the server has the script that completes, and not yet the one that announces
    with hearing(redis) as events:
        for delivery in found:
            settling.settler.started(read(delivery))
            settling.end(delivery, Completed())
        settling.all()

    by_task: dict[str, list[str]] = {}
    for event in events:
        by_task.setdefault(event["task_id"], []).append(event["type"])
    assert by_task == {f"t{n}": ["Processing", "Completed"] for n in range(300)}
    stamps = [event["at"] for event in sorted(events, key=lambda event: event["type"] == "Completed")]
    assert max(stamps[:300]) <= max(stamps[300:])


def test_a_start_says_nothing_of_the_end_that_its_round_was_made_ready_with(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    heard_of, *found = deliveries(app, fetching, 1 + 3 * ROUND_WATCHED)
    with hearing(redis) as events:
        for delivery in (heard_of, *found):
            delivery.started = time.monotonic()
        settling.settler.started(read(heard_of))
        settling.end(heard_of, Completed())
        settling.all()
        for delivery in found:
            settling.settler.started(read(delivery))
            settling.end(delivery, Completed())
        settling.settler._make_next()  # as while the server works
        made_ready = settling.settler._next.size
        settling.all()

    assert made_ready == ROUND_WATCHED
    assert {(event["type"], "duration_ms" in event) for event in events} == {("Processing", False), ("Completed", True)}
    assert len(events) == 2 * (1 + 3 * ROUND_WATCHED)


def test_what_was_made_ready_is_sent_when_the_round_before_it_lost_its_reply(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 2 * ROUND + 1)
    for delivery in found[:ROUND]:
        proxied.end(delivery, Completed())
    proxied.settler._next = proxied.settler._make_round()
    for delivery in found[ROUND:]:
        proxied.end(delivery, Completed())
    proxy.hit_next("cut_reply")

    with pytest.raises(Unreachable):
        proxied.settler.step()
    made_ready = proxied.settler._next.size
    proxied.all()

    assert made_ready == ROUND
    assert sorted(proxied.confirmed) == sorted((f"t{n}", "committed") for n in range(2 * ROUND + 1))
    assert redis.xlen(keys.streams["n"]) == 0


def test_a_start_is_announced_without_anything_to_settle(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    [delivery] = deliveries(app, fetching, 1)
    with hearing(redis) as events:
        settling.settler.started(read(delivery))
        settling.settler.step()

    assert [(event["type"], event["task_id"], event["worker_id"]) for event in events] == [
        ("Processing", "t0", f"{WORKER}-0")
    ]


def test_an_event_is_json_whatever_the_process_is_called() -> None:
    note = Notes('w"\\~00000001').start(read(delivery_of(raw_task("t1"))))

    assert json.loads(f"{{{note}}}")["worker_id"] == 'w"\\~00000001-0'


def test_events_are_written_while_somebody_listens_and_not_before_or_after(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    before, meanwhile, last, after = deliveries(app, fetching, 4)

    def run(delivery: Delivery) -> None:
        settling.settler.started(read(delivery))
        settling.end(delivery, Completed())
        settling.all()

    run(before)
    with hearing(redis) as events:
        run(meanwhile)
    run(last)  # the last one that is written for nobody tells that nobody is there
    run(after)

    assert [(event["type"], event["task_id"]) for event in events] == [("Processing", "t1"), ("Completed", "t1")]
    assert [bool(delivery.note) for delivery in (before, meanwhile, last, after)] == [False, True, True, False]
    assert settling.confirmed == [(f"t{n}", "committed") for n in range(4)]


# -- batches


def test_no_call_settles_more_than_a_script_may_hold(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 2 * SETTLE_BATCH + 100)
    for delivery in found:
        settling.end(delivery, Completed())

    settling.settler._next = settling.settler._make_round()
    sizes = [len(group.batch) for group in settling.settler._next.groups]
    settling.all()

    assert max(sizes) == SETTLE_BATCH
    assert redis.xlen(keys.streams["n"]) == 0


def test_batches_are_cut_by_bytes_too(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 10)
    third = b'"' + b"x" * (BATCH_BYTES // 3) + b'"'
    for delivery in found:
        settling.end(delivery, Completed(third, 60_000))

    settling.settler._next = settling.settler._make_round()
    assert max(len(group.batch) for group in settling.settler._next.groups) == 2
    settling.all()

    assert {task for task, word in settling.confirmed if word == "committed"} == {f"t{n}" for n in range(10)}
    assert redis.strlen(keys.result("t9")) == len(third)


def test_one_outcome_that_is_larger_than_a_batch_is_settled_alone(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 3)
    for delivery, size in zip(found, (10, 2 * BATCH_BYTES, 10), strict=True):
        settling.end(delivery, Completed(b'"' + b"x" * size + b'"', 60_000))

    settling.all()

    assert [word for _, word in settling.confirmed] == ["committed"] * 3
    assert redis.strlen(keys.result("t1")) == 2 * BATCH_BYTES + 2


def test_outcomes_that_do_not_fit_in_a_round_come_in_the_next_in_their_order(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    found = deliveries(app, fetching, 1500)
    for delivery in found:
        settling.end(delivery, Completed())

    settling.all()

    assert [task for task, _ in settling.confirmed] == [f"t{n}" for n in range(1500)]


# -- the connection breaks


@pytest.mark.parametrize("kind", range(5), ids=["completed", "retried", "put-off", "dead", "released"])
def test_a_lost_reply_is_asked_for_again_and_the_remembered_one_decides(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy, keys: QueueKeys, kind: int
) -> None:
    [delivery] = deliveries(app, fetching, 1)
    proxied.end(delivery, outcomes(delivery)[kind])
    cut = proxy.hit_next("cut_reply")
    with pytest.raises(Unreachable):
        proxied.settler.step()
    assert cut.hit.is_set()
    assert pending(redis, keys) == {}, "the server did it"
    assert proxied.confirmed == []
    assert len(fetching.holdings) == 1, "it is ours until that is confirmed"

    proxied.settler.step()

    assert proxied.confirmed == [("t0", "committed")]
    assert len(fetching.holdings) == 0


@pytest.mark.parametrize("kind", range(5), ids=["completed", "retried", "put-off", "dead", "released"])
def test_a_lost_request_is_sent_again(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy, keys: QueueKeys, kind: int
) -> None:
    [delivery] = deliveries(app, fetching, 1)
    proxied.end(delivery, outcomes(delivery)[kind])
    proxy.hit_next("cut_request")
    with pytest.raises(Unreachable):
        proxied.settler.step()
    assert pending(redis, keys) == {WORKER: 1}

    proxied.settler.step()

    assert proxied.confirmed == [("t0", "committed")]
    assert pending(redis, keys) == {}


@pytest.mark.parametrize("kind", range(5), ids=["completed", "retried", "put-off", "dead", "released"])
def test_a_request_that_comes_late_changes_nothing(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy, keys: QueueKeys, kind: int
) -> None:
    [delivery] = deliveries(app, fetching, 1)
    proxied.end(delivery, outcomes(delivery)[kind])
    proxied.settler._link.command("PING")
    proxy.hit_next("ghost")
    with pytest.raises(Unreachable):
        proxied.settler.step()
    proxied.all()
    before = waiting(redis, keys), dead_letters(redis, keys), redis.zrange(keys.scheduled, 0, -1, withscores=True)

    [reply] = proxy.release_ghosts()

    assert reply[0] == 1, "the server remembers that it had this number"
    after = waiting(redis, keys), dead_letters(redis, keys), redis.zrange(keys.scheduled, 0, -1, withscores=True)
    assert after == before
    assert proxied.confirmed == [("t0", "committed")]


def test_a_request_that_comes_after_a_later_one_is_refused(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy
) -> None:
    first, second = deliveries(app, fetching, 2)
    proxied.end(first, Completed())
    proxy.hit_next("ghost")
    with pytest.raises(Unreachable):
        proxied.settler.step()
    proxied.all()
    proxied.end(second, Completed())
    proxied.all()

    [reply] = proxy.release_ghosts()

    assert isinstance(reply, Exception)
    assert "STALE" in str(reply)


def test_new_outcomes_wait_until_the_round_before_is_sure(
    app: Buraq, redis: Redis, fetching: Fetching, proxied: Settling, proxy: Proxy
) -> None:
    first, second = deliveries(app, fetching, 2)
    proxied.end(first, Completed())
    proxy.hit_next("cut_reply")
    with pytest.raises(Unreachable):
        proxied.settler.step()
    proxied.end(second, Completed())

    proxied.settler.step()
    assert proxied.confirmed == [("t0", "committed")]

    proxied.settler.step()
    assert proxied.confirmed == [("t0", "committed"), ("t1", "committed")]


def test_metrics_count_a_commit_once_though_its_reply_was_lost(
    app: Buraq, redis: Redis, proxy: Proxy, fetching: Fetching, count: Counters
) -> None:
    far = Buraq(redis_url=proxy.url)
    far.task(lambda: None, name="t")
    worker = Worker(far, name=WORKER)
    for delivery in deliveries(app, fetching, 3):
        worker.holdings.adopt(delivery)
        delivery.started = time.monotonic()
        worker.settler.ended(read(delivery), Completed())
    proxy.hit("cut_reply", share=0.5)
    for _ in range(50):
        worker.settler.attempt()
        if not worker.settler.pending:
            break
    worker.metrics.flush()

    assert count("tasks_processed_total", task_type="t", status="success") == 3
    assert count("task_duration_seconds_count", task_type="t") == 3
    assert count("tasks_lost_total") == 0


# -- what is gone


def gone(redis: Redis, keys: QueueKeys, delivery: Delivery) -> None:
    """Take a delivery away, as a reclaim does."""
    redis.xack(keys.streams[delivery.letter], "buraq_workers", delivery.entry)
    redis.xdel(keys.streams[delivery.letter], delivery.entry)


@pytest.mark.parametrize("kind", range(5), ids=["completed", "retried", "put-off", "dead", "released"])
def test_an_outcome_of_what_is_no_longer_ours_is_dropped(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys, kind: int
) -> None:
    lost, kept = deliveries(app, fetching, 2)
    gone(redis, keys, lost)
    for delivery in (lost, kept):
        settling.end(delivery, outcomes(delivery)[kind])

    settling.all()

    assert settling.confirmed == [("t0", "lost"), ("t1", "committed")]
    assert len(fetching.holdings) == 0
    assert redis.get(keys.result("t0")) is None
    assert redis.zscore(keys.scheduled, "t0") is None
    assert "t0" not in str(dead_letters(redis, keys)) + str(waiting(redis, keys))


def test_what_is_gone_is_counted_lost(app: Buraq, redis: Redis, fetching: Fetching, count: Counters) -> None:
    app.task(lambda: None, name="t")
    worker = Worker(app, name=WORKER)
    lost, kept = deliveries(app, fetching, 2)
    gone(redis, app.backend.broker("default").keys, lost)
    for delivery in (lost, kept):
        worker.holdings.adopt(delivery)
        delivery.started = time.monotonic()
        worker.settler.ended(read(delivery), Completed())

    worker.settler.step()
    worker.metrics.flush()

    assert count("tasks_lost_total") == 1
    assert count("tasks_processed_total", task_type="t", status="success") == 1
    assert len(worker.holdings) == 0


def test_after_a_lost_reply_and_a_forgotten_memo_the_outcome_is_unknown_and_not_counted_lost(
    app: Buraq, redis: Redis, fetching: Fetching, proxy: Proxy, keys: QueueKeys, count: Counters
) -> None:
    far = Buraq(redis_url=proxy.url)
    far.task(lambda: None, name="t")
    worker = Worker(far, name=WORKER)
    [delivery] = deliveries(app, fetching, 1)
    worker.holdings.adopt(delivery)
    worker.settler.ended(read(delivery), Completed())
    proxy.hit_next("cut_reply")
    with pytest.raises(Unreachable):
        worker.settler.step()
    redis.delete(keys.settled(WORKER))

    worker.settler.step()
    worker.metrics.flush()

    assert worker.settler.pending == 0
    assert len(worker.holdings) == 0
    assert count("tasks_lost_total") == 0
    assert count("tasks_processed_total", task_type="t", status="success") == 0


def test_after_flushall_nothing_is_left_to_be_settled_and_the_settler_goes_on(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 5)
    for delivery, outcome in zip(found, outcomes(found[0]), strict=True):
        settling.end(delivery, outcome)
    redis.flushall()

    settling.all()

    assert {word for _, word in settling.confirmed} == {"lost"}
    assert waiting(redis, keys) == {}
    [delivery] = deliveries(app, fetching, 1)
    settling.end(delivery, Completed())
    settling.all()
    assert settling.confirmed[-1] == ("t0", "committed")


def test_a_server_that_forgot_the_scripts_gets_them_again(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling
) -> None:
    found = deliveries(app, fetching, 5)
    settling.settler.started(read(found[0]))
    settling.settler.step()
    for delivery, outcome in zip(found, outcomes(found[0]), strict=True):
        settling.settler.started(read(delivery))
        settling.end(delivery, outcome)
    redis.script_flush()

    settling.settler.step()

    assert [word for _, word in settling.confirmed] == ["committed"] * 5


# -- the server refuses


def test_what_a_full_server_refuses_is_kept_and_settled_later(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 4)
    for delivery in found:
        settling.end(delivery, Dead("exhausted", "no"))
    settling.settler._link.command("PING")
    redis.config_set("maxmemory", 1)
    try:
        settling.settler.attempt()
        refused = list(settling.confirmed)
    finally:
        redis.config_set("maxmemory", 0)
    settling.all()

    assert sorted(settling.confirmed) == [(f"t{n}", "committed") for n in range(4)]
    assert refused in ([], settling.confirmed), "all of a batch or nothing of it"
    assert len(dead_letters(redis, keys)) == 4
    assert pending(redis, keys) == {}


def test_what_the_server_refuses_does_not_hold_up_the_rest(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 4)
    redis.set(keys.dlq, "a key of the wrong type")
    for delivery, outcome in zip(found, (Dead("x"), Completed(), Dead("x"), Completed()), strict=True):
        settling.end(delivery, outcome)

    settling.settler.step()

    assert settling.confirmed == [("t1", "committed"), ("t3", "committed")]
    assert settling.settler.pending == 2
    assert pending(redis, keys) == {WORKER: 2}

    redis.delete(keys.dlq)
    settling.all()
    assert len(dead_letters(redis, keys)) == 2


def test_more_refused_outcomes_than_a_round_holds_do_not_hold_up_what_ends_after_them(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, ROUND + 20)
    others = deliveries(app, fetching, 3, "mail")
    redis.set(keys.dlq, "a key of the wrong type")
    for delivery in found:
        settling.end(delivery, Dead("x"))
    settling.settler.step()
    settling.settler.step()
    for delivery in others:
        settling.end(delivery, Dead("x"))

    settling.settler.step()

    assert {task_id for task_id, _ in settling.confirmed} == {"mail-t0", "mail-t1", "mail-t2"}
    redis.delete(keys.dlq)
    settling.all()
    assert len(dead_letters(redis, keys)) == ROUND + 20
    assert pending(redis, keys) == {}


def test_of_refused_outcomes_one_at_a_time_is_tried_and_new_ones_wait_with_them(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, 50)
    redis.set(keys.dlq, "a key of the wrong type")
    for delivery in found[:40]:
        settling.end(delivery, Dead("x"))
    settling.settler.step()
    refused = settling.settler.refusals
    [lane] = refused._lanes.values()
    lane.due += LONG
    for delivery in found[40:]:
        settling.end(delivery, Dead("x"))
    redis.config_resetstat()

    settling.settler.step()
    assert "cmdstat_evalsha" not in redis.info("commandstats")
    lane.due = 0.0  # as after a while
    settling.settler.step()

    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    assert len(refused) == 50
    assert settling.settler.on_their_way == 0


def test_what_is_refused_is_said_with_the_keys_that_somebody_has_overwritten(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, caplog: pytest.LogCaptureFixture
) -> None:
    [delivery] = deliveries(app, fetching, 1, "mail")
    keys = app.backend.broker("mail").keys
    for key in (keys.streams["f"], keys.index):
        redis.set(key, "a key of the wrong type")
    settling.end(delivery, Released())

    settling.settler.step()
    settling.settler.attempt()

    [said] = [record for record in caplog.records if record.msg == "outcomes refused"]
    assert (said.queue, said.outcome, said.waiting) == ("mail", "Released", 1)  # type: ignore[attr-defined]
    assert said.broken_keys == f"{keys.streams['f']},{keys.index}"  # type: ignore[attr-defined]
    assert "WRONGTYPE" in said.error  # type: ignore[attr-defined]


def test_a_queue_is_full_while_too_many_of_its_outcomes_are_refused(
    app: Buraq, redis: Redis, fetching: Fetching, settling: Settling, keys: QueueKeys
) -> None:
    found = deliveries(app, fetching, MOST)
    redis.set(keys.dlq, "a key of the wrong type")
    for delivery in found[1:]:
        settling.end(delivery, Dead("x"))
    settling.settler.step()
    assert settling.settler.refusals.full == frozenset()

    settling.end(found[0], Dead("x"))
    settling.settler.step()
    assert settling.settler.refusals.full == {"default"}

    redis.delete(keys.dlq)
    settling.all()
    assert settling.settler.refusals.full == frozenset()


def test_stop_ends_a_settler_that_waits(settling: Settling) -> None:
    settling.settler.waits = LONG
    run = gevent.spawn(settling.settler.run)
    gevent.idle()

    settling.settler.stop()
    run.join(PATIENT)

    assert run.ready()


def test_an_outcome_wakes_a_settler_that_waits(app: Buraq, fetching: Fetching, settling: Settling) -> None:
    settling.settler.waits = LONG
    [delivery] = deliveries(app, fetching, 1)
    run = gevent.spawn(settling.settler.run)
    gevent.idle()

    settling.end(delivery, Completed())
    with gevent.Timeout(PATIENT):
        while not settling.confirmed:
            gevent.sleep(0.001)

    settling.settler.stop()
    run.join(PATIENT)
