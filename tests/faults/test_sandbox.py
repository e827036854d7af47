"""A guilty task dies alone, and what computes does so in a process of its own."""

import os
import signal
import sys
import time

import psutil
import pytest
import ujson

from tests.faults.conftest import no_dead_consumer, nothing_left
from tests.faults.ledger import Kill, now
from tests.faults.results import promised, size
from tests.servers import PATIENCE, eventually

pytestmark = pytest.mark.e2e

TARGET = "tests.faults.guilty_app:queue"


@pytest.fixture
def workers(group):
    """Start a group of workers for these tasks."""
    return lambda **options: group(target=TARGET, **options).consuming()


def letters(redis):
    return [fields for _, fields in redis.xrange("buraq_tasks_dlq")]


def children(workers):
    return [child for pid in workers.workers() for child in psutil.Process(pid).children()]


def a_thousand(queue, gate, order):
    """Enqueue 999 tasks that wait at a gate, in their midst one that aborts at an order. Return their ids, and its."""

    @queue.task
    def wait_at(gate: str, seconds: float) -> None: ...

    payloads = [{"gate": str(gate), "seconds": 0.2}] * 999
    before = wait_at.enqueue_many(payloads[:499])
    guilty = queue.enqueue("abort_when_told", {"order": str(order), "gate": str(gate)})
    after = wait_at.enqueue_many(payloads[499:])
    return {handle.id for handle in before + after}, guilty.id


def cut_off_all(ledger, order, life):
    """Have the guilty one abort once all thousand run in one process, in its first life or in its second."""
    eventually(lambda: len(ledger.lines("start")) >= 1000 * life)
    [pid] = {run.pid for run in ledger.runs()[1000 * (life - 1) :]}
    order.touch()
    killed = Kill(frozenset({pid}), now())
    eventually(lambda: not order.exists())
    return killed


def test_of_a_thousand_tasks_in_flight_one_aborts_and_it_alone_is_buried(
    workers, queue, ledger, witness, redis, conclude, tmp_path
):
    gate, order = tmp_path / "gate", tmp_path / "order"
    innocents, guilty = a_thousand(queue, gate, order)
    group = workers(concurrency=1000)
    kills = [cut_off_all(ledger, order, life) for life in (1, 2)]
    gate.touch()  # the third time all of them are suspects

    eventually(lambda: (ledger.ended() == innocents and letters(redis)) or None, 90)
    eventually(lambda: nothing_left(redis))
    [letter] = letters(redis)
    assert letter["reason"] == "crashed"
    assert "signal SIGABRT; its peak memory was" in letter["error"]
    assert "in abort_when_told" in letter["traceback"]
    assert f'"id":"{guilty}"' in letter["payload"]
    eventually(lambda: witness.count("Completed") == dict.fromkeys(innocents, 1))
    assert {line.attempt for line in ledger.lines()} == {1}
    assert deaths_of(group) == 2, "the worker process died twice, and no more"
    verdict = conclude(
        "F12",
        "one of 1,000 tasks in flight aborts its process, whenever all of them run",
        innocents | {guilty},
        buried={guilty},
        kills=kills,
        completed=ledger.last_commit() - kills[0].at,
    )
    assert [len(verdict.recoveries[deaths]) for deaths in (1, 2)] == [1000, 1000], "each death cut all of them off"
    verdict.within(promised(3.0))  # by the successor of the only process there is


def test_tasks_that_end_their_process_in_several_ways_are_buried_and_their_neighbours_complete(
    workers, queue, ledger, redis, conclude
):
    hows = ["exit", "segfault", "kill"]
    group = workers(processes=2, concurrency=200, LEASE_TTL="2s")
    guilty = {queue.enqueue("end_the_process", {"how": how}).id for how in hows * size(1, 1 / 5000)}
    tasks = {queue.enqueue("nap", {"seconds": 0.3}).id for _ in range(size(150, 1 / 5))}

    eventually(lambda: (ledger.ended() == tasks and len(letters(redis)) == len(guilty)) or None, 120)
    assert {ujson.loads(letter["payload"])["id"] for letter in letters(redis)} == guilty
    assert {letter["reason"] for letter in letters(redis)} == {"crashed"}
    said = " ".join(letter["error"] for letter in letters(redis))
    assert all(word in said for word in ("exit code 3", "signal SIGSEGV", "signal SIGKILL"))
    assert {line.attempt for line in ledger.lines("end")} == {1}
    eventually(lambda: nothing_left(redis))
    what = "tasks that end their process: an exit, SIGSEGV, SIGKILL as when memory is short"
    seconds = ledger.last_commit() - min(run.start for run in ledger.runs() if run.id in guilty)
    conclude("F12b", what, tasks | guilty, buried=guilty, killed=deaths_of(group), completed=seconds)


