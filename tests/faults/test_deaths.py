"""Processes die, and their tasks do not."""

import os
import signal

import pytest

from tests.faults.conftest import nothing_left, now
from tests.servers import eventually

pytestmark = pytest.mark.e2e


def cut_off(ledger, pids, killed_at):
    """Return for each task that died with one of `pids` the seconds until it started again."""
    lines = ledger.lines()
    ended = {(line.id, line.pid) for line in lines if line.what == "end"}
    dead = {line.id for line in lines if line.what == "start" and line.pid in pids and (line.id, line.pid) not in ended}
    again = {}
    for line in lines:
        if line.what == "start" and line.id in dead and line.pid not in pids:
            again.setdefault(line.id, line.at - killed_at)
    assert again.keys() == dead, "a task that was cut off never started again"
    return again


def freeze_mid_run(ledger, pids):
    """Stop processes at a moment when a task runs in one of them at least.

    Slots may end and fetch all at once: a kill at any moment would now and then cut nothing off.
    """

    def frozen_mid_run():
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        ended = {(line.id, line.pid) for line in ledger.lines("end")}
        if any(line.pid in pids and (line.id, line.pid) not in ended for line in ledger.lines("start")):
            return True
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        return False

    eventually(frozen_mid_run)


def test_one_process_of_a_group_is_killed_and_its_tasks_start_again_within_three_seconds(
    group, queue, ledger, witness, redis
):
    workers = group(processes=2, concurrency=10).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 0.05}).id for _ in range(1000)}
    eventually(lambda: len(ledger.ended()) > 300 or None, 30)
    victim = workers.workers()[0]
    freeze_mid_run(ledger, {victim})
    killed_at = now()
    os.kill(victim, signal.SIGKILL)

    eventually(lambda: ledger.ended() == tasks or None, 60)
    eventually(lambda: nothing_left(redis), 10)
    again = cut_off(ledger, {victim}, killed_at)
    assert again, "the process was killed between two tasks: the test tested nothing"
    assert max(again.values()) <= 3.0
    assert set(witness.count("Completed").values()) == {1}
    assert {line.attempt for line in ledger.lines()} == {1}
    assert workers.stop() == 0


def test_a_whole_group_is_killed_and_another_one_finishes_its_tasks_within_fifteen_seconds(
    group, queue, ledger, witness, redis
):
    other = group(processes=1, concurrency=5).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 0.05}).id for _ in range(1000)}
    doomed = group(processes=2, concurrency=5).consuming()
    eventually(lambda: len({line.pid for line in ledger.lines("end")}) == 3 or None, 30)
    pids = set(doomed.workers())
    freeze_mid_run(ledger, pids)
    killed_at = now()
    doomed.kill()

    eventually(lambda: ledger.ended() == tasks or None, 60)
    eventually(lambda: nothing_left(redis), 10)
    again = cut_off(ledger, pids, killed_at)
    assert again
    assert max(again.values()) <= 15.0
    assert set(witness.count("Completed").values()) == {1}
    eventually(lambda: len(redis.zrange("buraq_tasks:leases", 0, -1)) >= 1)
    assert other.stop() == 0


def test_a_group_that_is_asked_to_stop_finishes_what_runs_and_repeats_nothing(group, queue, ledger, redis):
    first = group(processes=2, concurrency=10).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 0.05}).id for _ in range(1000)}
    eventually(lambda: len(ledger.ended()) > 300 or None, 30)
    assert first.stop() == 0
    left = len(tasks) - len(ledger.ended())
    assert left > 0
    second = group(processes=1, concurrency=50).consuming()

    eventually(lambda: ledger.ended() == tasks or None, 30)
    eventually(lambda: nothing_left(redis), 10)
    assert set(ledger.starts().values()) == {1}
    assert {line.attempt for line in ledger.lines()} == {1}
    assert second.stop() == 0
    assert redis.zcard("buraq_tasks:leases") == 0
    assert redis.xinfo_consumers("buraq_tasks", "buraq_workers") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_outlasts_the_grace_is_handed_back_and_charged_nothing(group, queue, ledger, redis, number):
    workers = group(concurrency=10, SHUTDOWN_TIMEOUT="500ms").consuming()
    tasks = {queue.enqueue("nap", {"seconds": 60}).id for _ in range(5)}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    assert workers.stop(number) == 0

    entries = redis.xrange("buraq_tasks_front")
    assert len(entries) == 5
    for _, fields in entries:
        assert "deaths" not in fields
        assert '"current_retries":0' in fields["payload"]


def test_a_second_signal_hands_back_at_once(group, queue, ledger, redis):
    workers = group(processes=2, concurrency=10).consuming()
    queue.enqueue("nap", {"seconds": 60})
    eventually(lambda: len(ledger.starts()) == 1 or None)
    workers.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in workers.log.read_text() or None)
    assert workers.stop(signal.SIGINT, timeout=8) == 0
    assert redis.xlen("buraq_tasks_front") == 1


def test_a_task_that_kills_its_process_is_buried_and_all_the_others_complete(group, queue, ledger, witness, redis):
    workers = group(processes=2, concurrency=50, LEASE_TTL="2s").consuming()
    guilty = queue.enqueue("kill_the_process").id
    tasks = {queue.enqueue("nap", {"seconds": 0.5}).id for _ in range(200)}

    eventually(lambda: (ledger.ended() == tasks and redis.xlen("buraq_tasks_dlq") == 1) or None, 120)
    eventually(lambda: nothing_left(redis), 10)
    [(_, letter)] = redis.xrange("buraq_tasks_dlq")
    assert (letter["reason"], letter["deaths"]) == ("crashed", "2")
    assert "exit code 1" in letter["error"]
    assert f'"id":"{guilty}"' in letter["payload"]
    assert 3 <= ledger.starts()[guilty] <= 5, "twice in a worker, then in a sandbox, and alone in one"
    assert set(witness.count("Completed").values()) == {1}
    assert {line.attempt for line in ledger.lines("end")} == {1}
    assert workers.stop() == 0


def test_the_arbiter_is_killed_and_its_workers_drain_and_leave(group, queue, ledger, redis):
    workers = group(processes=2, concurrency=10).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 2}).id for _ in range(10)}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    pids = workers.workers()
    os.kill(workers.process.pid, signal.SIGKILL)

    eventually(lambda: ledger.ended() == tasks or None, 20)
    eventually(lambda: not any(os.path.exists(f"/proc/{pid}/cmdline") for pid in pids) or None, 20)
    eventually(lambda: nothing_left(redis), 10)
    assert redis.zcard("buraq_tasks:leases") == 0
