"""Processes are killed at random, and at each labelled step: every task runs, and is committed once."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from buraq.worker.failpoints import STEPS
from buraq.worker.reclaimer import MOST_DEATHS
from tests.faults.conftest import ROOT, naps, no_dead_consumer, nothing_left
from tests.faults.ledger import now
from tests.faults.results import chance, promised, size
from tests.faults.test_loops import LOOPS
from tests.servers import eventually

pytestmark = pytest.mark.e2e

SOON = promised(3.0)  # seconds within which the tasks of one process of a group start again


def outlast(seconds):
    """The time between two faults is part of the fault: it decides what the next one meets."""
    time.sleep(seconds)


def test_worker_processes_are_killed_at_random_and_every_task_is_committed_once(group, queue, ledger, conclude):
    rand = chance("F1")
    workers = group(processes=4, concurrency=10).consuming()
    tasks = naps(queue, [round(rand.uniform(0, 0.7), 3) for _ in range(size(600))])
    kills = []
    for _ in range(size(3, 1 / 200)):
        outlast(rand.uniform(1, 2))
        if len(tasks - ledger.ended()) < 40:
            break  # there is no load any more
        alive = eventually(lambda: [pid for pid in workers.workers() if ledger.running([pid])] or None)
        kills.append(workers.kill([rand.choice(alive)]))
    verdict = conclude("F1", "SIGKILL of a worker process every one to two seconds", tasks, kills=kills, patience=240)
    verdict.within(SOON)


def test_one_of_two_worker_processes_is_killed_again_and_again_and_what_is_not_committed_died_six_times(
    group, queue, ledger, redis, conclude
):
    # Each kill takes half of all that runs, so that many tasks are cut off twice and more, and are suspects.
    rand = chance("F1d")
    workers = group(processes=2, concurrency=20).consuming()
    tasks = naps(queue, [round(rand.uniform(0, 2), 3) for _ in range(size(150, 1 / 10))])
    kills = []
    while len(tasks - ledger.ended()) > 40:
        outlast(rand.uniform(1, 3))
        # All may have ended meanwhile, and suspects run in a sandbox: then there is nobody to kill.
        if alive := [pid for pid in workers.workers() if ledger.running([pid])]:
            kills.append(workers.kill([rand.choice(alive)]))
    what = "SIGKILL of one of two worker processes every one to three seconds, tasks of up to two seconds"
    eventually(lambda: len(ledger.ended()) + redis.xlen("buraq_tasks_dlq") >= len(tasks) or None, 240)
    given_up = tasks - ledger.ended()
    assert all(ledger.starts()[task] > MOST_DEATHS for task in given_up), "no task is given up before"
    verdict = conclude("F1d", what, tasks, kills=kills, buried=given_up)
    # The only one who could take over may be killed before it has looked: then its successor does.
    verdict.within(SOON)


PRODUCER = """
import os, sys
from buraq import Buraq
queue = Buraq(redis_url=sys.argv[1])
@queue.task(name="nap")
def nap(seconds: float) -> None: ...
while True:
    for handle in nap.enqueue_many([{"seconds": 0}] * 20):
        os.write(1, f"{handle.id}\\n".encode())
