"""A whole worker in this process: everything runs once, through whatever happens to the server."""

import time
from collections import Counter
from collections.abc import Callable

import gevent
import pytest
import ujson
from gevent.event import Event
from redis import Redis

from buraq.app import Buraq
from buraq.errors import Reject
from buraq.keys import LETTERS, QueueKeys
from buraq.task import current_task
from buraq.worker.refusals import MOST
from buraq.worker.worker import Worker
from tests.proxy import Proxy
from tests.servers import Server
from tests.worker.parts import GROUP, PATIENT, Counters, consumers, dead_letters, left, pending, waiting

LONG = 60.0  # seconds for what takes many tasks or an outage; the machine may be busy

Eventually = Callable[..., object]
Start = Callable[..., Worker]


class Ledger:
    """What ran, kept outside of the server."""

    def __init__(self, app: Buraq, seconds: float = 0.0) -> None:
        self.runs: Counter[str] = Counter()
        self.attempts: dict[str, list[int]] = {}
        self.running: set[str] = set()
        self.go = Event()
        self.go.set()
        self.seconds = seconds
        app.task(name="t")(self.task)

    def task(self) -> None:
        task = current_task()
        self.runs[task.id] += 1
        self.attempts.setdefault(task.id, []).append(task.attempt)
        self.running.add(task.id)
        try:
            self.go.wait(60)
            if self.seconds:
                gevent.sleep(self.seconds)
        finally:
            self.running.discard(task.id)


@pytest.fixture
def keys(app: Buraq) -> QueueKeys:
    return app.backend.broker("default").keys


def enqueue(app: Buraq, count: int, prefix: str = "t", **options: object) -> set[str]:
    """Enqueue tasks from many greenlets, as web requests do; return their ids."""
    task_ids = [f"{prefix}{n}" for n in range(count)]
    rows = [gevent.spawn(app.enqueue, "t", id=task_id, **options) for task_id in task_ids]
    gevent.joinall(rows, raise_error=True)
    return set(task_ids)


def nothing_waits(redis: Redis, keys: QueueKeys) -> bool:
    return not any(redis.xlen(keys.streams[letter]) for letter in LETTERS) and not redis.zcard(keys.scheduled)


# -- without a fault


def test_2000_tasks_run_once_each_and_nothing_is_left(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, count: Counters
) -> None:
    ledger = Ledger(app)
    worker = start(app, concurrency=100)

    task_ids = enqueue(app, 2000)
    eventually(lambda: len(ledger.runs) == 2000 and nothing_waits(redis, keys), timeout=LONG)
    assert redis.xinfo_stream(keys.streams["f"])["entries-added"] == 0, "nothing was handed back on the way"
    worker.stop(5.0)

    assert ledger.runs == dict.fromkeys(task_ids, 1)
    assert count("tasks_processed_total", task_type="t", status="success") == 2000
    assert count("task_wait_seconds_count", task_type="t") == 2000
    assert count("tasks_lost_total") == count("worker_panics_total") == 0
    assert left(redis, keys) == {}


def test_failures_retries_and_dead_letters_are_counted_exactly(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, count: Counters
) -> None:
    runs: Counter[str] = Counter()

    def flaky(fails: int) -> None:
        runs[current_task().id] += 1
        if current_task().attempt <= fails:
            raise ValueError("no")

    app.task(name="flaky", max_retries=2)(flaky)
    worker = start(app, concurrency=50)
    for n in range(40):
        app.enqueue("flaky", {"fails": n % 4}, id=f"t{n}")

    eventually(lambda: redis.xlen(keys.dlq) == 10 and redis.hlen(keys.index) == 10, timeout=LONG)
    worker.stop(5.0)

    assert runs == {f"t{n}": min(n % 4 + 1, 3) for n in range(40)}
    assert count("tasks_processed_total", task_type="flaky", status="success") == 30
    assert count("tasks_processed_total", task_type="flaky", status="error") == 10 * (1 + 2 + 3)
    assert count("tasks_failed_total", task_type="flaky") == 60
    assert count("tasks_retried_total", task_type="flaky") == 50
    assert count("tasks_dlq_total", task_type="flaky") == 10
    assert {letter["reason"] for letter in dead_letters(redis, keys)} == {"exhausted"}


