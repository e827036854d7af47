"""Workers are told to stop, to reload, to be more or fewer, while they work: each task runs once."""

import os
import signal

import pytest

from tests.faults.conftest import naps
from tests.faults.results import chance, promised, size
from tests.servers import eventually

pytestmark = pytest.mark.e2e

ELSEWHERE = promised(2.0)  # seconds within which what was handed back starts in another group


def test_signals_to_the_group_under_load_repeat_nothing(group, queue, ledger, conclude):
    rand = chance("F3")
    workers = group(processes=2, concurrency=10).consuming()
    first = workers.workers()
    tasks = naps(queue, [rand.uniform(0.1, 0.4) for _ in range(size(400, 1 / 10))])
    eventually(lambda: len(ledger.ended()) > 20 or None)
    workers.process.send_signal(signal.SIGTTIN)
    eventually(lambda: len(workers.workers()) == 3 or None)
    workers.says("consuming", 3)
    workers.process.send_signal(signal.SIGTTOU)
    eventually(lambda: len(workers.workers()) == 2 or None)
    workers.process.send_signal(signal.SIGHUP)
    eventually(lambda: not set(first) & set(workers.workers()) or None)
    workers.says("consuming", 5)
    eventually(lambda: len(workers.workers()) == 2 or None)

    verdict = conclude("F3", "TTIN, TTOU, HUP and TERM to a group under load", tasks)
    assert verdict.runs == len(tasks)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_handed_back_starts_elsewhere_within_two_seconds(group, queue, ledger, conclude, number):
    many = size(6, 1 / 50)
    leaving = group(concurrency=many, SHUTDOWN_TIMEOUT="300ms").consuming()
    tasks = naps(queue, [600] * many)  # none ends before it is cut off
    eventually(lambda: ledger.starts().keys() == tasks or None)
    group(concurrency=many, LONGEST_NAP="0.1").consuming()
    pid, *_ = leaving.workers()
    cut_off = {run.id for run in ledger.runs() if run.pid == pid}
    assert cut_off == tasks, "all of them are in the process that leaves"
    assert leaving.stop(number) == 0

    handed_back = {line.id: line.at for line in ledger.lines("released")}
    assert handed_back.keys() == cut_off
    eventually(lambda: {run.id for run in ledger.runs() if run.pid != pid} >= cut_off)
    again = [run for run in ledger.runs() if run.id in cut_off and run.pid != pid]
    seconds = [run.start - handed_back[run.id] for run in again]
    fault = "F4" if number == signal.SIGTERM else "F4b"
    verdict = conclude(fault, f"{number.name} with tasks above the grace", tasks, resumed=seconds)
    assert {run.attempt for run in again} == {1}
    assert len(again) == verdict.run_twice == len(cut_off)
    assert max(seconds) < ELSEWHERE


def test_rolling_restarts_under_load_repeat_nothing(group, queue, ledger, conclude):
    rand, restarts, slots = chance("F21"), size(3, 1 / 1000, most=20), size(10, 1 / 100)
    tasks, share = set(), size(450) // restarts
    old = group(processes=2, concurrency=slots).consuming()
    for _ in range(restarts):
        new = group(processes=2, concurrency=slots).consuming()
        tasks |= naps(queue, [rand.uniform(0, 1.5) for _ in range(share)])
        eventually(lambda old=old, new=new: ledger.running(old.workers()) and ledger.running(new.workers()))
        assert old.stop() == 0
        old = new
    verdict = conclude("F21", f"{restarts} rolling restarts under load", tasks, patience=240, restarts=restarts)
    assert verdict.runs == len(tasks)


def test_the_end_of_a_terminal_kills_no_process(group, queue, ledger):
    workers = group(processes=2, concurrency=5).consuming()
    first = workers.workers()
    tasks = {queue.enqueue("nap", {"seconds": 1.0}).id for _ in range(10)}
    eventually(lambda: ledger.starts().keys() == tasks or None)

    os.killpg(workers.process.pid, signal.SIGHUP)

    eventually(lambda: not set(first) & set(workers.workers()) or None, 20)
    assert ledger.ended() == tasks
    assert len(ledger.runs()) == len(tasks)


def test_a_stop_is_heard_while_a_reload_lets_old_processes_drain(group, queue, ledger):
    workers = group(SHUTDOWN_TIMEOUT="60s").consuming()
    task = queue.enqueue("nap", {"seconds": 90.0}).id
    eventually(lambda: ledger.starts().keys() == {task} or None)
    workers.process.send_signal(signal.SIGHUP)
    workers.says("consuming", 2)

    workers.process.send_signal(signal.SIGTERM)
    workers.says("stopping", 2)  # the old process does since the reload

    assert workers.stop(timeout=20) == 0
    assert [line.id for line in ledger.lines("released")] == [task]
    group.leaves(buraq_tasks_front=1)


def test_who_cannot_say_that_it_stops_is_told_again_and_drains_all_the_same(group, queue, ledger):
    workers = group().consuming()
    tasks = {queue.enqueue("nap", {"seconds": 6.0}).id}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    tasks.add(queue.enqueue("burn", {"seconds": 4.0}).id)  # until it ends nothing else runs, and the arbiter tells on
    eventually(lambda: ledger.starts().keys() == tasks or None)

    assert workers.stop() == 0

    assert ledger.ended() == tasks
    assert ledger.lines("released") == []


def test_a_process_that_has_stopped_and_does_not_end_shows_where_it_hangs_and_is_ended(group, queue, ledger):
    # It has ten seconds to end from when it has stopped, the arbiter kills what runs three seconds after the twenty.
    workers = group(SHUTDOWN_TIMEOUT="20s", HANG_AT_EXIT="1").consuming()
    task = queue.enqueue("nap").id
    eventually(lambda: ledger.ended() == {task})

    assert workers.stop() == 0

    log = workers.log.read_text()
    assert "Timeout (0:00:10" in log
    assert "in hang_at_exit" in log