"""


def test_producers_are_killed_while_they_enqueue_and_what_they_were_told_is_kept(
    group, ledger, server, redis, conclude, tmp_path
):
    rand, accepted, deaths = chance("F1c"), set(), size(3, 1 / 500)
    for number in range(deaths):
        told = tmp_path / f"told {number}"
        with told.open("w") as out:
            producer = subprocess.Popen(
                [sys.executable, "-c", PRODUCER, server.url_of("producer")], stdout=out, cwd=ROOT
            )
        eventually(lambda told=told: told.stat().st_size or None)
        outlast(rand.uniform(0, 0.1))
        producer.kill()
        producer.wait()
        accepted |= {line for line in told.read_text().rpartition("\n")[0].splitlines()}
    waiting = redis.xlen("buraq_tasks")
    group(processes=2, concurrency=100).consuming()
    verdict = conclude("F1c", "SIGKILL of producers while they enqueue", accepted, killed=deaths)
    assert len(ledger.ended()) == verdict.runs == waiting >= len(accepted)


TASKS = {"nap": ("nap", {"seconds": 0.01}), "long nap": ("nap", {"seconds": 3}), "fail_once": ("fail_once", {})}
# How often each attempt of a task starts when its process is killed at this step.
ONCE, TWICE = {1: 1}, {1: 2}
AT_EACH_STEP = {
    ("nap", "fetched"): ONCE,
    ("nap", "adopted"): ONCE,
    ("nap", "before the run"): ONCE,
    ("nap", "after the run"): TWICE,
    ("nap", "before settling"): TWICE,
    ("nap", "settled"): ONCE,
    ("nap", "known to be settled"): ONCE,
    ("fail_once", "after the run"): {1: 2, 2: 1},
    ("fail_once", "settled"): {1: 1, 2: 1},
    ("fail_once", "promoted"): {1: 1, 2: 1},
    ("nap", "before renewing"): ONCE,
    ("nap", "renewed"): ONCE,
    ("long nap", "before reclaiming"): TWICE,
    ("long nap", "reclaimed"): TWICE,
    ("long nap", "before leaving"): TWICE,
    ("long nap", "left"): TWICE,
}
# Who promotes is a worker too: it may have been handed the task, and have begun it, when it comes to this step.
BEGUN_BY_WHO_PROMOTED = {1: 1, 2: 2}
# These are of no task, and may come while the process has one, which would run again then: so there is none until then.
OF_THE_LEASE = ("before renewing", "renewed")
# To these comes who takes over from another process, which has died of a kill before.
OF_THE_RECLAIMER = ("before reclaiming", "reclaimed")
# And to these who was told to stop, and has handed back what outlasted the grace.
OF_A_STOP = ("before leaving", "left")


def test_the_steps_that_are_tested_are_all_there_are():
    tested = {step for _, step in AT_EACH_STEP} | {f"{loop} loop" for loop in LOOPS}
    assert tested == STEPS.keys()


def die_at(step, kind, workers, queue, ledger):
    """Have a process die at a step; return the id of the task that this may touch."""

    def enqueued():
        return queue.enqueue(*TASKS[kind]).id

    if step in OF_THE_RECLAIMER + OF_A_STOP:
        task = enqueued()
        holder = eventually(lambda: next((pid for pid in workers.workers() if ledger.running([pid])), None))
        order = workers.plant(step)
        if step in OF_A_STOP:
            os.kill(holder, signal.SIGTERM)
        else:
            workers.kill([holder])
    else:
        order = workers.plant(step)
        if step in OF_THE_LEASE:
            eventually(lambda: not order.exists())
        task = enqueued()
    eventually(lambda: not order.exists())
    return task


def test_at_each_step_a_kill_costs_exactly_the_runs_that_it_must(group, queue, ledger, redis, conclude):
    # A process takes over after two renewals, of which there are five in a lease: there is always one that may.
    workers = group(processes=3, concurrency=5, fail_points=True, LEASE_TTL="5s", SHUTDOWN_TIMEOUT="500ms").consuming()
    found, seconds, tasks, deaths = {}, [], set(), 0
    for kind, step in AT_EACH_STEP:
        task = die_at(step, kind, workers, queue, ledger)
        died = now()
        tasks.add(task)
        deaths += 2 if step in OF_THE_RECLAIMER else 1
        eventually(lambda: nothing_left(redis))
        # Nobody is to come to the next step because of this death.
        workers.says("consuming", workers.processes + deaths)
        eventually(lambda: no_dead_consumer(redis))
        own = [run for run in ledger.runs() if run.id == task]
        found[kind, step] = dict(Counter(run.attempt for run in own))
        if step == "promoted" and found[kind, step] == BEGUN_BY_WHO_PROMOTED:
            assert own[-2].pid not in workers.workers(), "a run is done again because its process died, and only then"
            found[kind, step] = AT_EACH_STEP[kind, step]
        if own[-1].start > died and step not in OF_THE_LEASE + OF_A_STOP:
            seconds.append(own[-1].start - died)
    conclude("F2", "SIGKILL at each labelled step", tasks, killed=deaths, resumed=seconds)
    assert found == AT_EACH_STEP
    assert max(seconds) <= SOON