def deaths_of(group):
    """Return how many worker processes of a group have died so far, by how many more than its size there were."""
    return group.log.read_text().count('"event": "consuming"') - group.processes


def test_a_task_of_the_pool_computes_in_a_child_and_sees_what_it_would_see_in_the_worker(workers, queue, ledger):
    group = workers()
    handles = [queue.enqueue("compute", {"n": n}) for n in range(20)]
    results = [handle.result(timeout=PATIENCE) for handle in handles]

    [pid] = {result["pid"] for result in results}
    [worker] = group.workers()
    assert pid != worker
    assert psutil.Process(pid).ppid() == worker
    assert [(r["n"], r["id"], r["attempt"]) for r in results] == [(n, h.id, 1) for n, h in enumerate(handles)]
    assert all("~" in result["worker"] for result in results)
    lines = [ujson.loads(line) for line in group.log.read_text().splitlines() if '"computing"' in line]
    assert sorted((line["n"], line["task_id"]) for line in lines) == sorted((r["n"], r["id"]) for r in results)
    assert {(line["task_type"], line["attempt"], line["logger"]) for line in lines} == {("compute", 1, "shop")}
    assert {line["worker_id"] for line in lines} <= {result["worker"] for result in results}
    assert group.stop() == 0
    eventually(lambda: not psutil.pid_exists(pid))


def test_as_many_as_there_are_cpu_processes_compute_at_once(workers, queue, ledger):
    group = workers(CPU_PROCESSES="2")
    tasks = {queue.enqueue("compute_nap", {"seconds": 1.0}).id for _ in range(6)}
    eventually(lambda: ledger.ended() == tasks or None)

    lines = [line for line in ledger.lines() if line.what in ("start", "end")]
    assert len({line.pid for line in lines}) == 2
    running = most = 0
    for line in lines:
        running += 1 if line.what == "start" else -1
        most = max(most, running)
    assert most == 2
    assert group.stop() == 0


def test_a_worker_without_suspects_and_without_computing_has_no_child(workers, queue, ledger):
    group = workers()
    tasks = {queue.enqueue("nap").id for _ in range(100)}
    eventually(lambda: ledger.ended() == tasks or None)

    assert children(group) == []
    assert group.stop() == 0


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("abort", "signal SIGABRT"),
        ("kill", "signal SIGKILL"),
        ("exit", "exit code 3"),
        ("segfault", "signal SIGSEGV"),
    ],
)
def test_a_task_of_the_pool_that_ends_its_child_is_buried_with_what_ended_it(workers, queue, redis, how, error):
    group = workers()
    queue.enqueue("die", {"how": how}, max_retries=0)
    [letter] = eventually(lambda: letters(redis))

    assert letter["reason"] == "crashed"
    assert letter["error"].startswith(f"Crashed: the process that ran the task ended with {error}; its peak memory was")
    if how in ("abort", "segfault"):
        assert "in die" in letter["traceback"]
    assert group.log.read_text().count('"consuming"') == 1, "the worker process lives"
    assert group.stop() == 0


def test_a_failure_in_a_child_is_told_as_one_in_the_worker(workers, queue, redis):
    group = workers()
    queue.enqueue("fail", max_retries=0)
    queue.enqueue("die", {"how": "sys.exit"}, max_retries=0)
    queue.enqueue("hog", max_retries=0)
    by_type = {
        ujson.loads(one["payload"])["type"]: one
        for one in eventually(lambda: len(letters(redis)) == 3 and letters(redis))
    }

    assert {one["reason"] for one in by_type.values()} == {"exhausted"}
    assert by_type["fail"]["error"] == "ValueError: a computation that fails"
    assert 'raise ValueError("a computation that fails")' in by_type["fail"]["traceback"]
    assert "buraq/worker" not in by_type["fail"]["traceback"]
    assert by_type["die"]["error"] == "SystemExit: a task wants to end the worker"
    assert by_type["hog"]["error"].startswith("MemoryError")
    assert group.stop() == 0


def test_a_crash_of_a_child_is_a_failed_attempt_and_the_next_one_may_succeed(workers, queue, ledger, redis):
    group = workers()
    task = queue.enqueue("die_once").id
    eventually(lambda: ledger.ended() == {task} or None)
    eventually(lambda: nothing_left(redis))

    assert [line.attempt for line in ledger.lines("start")] == [1, 2]
    assert [line.attempt for line in ledger.lines("end")] == [2]
    assert group.stop() == 0


def test_a_timeout_ends_python_code_that_waits_for_nothing(workers, queue, ledger, redis):
    group = workers()
    task = queue.enqueue("loop_for_ever", max_retries=0).id
    queue.enqueue("long_regex", max_retries=0)
    both = eventually(lambda: len(letters(redis)) == 2 and letters(redis))

    assert {letter["error"] for letter in both} == {"TimedOut: the task ran over its timeout of 0.3s"}
    assert ledger.ended() == {task}, "it could clean up"
    assert group.stop() == 0


