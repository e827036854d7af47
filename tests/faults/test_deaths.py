"""Processes die, and their tasks do not."""

import os
import signal

import pytest

from tests.faults.conftest import naps, nothing_left
from tests.faults.results import promised, size
from tests.servers import eventually

pytestmark = pytest.mark.e2e


def test_one_process_of_a_group_is_killed_and_its_tasks_start_again_within_three_seconds(
    group, queue, ledger, conclude
):
    workers = group(processes=2, concurrency=10).consuming()
    tasks = naps(queue, [0.1] * 1000)
    eventually(lambda: len(ledger.ended()) > 300 or None)
    kill = workers.kill(workers.workers()[:1])
    workers.says("consuming", 3)

    verdict = conclude("F1a", "SIGKILL of one process of two", tasks, kills=[kill])
    assert {line.attempt for line in ledger.lines()} == {1}
    assert max(verdict.recoveries[1]) <= promised(3.0)


def test_a_whole_group_is_killed_and_another_one_finishes_its_tasks_within_fifteen_seconds(
    group, queue, ledger, conclude
):
    kills, tasks = [], set()
    group(processes=1, concurrency=10).consuming()
    for _ in range(size(1, 1 / 2000)):
        doomed = group(processes=2, concurrency=5).consuming()
        tasks |= naps(queue, [0.05] * size(1000, 1 / 10))
        pids = set(doomed.workers())
        eventually(lambda pids=pids: pids <= {line.pid for line in ledger.lines("end")} or None)
        kills.append(doomed.kill())
        eventually(lambda tasks=tasks: tasks <= ledger.ended() or None, 60)
    verdict = conclude("F1b", "SIGKILL of a whole group, while another has slots", tasks, kills=kills)
    assert {line.attempt for line in ledger.lines()} == {1}
    verdict.within(promised(15.0))


def test_a_group_that_is_asked_to_stop_finishes_what_runs_and_repeats_nothing(group, queue, ledger, redis):
    first = group(processes=2, concurrency=10).consuming()
    tasks = naps(queue, [0.1] * 1000)
    eventually(lambda: len(ledger.ended()) > 300 or None)
    assert first.stop() == 0
    left = len(tasks) - len(ledger.ended())
    assert left > 0
    second = group(processes=1, concurrency=50).consuming()

    eventually(lambda: ledger.ended() == tasks or None)
    eventually(lambda: nothing_left(redis))
    assert set(ledger.starts().values()) == {1}
    assert {line.attempt for line in ledger.lines()} == {1}
    assert second.stop() == 0
    assert redis.zcard("buraq_tasks:leases") == 0
    assert redis.xinfo_consumers("buraq_tasks", "buraq_workers") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_outlasts_the_grace_is_handed_back_and_charged_nothing(group, queue, ledger, redis, number):
    workers = group(concurrency=10, SHUTDOWN_TIMEOUT="500ms").consuming()
    tasks = {queue.enqueue("nap", {"seconds": 300}).id for _ in range(5)}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    assert workers.stop(number) == 0

    group.leaves(buraq_tasks_front=5)
    entries = redis.xrange("buraq_tasks_front")
    assert len(entries) == 5
    for _, fields in entries:
        assert "deaths" not in fields
        assert '"current_retries":0' in fields["payload"]


def test_a_second_signal_hands_back_at_once(group, queue, ledger, redis):
    workers = group(processes=2, concurrency=10, SHUTDOWN_TIMEOUT="200s").consuming()
    queue.enqueue("nap", {"seconds": 300})
    eventually(lambda: len(ledger.starts()) == 1 or None)
    workers.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in workers.log.read_text() or None)
    assert workers.stop(signal.SIGINT) == 0
    group.leaves(buraq_tasks_front=1)


def test_a_task_that_kills_its_process_is_buried_and_all_the_others_complete(group, queue, ledger, witness, redis):
    workers = group(processes=2, concurrency=50, LEASE_TTL="2s").consuming()
    guilty = queue.enqueue("kill_the_process").id
    tasks = {queue.enqueue("nap", {"seconds": 0.5}).id for _ in range(200)}

    eventually(lambda: (ledger.ended() == tasks and redis.xlen("buraq_tasks_dlq") == 1) or None, 120)
    eventually(lambda: nothing_left(redis))
    [(_, letter)] = redis.xrange("buraq_tasks_dlq")
    assert (letter["reason"], letter["deaths"]) == ("crashed", "2")
    assert "exit code 1" in letter["error"]
    assert f'"id":"{guilty}"' in letter["payload"]
    assert 3 <= ledger.starts()[guilty] <= 5, "twice in a worker, then in a sandbox, and alone in one"
    assert set(witness.count("Completed").values()) == {1}
    assert {line.attempt for line in ledger.lines("end")} == {1}
    assert workers.stop() == 0


def test_the_arbiter_is_killed_and_its_workers_drain_and_leave(group, queue, ledger, conclude):
    workers = group(processes=2, concurrency=10).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 2}).id for _ in range(10)}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    os.kill(workers.process.pid, signal.SIGKILL)

    eventually(lambda: group.processes() == [] or None)
    verdict = conclude("F5", "SIGKILL of the arbiter", tasks, killed=1)
    assert verdict.runs == len(tasks)
