"""Tasks misbehave, and their neighbours do not notice."""

from collections import Counter

import pytest

from tests.faults.conftest import naps, nothing_left
from tests.faults.results import size
from tests.servers import eventually

pytestmark = pytest.mark.e2e


def test_tasks_that_want_to_end_the_worker_end_themselves_only(group, queue, ledger, redis, conclude):
    workers = group(concurrency=size(50, 1 / 50)).consuming()
    pids = workers.workers()
    neighbours = naps(queue, [1] * size(20, 1 / 10))
    types, times = ("leave_the_process", "raise_base", "swallow_the_timeout"), size(1, 1 / 200)
    guilty = {queue.enqueue(task_type, max_retries=0).id for task_type in types * times}

    eventually(lambda: redis.xlen("buraq_tasks_dlq") == len(guilty) or None)
    errors = Counter(letter["error"].split(":")[0] for _, letter in redis.xrange("buraq_tasks_dlq"))
    assert errors == dict.fromkeys(("BaseException", "SystemExit", "TimedOut"), times)
    assert workers.workers() == pids
    what = "tasks that raise SystemExit or BaseException, or swallow their timeout"
    verdict = conclude("F13", what, neighbours | guilty, buried=guilty)
    assert verdict.runs == len(neighbours | guilty)


def test_a_task_that_burns_cpu_for_three_leases_costs_nobody_a_second_run(group, queue, ledger, conclude):
    slots = size(50, 1 / 40)
    burning = group(concurrency=slots, LEASE_TTL="3s").consuming()
    neighbours = naps(queue, [11] * size(10, 1 / 50))
    eventually(lambda: ledger.starts().keys() == neighbours or None)
    hot = queue.enqueue("burn", {"seconds": 10.5}).id
    eventually(lambda: hot in ledger.starts() or None)
    group(concurrency=slots, LEASE_TTL="3s").consuming()  # somebody who would take over

    verdict = conclude("F11", "a task computes for three leases and a half", neighbours | {hot})
    assert verdict.runs == len(neighbours) + 1
    assert "hub blocked" in burning.log.read_text()
    assert hot in burning.log.read_text()


def test_a_call_that_holds_the_gil_for_less_than_the_lease_costs_nobody_a_second_run(group, queue, ledger, conclude):
    """Nothing in the process runs then, the thread that renews the lease neither."""
    slots = size(20, 1 / 40)
    group(concurrency=slots, LEASE_TTL="5s").consuming()
    neighbours = naps(queue, [6] * size(10, 1 / 50))
    eventually(lambda: ledger.starts().keys() == neighbours or None)
    hot = queue.enqueue("hold_the_gil", {"seconds": 3}).id
    eventually(lambda: hot in ledger.starts() or None)
    group(concurrency=slots, LEASE_TTL="5s").consuming()

    verdict = conclude("F11b", "a call into C holds the GIL for 0.6 leases", neighbours | {hot})
    assert verdict.runs == len(neighbours) + 1


def test_a_hundred_tasks_with_keys_that_fail_once_all_complete(group, queue, ledger, redis, witness):
    group(concurrency=50).consuming()
    tasks = {queue.enqueue("fail_once", idempotency_key=f"order:{n}").id for n in range(100)}
    assert len(tasks) == 100
    again = {queue.enqueue("fail_once", idempotency_key=f"order:{n}").id for n in range(100)}
    assert again == tasks

    eventually(lambda: ledger.ended() == tasks or None)
    eventually(lambda: nothing_left(redis))
    assert {line.attempt for line in ledger.lines("end")} == {2}
    eventually(lambda: sum(witness.count("Completed").values()) == 100)


def test_what_cannot_be_run_is_buried_with_its_reason_and_the_worker_goes_on(group, queue, ledger, redis):
    workers = group(concurrency=10).consuming()
    original = (
        '{"id":"go-1","type":"nap","payload":{"seconds":0.01},"created_at":"2026-11-21T18:52:00.123456Z",'
        '"max_retries":3,"current_retries":0,"priority":"normal","timeout":30000000000}'
    )
    redis.xadd("buraq_tasks", {"no_payload": "here"})
    redis.xadd("buraq_tasks", {"payload": "{broken"})
    redis.xadd("buraq_tasks", {"payload": '{"id":7,"type":"nap"}'})
    redis.xadd("buraq_tasks", {"payload": '{"id":"x","type":"no_such_type","payload":{}}'})
    redis.xadd("buraq_tasks", {"payload": original})

    eventually(lambda: redis.xlen("buraq_tasks_dlq") == 4 or None)
    reasons = sorted(letter["reason"] for _, letter in redis.xrange("buraq_tasks_dlq"))
    assert reasons == ["undecodable", "undecodable", "undecodable", "unknown_type"]
    assert any(letter.get("no_payload") == "here" for _, letter in redis.xrange("buraq_tasks_dlq"))
    assert ledger.ended() == {"go-1"}
    assert workers.stop() == 0
