"""What is kept of runs that have ended, and what a whole worker leaves behind of them."""

import time
from typing import Any

import gevent
import pytest
import ujson
from redis import Redis

from buraq import attempts, records
from buraq.app import Buraq
from buraq.browse import Tasks
from buraq.errors import Snooze
from buraq.history import History
from buraq.inspector import Inspector
from buraq.records import COMPLETED_A_SECOND, PAYLOAD_KEPT
from buraq.statistics import MINUTES, NAMES, RUN, UNKEPT, WAIT, Slot, read
from buraq.task import Completed, Dead, Delivery, Released, Retried
from buraq.worker.facts import Facts, Lag
from buraq.worker.recorder import Recorder
from buraq.worker.worker import Worker
from tests.worker.parts import PATIENT, delivery_of, raw_task
from tests.worker.parts import read as decoded


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def ran(outcome: Any, task_id: str = "t", raw: bytes | None = None, started: float = 1.0) -> Delivery:
    delivery = decoded(delivery_of(raw or raw_task(task_id)))
    delivery.outcome, delivery.started, delivery.took, delivery.slot = outcome, started, 0.25, 7
    return delivery


def kept(delivery: Delivery) -> list[tuple[int, str, str]]:
    return [(one["number"], one["outcome"], one["worker"]) for one in attempts.read(delivery.attempts)[0]]


def test_of_completed_tasks_so_many_a_second_are_kept_and_the_others_counted() -> None:
    clock = Clock()
    recorder = Recorder("w", 10, clock=clock)
    batch = [ran(Completed()) for _ in range(COMPLETED_A_SECOND + 5)]
    sums = recorder.prepare(batch)
    assert [delivery.record is not None for delivery in batch] == [True] * COMPLETED_A_SECOND + [False] * 5
    assert f"{UNKEPT}=5" in sums.split()
    assert f"{UNKEPT}=1" in recorder.prepare([ran(Completed())]).split()
    clock.now += 1.0
    assert UNKEPT not in [int(pair.partition("=")[0]) for pair in recorder.prepare([ran(Completed())]).split()]


def test_the_sums_are_of_runs_and_waits() -> None:
    sums = dict(pair.split("=") for pair in Recorder("w", 0).prepare([ran(Completed()), ran(Completed())]).split())
    counters = sorted(map(int, sums))
    assert [RUN <= counters[0] < WAIT, counters[1] >= WAIT] == [True, True]
    assert set(sums.values()) == {"2"}


def test_times_are_the_servers_also_after_our_own_clock_was_put_right() -> None:
    wrong_by = [-3600.0]
    recorder = Recorder("w", 10, lambda: -1000 * wrong_by[0], wall=lambda: time.time() + wrong_by[0])
    for wrong_by[0] in (-3600.0, 0.0):
        entry = b"%d-0" % round((time.time() - 2) * 1000)
        delivery = decoded(delivery_of(raw_task("t"), entry=entry))
        delivery.outcome, delivery.started, delivery.took = Completed(), time.monotonic(), 0.25
        recorder.prepare([delivery])
        assert 1.9 < delivery.waited < 60
        [attempt] = attempts.read(delivery.attempts)[0]
        assert abs(attempt["started_ms"] / 1000 - time.time()) < 60


def test_without_a_history_nothing_is_recorded_but_the_attempts_of_what_goes_on() -> None:
    done, failed = ran(Completed()), ran(Retried(1, b"{}", True, "E: no"))
    recorder = Recorder("w", 0)
    recorder.prepare([done])
    recorder.prepare([failed])
    assert (done.record, done.attempts, failed.record) == (None, b"", "")
    assert kept(failed) == [(1, "failed", "w-7")]


def test_what_is_refused_and_comes_again_is_written_once() -> None:
    recorder, failed = Recorder("w", 10), ran(Dead("exhausted", "E: no", "Traceback"))
    assert recorder.prepare([failed]) == recorder.prepare([failed])
    assert kept(failed) == [(1, "failed", "w-7")]


def test_a_task_that_was_put_off_keeps_the_attempt_and_counts_nothing() -> None:
    recorder = Recorder("w", 10)
    snoozed, waiting = ran(Retried(1, b"{}", False)), ran(Retried(1, b"{}", False), started=0.0)
    assert recorder.prepare([snoozed, waiting]) == ""
    assert (kept(snoozed), kept(waiting), snoozed.record) == ([(1, "snoozed", "w-7")], [], "")
    assert recorder.prepare([ran(Released())]) == ""