def test_all_entries_that_hold_no_task_are_dead_with_their_reason_and_the_worker_goes_on(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    ledger = Ledger(app)
    bad = [b"", b"{", b"\xff", b"[]", b'{"id":7,"type":"t"}', b'{"id":"t1","type":"t","timeout":"x"}', b"[" * 5000]
    for body in bad:
        redis.xadd(keys.streams["n"], {"payload": body})
    redis.xadd(keys.streams["n"], {"body": "not ours"})
    worker = start(app)

    eventually(lambda: redis.xlen(keys.dlq) == len(bad) + 1)
    enqueue(app, 1)
    eventually(lambda: ledger.runs["t0"] == 1)
    worker.stop(5.0)

    letters = app.backend.server.client(decode=False).xrange(keys.dlq)
    assert {body[b"reason"] for _, body in letters} == {b"undecodable"}
    assert [body.get(b"payload") for _, body in letters] == [*bad, None]


def test_a_task_in_the_bytes_of_the_original_runs(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    got = []

    def email_notification(user_id: int, template: str) -> None:
        task = current_task()
        got.append((user_id, template, task.id, task.attempt, task.max_retries, task.priority, task.timeout))

    app.task(email_notification)
    redis.xadd(
        keys.streams["h"],
        {
            "payload": '{"id":"task-1","type":"email_notification","payload":{"user_id":123,"template":"welcome"},'
            '"created_at":"2026-11-21T18:52:00.123456Z","max_retries":3,"current_retries":0,"priority":"high",'
            '"timeout":30000000000}'
        },
    )
    worker = start(app)
    eventually(lambda: got)
    worker.stop(5.0)

    assert got == [(123, "welcome", "task-1", 1, 3, "high", 30.0)]
    assert left(redis, keys) == {}


def test_members_of_the_original_survive_a_retry(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    app.task(name="fails")(lambda: 1 / 0)
    redis.xadd(
        keys.streams["n"],
        {"payload": '{"id":"task-1","type":"fails","max_retries":1,"theirs":{"big":12345678901234567890}}'},
    )
    worker = start(app)
    eventually(lambda: redis.xlen(keys.dlq) == 1)
    worker.stop(5.0)

    [letter] = dead_letters(redis, keys)
    assert ujson.loads(letter["payload"])["theirs"] == {"big": 12345678901234567890}


def test_a_queue_that_appears_later_is_consumed(app: Buraq, redis: Redis, start: Start, eventually: Eventually) -> None:
    ledger = Ledger(app)
    start(app)

    enqueue(app, 3, queue="new")

    eventually(lambda: len(ledger.runs) == 3)


def test_a_queue_whose_stream_is_none_holds_up_no_other_and_runs_when_that_is_mended(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    ledger = Ledger(app)
    mail = app.backend.broker("mail").keys
    redis.sadd(app.backend.names.queues, "mail")
    redis.set(mail.streams["n"], "a text")
    worker = start(app)
    eventually(lambda: len(worker.fetcher.brokers) == 2)
    task_ids = enqueue(app, 50)
    eventually(lambda: len(ledger.runs) == 50 and nothing_waits(redis, keys))

    redis.delete(mail.streams["n"])
    task_ids |= enqueue(app, 5, "m", queue="mail")
    eventually(lambda: len(ledger.runs) == 55 and nothing_waits(redis, mail))
    worker.stop(5.0)

    assert ledger.runs == dict.fromkeys(task_ids, 1)
    assert left(redis, keys) == left(redis, mail) == {}


def test_delayed_tasks_run_in_time(app: Buraq, redis: Redis, start: Start, eventually: Eventually) -> None:
    late: dict[str, float] = {}
    due: dict[str, float] = {}
    app.task(name="t")(lambda: late.setdefault(current_task().id, time.time()))
    start(app)
    for n in range(5):
        due[f"t{n}"] = time.time() + 0.3 + 0.05 * n
        app.enqueue("t", id=f"t{n}", at=due[f"t{n}"])

    eventually(lambda: len(late) == 5)

    assert all(-0.002 <= late[task_id] - due[task_id] < PATIENT for task_id in due)


# -- stopping


def test_what_runs_beyond_the_grace_is_handed_back_and_charged_nothing(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, count: Counters
) -> None:
    ledger = Ledger(app)
    ledger.go.clear()
    worker = start(app, concurrency=10)
    enqueue(app, 15)
    eventually(lambda: len(ledger.running) == 10)

    began = time.monotonic()
    assert worker.stop(0.2) == 10

    assert time.monotonic() - began < PATIENT
    assert sum(len(names) for names in waiting(redis, keys).values()) == 15
    assert len(waiting(redis, keys)["f"]) >= 10
    for _, body in redis.xrange(keys.streams["f"]):
        assert "deaths" not in body
        assert ujson.loads(body["payload"])["current_retries"] == 0
    assert pending(redis, keys) == {}
    assert consumers(redis, keys) == set()
    assert redis.zrange(keys.leases, 0, -1) == []
    assert count("tasks_lost_total") == count("tasks_failed_total", task_type="t") == 0

    ledger.go.set()
    start(app, concurrency=10)
    eventually(lambda: nothing_waits(redis, keys))
    assert {task: attempts[-1] for task, attempts in ledger.attempts.items()} == {f"t{n}": 1 for n in range(15)}


def test_what_ends_within_the_grace_is_completed(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    ledger = Ledger(app, seconds=0.2)
    worker = start(app)
    enqueue(app, 10)
    eventually(lambda: len(ledger.running) == 10)

    assert worker.stop(PATIENT) == 0

    assert ledger.runs == {f"t{n}": 1 for n in range(10)}
    assert left(redis, keys) == {}


def test_a_stop_is_quick_when_nothing_runs(server: Server, redis: Redis, keys: QueueKeys, start: Start) -> None:
    worker = start(Buraq(redis_url=server.unix_url, block_timeout="60s"))
    with gevent.Timeout(PATIENT):
        while not redis.info("clients")["blocked_clients"]:
            gevent.sleep(0.01)

    began = time.monotonic()
    worker.stop(PATIENT)

    assert time.monotonic() - began < PATIENT, "it does not wait for its read to end by itself"
    assert left(redis, keys) == {}


def test_a_hurry_ends_the_grace(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    ledger = Ledger(app)
    ledger.go.clear()
    worker = start(app)
    enqueue(app, 3)
    eventually(lambda: len(ledger.running) == 3)
    hurry = Event()
    gevent.spawn_later(0.1, hurry.set)

    began = time.monotonic()
    worker.stop(60.0, hurry=hurry.is_set)

    assert time.monotonic() - began < PATIENT
    assert len(waiting(redis, keys)["f"]) == 3


def test_a_task_that_does_not_let_itself_be_ended_is_handed_back_too(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, count: Counters
) -> None:
    over = Event()
    runs = []

    def stubborn() -> None:
        runs.append(current_task().id)
        while not over.is_set():
            try:
                over.wait(60)
            except BaseException as error:
                runs.append(type(error).__name__)

    app.task(name="stubborn")(stubborn)
    worker = start(app)
    app.enqueue("stubborn", id="t0")
    eventually(lambda: runs)

    worker.stop(0.0)

    assert runs == ["t0", "GreenletExit"]
    assert waiting(redis, keys) == {"f": ["t0"]}
    assert redis.zrange(keys.leases, 0, -1) == []
    over.set()
    gevent.idle()
    assert waiting(redis, keys) == {"f": ["t0"]}


def test_a_stop_while_the_server_is_away_ends_all_the_same(
    redis: Redis, proxy: Proxy, start: Start, eventually: Eventually
) -> None:
    app = Buraq(redis_url=proxy.url)
    ledger = Ledger(app)
    ledger.go.clear()
    worker = start(app)
    enqueue(app, 3)
    eventually(lambda: len(ledger.running) == 3)
    proxy.refuse()

    began = time.monotonic()
    worker.stop(0.1)

    assert time.monotonic() - began < PATIENT


def test_a_stop_while_the_server_hangs_ends_all_the_same(
    redis: Redis, proxy: Proxy, start: Start, eventually: Eventually
) -> None:
    app = Buraq(redis_url=proxy.url)
    ledger = Ledger(app)
    ledger.go.clear()
    worker = start(app)
    enqueue(app, 3)
    eventually(lambda: len(ledger.running) == 3)
    proxy.hit("stall", lambda request: True)

    began = time.monotonic()
    worker.stop(0.1)

    assert time.monotonic() - began < PATIENT
    proxy.heal()


# -- burst


def burst(app: Buraq, start: Start) -> Worker:
    """Run a burst to its end."""
    worker = start(app, burst=True, concurrency=20)
    with gevent.Timeout(LONG):
        while not worker.done:
            gevent.sleep(0.005)
    worker.stop(5.0)
    return worker


def test_a_burst_works_off_what_there_is_and_is_done(app: Buraq, redis: Redis, keys: QueueKeys, start: Start) -> None:
    ledger = Ledger(app)
    task_ids = enqueue(app, 100)

    burst(app, start)

    assert ledger.runs == dict.fromkeys(task_ids, 1)
    assert left(redis, keys) == {}


def test_a_burst_of_nothing_is_done_at_once(server: Server, redis: Redis, start: Start) -> None:
    began = time.monotonic()

    burst(Buraq(redis_url=server.unix_url, block_timeout="60s"), start)

    assert time.monotonic() - began < PATIENT, "it does not wait for something to come"


@pytest.mark.parametrize("turn", range(3))
def test_a_burst_works_off_queues_that_no_task_function_names(
    app: Buraq, redis: Redis, start: Start, turn: int
) -> None:
    ledger = Ledger(app)
    enqueue(app, 5, queue="other")

    burst(app, start)

    assert len(ledger.runs) == 5


@pytest.mark.parametrize("turn", range(3))
def test_a_burst_works_off_what_is_due(app: Buraq, redis: Redis, start: Start, turn: int) -> None:
    ledger = Ledger(app)
    enqueue(app, 250, delay=0.01)
    gevent.sleep(0.02)

    burst(app, start)

    assert len(ledger.runs) == 250


def test_a_burst_works_off_what_its_tasks_enqueue(app: Buraq, redis: Redis, start: Start) -> None:
    depth = []

    def chain(n: int) -> None:
        depth.append(n)
        if n:
            app.enqueue("chain", {"n": n - 1})

    app.task(name="chain")(chain)
    app.enqueue("chain", {"n": 10})

    burst(app, start)

    assert depth == list(range(10, -1, -1))


# -- the server loses things


def new_tasks_run(app: Buraq, ledger: Ledger, prefix: str) -> None:
    """Check that tasks which are enqueued now run before long."""
    began = time.monotonic()
    n = 0
    while time.monotonic() - began < PATIENT:
        app.enqueue("t", id=f"{prefix}-{n}")
        n += 1
        gevent.sleep(0.02)
        if any(task_id.startswith(f"{prefix}-") for task_id in ledger.runs):
            return
    raise AssertionError(f"no new task ran within {PATIENT} s")


@pytest.mark.parametrize("what", ["FLUSHALL", "XGROUP DESTROY", "SCRIPT FLUSH", "DEL", "CLIENT KILL"])
def test_work_goes_on_after_the_server_lost_something_under_load(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, what: str
) -> None:
    ledger = Ledger(app, seconds=0.05)
    worker = start(app, concurrency=20)
    enqueue(app, 200)
    eventually(lambda: len(ledger.runs) > 40)

    if what == "FLUSHALL":
        redis.flushall()
    elif what == "SCRIPT FLUSH":
        redis.script_flush()
    elif what == "XGROUP DESTROY":
        for letter in LETTERS:
            redis.xgroup_destroy(keys.streams[letter], GROUP)
    elif what == "DEL":
        redis.delete(*keys.streams.values())
    else:
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    new_tasks_run(app, ledger, "after")
    eventually(lambda: nothing_waits(redis, keys) and not len(worker.holdings), timeout=LONG)
    assert worker.broken is None
    if what in ("SCRIPT FLUSH", "CLIENT KILL"):
        assert {task_id: runs for task_id, runs in ledger.runs.items() if runs > 1} == {}
        assert all(ledger.runs[f"t{n}"] for n in range(200))
    elif what == "XGROUP DESTROY":
        assert all(ledger.runs[f"t{n}"] for n in range(200)), "the entries are there, and the new group starts from 0"
    worker.stop(5.0)
    assert pending(redis, keys) == {}


def test_a_server_that_stops_and_starts_again_loses_nothing(
    fresh_server: Callable[..., Server], start: Start, eventually: Eventually, count: Counters
) -> None:
    server = fresh_server("valkey", aof=True)
    app = Buraq(redis_url=server.url, lease_ttl="1s", retry_backoff="0s")
    keys = app.backend.broker("default").keys
    ledger = Ledger(app, seconds=0.02)
    worker = start(app, concurrency=20)
    task_ids = enqueue(app, 400)
    eventually(lambda: len(ledger.runs) > 100)

    server.stop()
    gevent.sleep(1.5)  # longer than the lease
    server.start()
    redis = server.client()

    new_tasks_run(app, ledger, "after")
    eventually(lambda: nothing_waits(redis, keys) and not len(worker.holdings), timeout=LONG)
    worker.stop(5.0)

    assert task_ids <= ledger.runs.keys()
    assert worker.broken is None
    assert {attempt for attempts in ledger.attempts.values() for attempt in attempts} == {1}
    assert sum(runs > 1 for runs in ledger.runs.values()) <= 20 * 2, "only what was being settled or fetched"
    assert left(redis, keys) == {}
    assert count("tasks_processed_total", task_type="t", status="success") <= len(ledger.runs)


def test_3000_tasks_complete_once_each_though_5_percent_of_the_replies_are_lost(
    server: Server, redis: Redis, proxy: Proxy, start: Start, eventually: Eventually, count: Counters
) -> None:
    near = Buraq(redis_url=server.unix_url)
    far = Buraq(redis_url=proxy.url, lease_ttl="2s")
    keys = near.backend.broker("default").keys
    ledger = Ledger(far)
    completed: Counter[str] = Counter()
    listener = redis.pubsub()
    listener.subscribe("buraq_events")
    worker = start(far, concurrency=20)
    worker.fetcher._batch = 20
    fault = proxy.hit("cut_reply", lambda request: b"XREADGROUP" in request or b"complete:" in request, share=0.05)

    for _ in range(3):
        enqueue(near, 1000, f"t{_}-")

    eventually(lambda: len(ledger.runs) == 3000 and nothing_waits(redis, keys), timeout=60)
    proxy.heal()
    eventually(lambda: not worker.settler.pending and not len(worker.holdings), timeout=LONG)
    worker.stop(5.0)
    redis.publish("buraq_events", "end")
    while (message := listener.get_message(timeout=PATIENT))["data"] != "end":
        if message["type"] == "message":
            event = ujson.loads(message["data"])
            completed[event["task_id"]] += event["type"] == "Completed"
    listener.close()

    assert fault.hit.is_set()
    assert proxy.counts["cut_reply"] >= 5
    assert set(completed.values()) == {1}, "each is committed exactly once"
    assert len(completed) == 3000
    assert set(ledger.runs.values()) == {1}, "a lost reply is no reason to run a task again"
    assert count("tasks_processed_total", task_type="t", status="success") == 3000
    assert count("tasks_lost_total") == 0
    assert left(redis, keys) == {}


# -- something else overwrites a key


def test_outcomes_that_are_refused_hold_up_no_other_queue_and_no_stop_and_are_not_lost(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually
) -> None:
    mail, ledger, runs = app.backend.broker("mail").keys, Ledger(app), Counter[str]()

    def wrong() -> None:
        runs[current_task().id] += 1
        raise Reject("no")

    mails = app.task(name="wrong", queue="mail")(wrong)
    mails.enqueue_many([{}] * 800)
    redis.set(mail.dlq, "of the wrong type")
    worker = start(app, concurrency=50)
    eventually(lambda: "mail" in worker.settler.refusals.full, timeout=LONG)

    task_ids = enqueue(app, 1500)
    eventually(lambda: len(ledger.runs) == 1500 and nothing_waits(redis, keys), timeout=LONG)
    eventually(lambda: not worker.slots.load)
    assert MOST <= len(worker.settler.refusals) <= MOST + 100, (
        "beyond that the slots had some, and a fetch brought some"
    )
    worker.stop(5.0)

    assert ledger.runs == dict.fromkeys(task_ids, 1)
    assert MOST <= len(runs) <= MOST + 100
    assert sum(map(len, waiting(redis, mail).values())) == 800
    assert pending(redis, mail) == {}

    redis.delete(mail.dlq)
    second = start(app, concurrency=50)
    eventually(lambda: redis.xlen(mail.dlq) == 800 and nothing_waits(redis, mail), timeout=LONG)
    second.stop(5.0)
    assert {letter["reason"] for letter in dead_letters(redis, mail)} == {"rejected"}


def test_streams_that_were_overwritten_under_their_tasks_hold_up_no_other_queue_and_a_stop_says_what_it_was(
    app: Buraq, redis: Redis, keys: QueueKeys, start: Start, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    post, ledger = app.backend.broker("post").keys, Ledger(app)
    ledger.go.clear()
    worker = start(app, queues=["default", "post"], concurrency=50)
    enqueue(app, 20, "p", queue="post")
    eventually(lambda: len(ledger.running) == 20)
    for letter in LETTERS:
        redis.set(post.streams[letter], "of the wrong type")
    ledger.go.set()
    eventually(lambda: len(worker.settler.refusals) == 20)

    enqueue(app, 300)
    eventually(lambda: len(ledger.runs) == 320 and nothing_waits(redis, keys), timeout=LONG)
    worker.stop(5.0)

    assert left(redis, keys) == {}
    said = {record.msg: record for record in caplog.records}
    assert post.streams["n"] in said["outcomes refused"].broken_keys.split(",")  # type: ignore[attr-defined]
    assert "WRONGTYPE" in said["stop: Redis refused"].error  # type: ignore[attr-defined]
    assert "stop: Redis did not answer" not in said


# -- another worker dies


def kill(worker: Worker, redis: Redis) -> None:
    """End a worker as SIGKILL would: nothing of it runs on, and its lease runs out."""
    worker.lease.stop()
    gevent.killall(worker._greenlets)
    worker.slots._killed = True
    worker.slots._ended = lambda delivery, outcome, slot: None  # type: ignore[assignment]
    gevent.killall(worker.slots._greenlets, block=False)
    with gevent.Timeout(PATIENT):
        while not worker.lease.stopped:
            gevent.sleep(0.01)
    worker.settler.close()
    worker.fetcher._link.close()
    for broker in worker.lease.covered:
        redis.zadd(broker.keys.leases, {worker.name: 1})


def test_what_ran_in_a_worker_that_died_runs_in_another_one(
    server: Server, redis: Redis, start: Start, eventually: Eventually, count: Counters
) -> None:
    first, second = (Buraq(redis_url=server.unix_url, lease_ttl="1s") for _ in range(2))
    keys = first.backend.broker("default").keys
    cut_off, done = Ledger(first), Ledger(second)
    cut_off.go.clear()
    dying = start(first, concurrency=30)
    task_ids = enqueue(first, 40)
    eventually(lambda: len(cut_off.running) == 30)
    surviving = start(second, concurrency=100)

    kill(dying, redis)

    eventually(lambda: len(done.runs) == 40 and nothing_waits(redis, keys), timeout=LONG)
    assert done.runs == dict.fromkeys(task_ids, 1)
    assert {attempt for attempts in done.attempts.values() for attempt in attempts} == {1}, "no attempt is charged"
    assert count("tasks_reclaimed_total") == 30
    eventually(lambda: consumers(redis, keys) == {surviving.name})
    surviving.stop(5.0)
    assert left(redis, keys).keys() <= {"leases", "facts"}, "what a dead process was is shown for a while"


def test_two_workers_share_the_work_and_none_runs_twice(
    server: Server, redis: Redis, start: Start, eventually: Eventually
) -> None:
    apps = [Buraq(redis_url=server.unix_url) for _ in range(2)]
    keys = apps[0].backend.broker("default").keys
    ledgers = [Ledger(app, seconds=0.005) for app in apps]
    workers = [start(app, concurrency=10) for app in apps]
    eventually(lambda: all(worker.fetcher.open for worker in workers))  # else one might have done all before

    task_ids = enqueue(apps[0], 500)
    eventually(lambda: nothing_waits(redis, keys), timeout=LONG)
    for worker in workers:
        worker.stop(5.0)

    assert ledgers[0].runs + ledgers[1].runs == Counter(dict.fromkeys(task_ids, 1))
    assert all(len(ledger.runs) > 50 for ledger in ledgers)
    assert left(redis, keys) == {}


# -- supervision


def test_a_loop_that_breaks_is_reported_by_name(
    app: Buraq, redis: Redis, eventually: Eventually, count: Counters
) -> None:
    told: list[str] = []
    worker = Worker(app, on_death=told.append)
    worker.promoter.step = lambda: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    worker.start()

    eventually(lambda: told == ["promote"])
    worker.stop(0.0)

    assert worker.broken == "promote"
    assert count("worker_panics_total") == 1


def test_what_waits_on_the_shared_connection_holds_up_no_loop(app: Buraq, redis: Redis) -> None:
    worker = Worker(app)
    worker.lease.brokers = (app.backend.broker("default"),)
    for _ in range(2):
        worker.lease.renew()
    app.enqueue("t", id="t1", delay=0.001)
    gevent.sleep(0.01)

    with app.backend.server.shared._lock, gevent.Timeout(PATIENT):  # as a task's claim that gets no answer
        for loop in worker.loops:
            if loop is not worker.settler:
                loop.step()

    assert worker.slots.load == 0
    assert worker.promoter.quiet_rounds == 0


def test_what_one_of_several_shards_denies_is_told_while_others_have_no_lease_either() -> None:
    worker = Worker(Buraq(redis_cluster=True))
    assert worker.denied == ""

    lease = worker.lanes[3].lease
    lease.denied = "commands zadd"
    assert worker.denied == "commands zadd"

    lease.covered = lease.brokers = (worker.lanes[3].shard.broker("default"),)
    assert worker.denied == "", "the process has begun"