def test_what_ignores_its_timeout_is_killed_with_its_process(workers, queue, redis):
    group = workers(TIMEOUT_GRACE="300ms")
    queue.enqueue("endless_sum", max_retries=0)
    [letter] = eventually(lambda: letters(redis))

    assert letter["reason"] == "exhausted"
    assert letter["error"].startswith("TimedOut: the task ran over its timeout of 0.3s, went on for 0.3s more")
    eventually(lambda: not children(group))
    assert group.stop() == 0


def test_in_the_worker_s_own_process_a_timeout_that_is_swallowed_is_raised_again(workers, queue, redis):
    group = workers(TIMEOUT_GRACE="100ms")
    queue.enqueue("swallow_every_timeout_but_the_third", max_retries=0)
    [letter] = eventually(lambda: letters(redis))

    assert letter["error"] == "TimedOut: the task ran over its timeout of 0.3s"
    assert group.stop() == 0


def test_a_task_in_a_child_enqueues_another(workers, queue, ledger):
    group = workers()
    queue.enqueue("enqueue_another")
    eventually(lambda: {line.task for line in ledger.lines("end")} == {"enqueue_another", "nap"} or None)

    [pid] = {line.pid for line in ledger.lines("end") if line.task == "nap"}
    assert [pid] == group.workers()
    assert group.stop() == 0


def test_what_computes_when_a_worker_stops_may_finish_and_else_is_handed_back(group, queue, ledger, redis):
    workers = group(target=TARGET, CPU_PROCESSES="2", SHUTDOWN_TIMEOUT="3s").consuming()
    short = queue.enqueue("compute_nap", {"seconds": 1.0}).id
    long = queue.enqueue("compute_nap", {"seconds": 60}).id
    eventually(lambda: ledger.starts().keys() == {short, long} or None)
    pids = [child.pid for child in children(workers)]

    assert workers.stop() == 0
    assert ledger.ended() == {short}
    group.leaves(buraq_tasks_front=1)
    [(_, entry)] = redis.xrange("buraq_tasks_front")
    assert "deaths" not in entry
    assert f'"id":"{long}"' in entry["payload"]
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_child_dies_with_its_worker_and_its_task_starts_again(workers, queue, ledger, redis):
    group = workers(LEASE_TTL="2s")
    task = queue.enqueue("compute_nap", {"seconds": 3}).id
    eventually(lambda: ledger.starts().keys() == {task} or None)
    [child] = children(group)
    [worker] = group.workers()
    os.kill(worker, signal.SIGKILL)

    eventually(lambda: not child.is_running() or None)
    eventually(lambda: ledger.ended() == {task} or None)
    assert {line.attempt for line in ledger.lines()} == {1}
    assert group.stop() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_a_child_in_which_nothing_else_has_a_turn_dies_with_its_worker_too(workers, queue, ledger, redis):
    group = workers(LEASE_TTL="2s")
    queue.enqueue("endless_sum", max_retries=0)
    eventually(lambda: ledger.lines("start"))
    [child] = children(group)
    os.kill(group.workers()[0], signal.SIGKILL)

    eventually(lambda: not child.is_running() or None)
    eventually(lambda: letters(redis))  # it may not be started again
    eventually(lambda: no_dead_consumer(redis))
    assert group.stop() == 0


def test_suspects_stay_suspects_when_their_worker_is_killed_and_the_guilty_one_is_still_found(
    workers, queue, ledger, redis
):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for n in range(20):
        task = {"id": f"s{n}", "type": "nap", "payload": {"seconds": 2}, "created_at": now, "max_retries": 3}
        if n == 7:
            task |= {"type": "abort", "payload": {}}
        entry = redis.xadd("buraq_tasks_suspects", {"deaths": "2", "payload": ujson.dumps(task)})
        redis.hset("buraq_tasks:index", task["id"], f"s{entry}")
    group = workers(LEASE_TTL="2s")
    eventually(lambda: len(ledger.lines("start")) >= 2 or None)
    [worker] = group.workers()
    os.kill(worker, signal.SIGKILL)

    eventually(lambda: len(ledger.ended()) == 19 and letters(redis), 90)
    eventually(lambda: nothing_left(redis))
    [letter] = letters(redis)
    assert letter["reason"] == "crashed"
    assert '"id":"s7"' in letter["payload"]
    assert {line.attempt for line in ledger.lines()} == {1}
    assert not {line.pid for line in ledger.lines("start")} & set(group.workers()), "suspects never run in a worker"
    assert group.stop() == 0