def test_a_record_says_what_happened_and_leaves_a_large_payload_out() -> None:
    recorder = Recorder("w", 10)
    large = ran(
        Dead("exhausted", "E: no", "x" * 9000), raw=raw_task("t", payload={"s": "x" * PAYLOAD_KEPT}, put_back=2)
    )
    recorder.prepare([large])
    found = records.read((large.record or "").encode())
    assert found is not None
    assert (found.reason, found.error, found.duration_ms, found.worker) == ("exhausted", "E: no", 250, "w")
    assert (found.payload_left_out, found.task.payload, found.task.members["put_back"]) == (True, {}, 2)
    assert len(found.traceback) == records.TRACEBACK_KEPT
    assert len(large.record or "") < 6000


@pytest.mark.parametrize("raw", [b"", b"no", b"{}", b"[]", b'{"task":"{}"}', b'{"task":7,"attempts":""}'])
def test_a_record_that_cannot_be_read_is_none(raw: bytes) -> None:
    assert records.read(raw) is None


def test_what_cannot_be_read_has_no_record() -> None:
    broken = delivery_of(b"no json")
    broken.outcome = Dead("undecodable", "why")
    assert Recorder("w", 10).prepare([broken]) == ""
    assert broken.record == ""


def test_the_longest_lag_is_shown_for_a_minute_at_most() -> None:
    lag = Lag()
    lag.note(100.0, 0.2)
    lag.note(110.0, 0.1)
    assert lag.worst() == 0.2
    lag.note(131.0, 0.05)
    assert lag.worst() == 0.2
    lag.note(162.0, 0.01)
    assert lag.worst() == 0.05


def test_facts_say_how_fast_the_process_is() -> None:
    facts = Facts(10, lambda: 3, 10.0)
    assert facts.read()["completed_s"] == "0"
    facts.done["completed"] += 5
    said = facts.read()
    assert float(said["completed_s"]) > 0
    assert (said["lease_ttl_ms"], said["retried_s"]) == (10_000, "0.0")


# -- a whole worker


def totals(app: Buraq) -> Slot:
    now_ms, [raw] = Inspector(app.backend).statistics(["default"])
    total = Slot()
    for slot in read(raw, MINUTES, now_ms // 1000, 3):
        total.add(slot.numbers)
    return total


def test_what_the_server_has_counted_is_what_ran(app: Buraq, redis: Redis) -> None:
    calls: list[str] = []

    @app.task(name="t", max_retries=1, backoff=0.0)
    def work(how: str) -> None:
        calls.append(how)
        if how == "snoozes" and calls.count(how) == 1:
            raise Snooze(0)
        if how == "fails":
            raise ValueError("no")

    for how in ("returns", "returns", "fails", "snoozes"):
        work.options(id=f"{how}-{len(calls)}-{how}" if how != "returns" else None).enqueue(how)
    worker = Worker(app, name="w~00000001", concurrency=3)
    worker.start()
    try:
        with gevent.Timeout(PATIENT):
            while len(calls) < 6 or totals(app).numbers[NAMES["dead"]] < 1 or worker.settler.pending:
                gevent.sleep(0.02)
    finally:
        worker.stop(1.0)
    total = totals(app)
    assert {name: total.numbers[at] for name, at in NAMES.items()} == {
        "enqueued": 4,
        "completed": 3,
        "retried": 1,
        "dead": 1,
    }
    assert sum(total.numbers[RUN : RUN + 60]) == sum(total.numbers[WAIT : WAIT + 60]) == 5
    history = History(app.backend)
    assert {state: history.count(["default"], state) for state in ("completed", "failed", "dead")} == {
        "completed": 3,
        "failed": 1,
        "dead": 1,
    }
    died = Tasks(app.backend).find(["default"], "fails-0-fails")
    assert died is not None
    assert [(one["number"], one["outcome"]) for one in died.attempts] == [(1, "failed"), (2, "failed")]
    assert all(one["worker"].startswith("w~00000001-") for one in died.attempts)
    snoozed = Tasks(app.backend).find(["default"], "snoozes-0-snoozes")
    assert snoozed is not None
    assert [(one["number"], one["outcome"]) for one in snoozed.attempts] == [(1, "snoozed"), (1, "completed")]


def test_a_death_is_an_attempt_that_died(app: Buraq, redis: Redis) -> None:
    broker = app.backend.broker("default")
    app.enqueue("t", id="t1")
    for command in broker.group_commands():
        redis.execute_command(*command)
    redis.xreadgroup("buraq_workers", "dead~00000002", {"buraq_tasks": ">"})
    worker = Worker(app, name="w~00000001")
    worker.lease.brokers = (broker,)
    for _ in range(2):
        assert worker.lease.renew()
    worker.reclaimer.look(broker)
    found = Tasks(app.backend).find(["default"], "t1")
    assert found is not None
    [one] = found.attempts
    assert (one["outcome"], one["worker"], one["number"], found.deaths) == ("died", "dead~00000002", 1, 1)
    assert abs(one["started_ms"] - int(redis.time()[0]) * 1000) < 5000
    assert ujson.loads(redis.xrange("buraq_tasks_front")[0][1]["attempts"])["left_out"] == 0
