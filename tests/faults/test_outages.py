"""The server goes away, and comes back to workers that waited."""

import time

import psutil
import pytest

from buraq import Buraq, EnqueueError
from tests.faults.conftest import consumers, naps, nothing_left
from tests.faults.ledger import now
from tests.faults.results import N, chance, judge, promised, size
from tests.servers import eventually

pytestmark = pytest.mark.e2e

AWAY = 30 if N else 10  # seconds


def cpu_seconds(pids):
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def at_rest(pids):
    """Whether processes take less than half a core together, for half a second."""
    before, began = cpu_seconds(pids), time.monotonic()
    outlast(0.5)
    return (cpu_seconds(pids) - before) / (time.monotonic() - began) < 0.5


def outlast(seconds):
    """The outage itself is what is tested: nothing can be waited for but its end."""
    time.sleep(seconds)


@pytest.mark.parametrize("when", ["at boot", "under load"])
def test_no_process_ends_and_work_goes_on_within_five_seconds(group, ledger, fresh_server, conclude, when):
    server = fresh_server(aof=True)
    queue = Buraq(redis_url=server.url_of("producer"), enqueue_timeout=30)
    before = naps(queue, [0.2] * size(300, 1 / 10))
    if when == "at boot":
        server.stop()
        workers = group(server, processes=2, concurrency=10)
        workers.says("waiting for Redis")
    else:
        workers = group(server, processes=2, concurrency=10).consuming()
        eventually(lambda: len(ledger.ended()) > 50 or None)
        server.kill()
    eventually(lambda: len(workers.workers()) == 2 or None)
    pids = workers.workers()
    eventually(lambda: at_rest(pids))  # what they import is no loop
    began, burned = time.monotonic(), cpu_seconds(pids)
    outlast(AWAY)
    share = (cpu_seconds(pids) - burned) / (time.monotonic() - began)
    assert share < 0.5, f"a busy loop: {share:.0%} of a core in two processes without a server"

    ended = len(ledger.lines("end"))
    server.start()
    back = now()
    first, *_ = eventually(lambda: ledger.lines("end")[ended:], promised(5.0))
    seconds = max(0.0, first.at - back)  # workers may have found it, and run one, before the test did
    assert workers.workers() == pids
    conclude(
        "F9" if when == "at boot" else "F9b",
        f"the server is away for {AWAY} seconds, {when}",
        before,
        client=server.client(),
        resumed=[seconds],
    )


def test_after_an_outage_longer_than_the_lease_nobody_robs_anybody(group, ledger, fresh_server):
    server = fresh_server(aof=True)
    queue = Buraq(redis_url=server.url_of("producer"), enqueue_timeout=30)
    # Whoever is back has renewed twice after a fifth of a lease: until then all the others must be back, too.
    groups = [group(server, processes=2, concurrency=10, LEASE_TTL="4s").consuming() for _ in range(2)]
    tasks = {queue.enqueue("nap", {"seconds": 12}).id for _ in range(30)}
    eventually(lambda: ledger.starts().keys() == tasks or None)
    server.pause()
    outlast(6)
    server.resume()

    eventually(lambda: ledger.ended() == tasks or None)
    eventually(lambda: nothing_left(server.client()))
    assert set(ledger.starts().values()) == {1}
    assert [one.stop() for one in groups] == [0, 0]
    assert not any("reclaimed" in one.log.read_text() for one in groups)


def test_the_server_is_killed_under_load_while_workers_are_too_and_keeps_what_it_accepted(
    group, ledger, fresh_server, conclude
):
    rand = chance("F8")
    server = fresh_server(aof=True)
    queue = Buraq(redis_url=server.url_of("producer"), enqueue_timeout=30)
    workers = group(server, processes=3, concurrency=10).consuming()
    tasks = naps(queue, [rand.uniform(0, 0.5) for _ in range(size(300, 1 / 2))])
    kills, servers = [], 0
    for n in range(size(2, 1 / 200)):
        ended = len(ledger.ended())
        eventually(lambda ended=ended: len(ledger.ended()) > ended + 30 or None)
        if n % 2:
            alive = eventually(lambda: [pid for pid in workers.workers() if ledger.running([pid])] or None)
            kills.append(workers.kill([rand.choice(alive)]))
        else:
            servers += 1
            server.kill()
            server.start()
    what = "SIGKILL of the server, which has an AOF, and of workers"
    verdict = conclude("F8", what, tasks, kills=kills, killed=servers, client=server.client(), patience=120)
    verdict.within(promised(15.0))


def test_a_server_without_aof_loses_what_it_had_as_the_test_above_would_see(group, ledger, fresh_server):
    server = fresh_server()
    queue = Buraq(redis_url=server.url_of("producer"), enqueue_timeout=30)
    group(server, concurrency=5).consuming()
    tasks = naps(queue, [0.2] * 400)  # most of them never run
    eventually(lambda: len(ledger.ended()) > 10 or None)
    server.kill()
    server.start()
    after = queue.enqueue("nap", {"seconds": 0.01}).id
    eventually(lambda: after in ledger.ended() or None)
    eventually(lambda: nothing_left(server.client()))
    assert judge(ledger, tasks).lost > 50


def test_a_full_server_refuses_new_tasks_and_what_runs_is_committed(group, ledger, fresh_server, conclude):
    server = fresh_server()
    queue, client = Buraq(redis_url=server.url_of("producer"), enqueue_timeout=30), server.client()
    group(server, concurrency=size(10, 1 / 200)).consuming()
    tasks = naps(queue, [0.3] * size(40, 1 / 20))
    eventually(lambda: len(ledger.starts()) > 5 or None)
    client.config_set("maxmemory", 1)
    with pytest.raises(EnqueueError, match="maxmemory"):
        queue.enqueue("nap")
    eventually(lambda: tasks <= ledger.ended() or None)
    eventually(lambda: nothing_left(client))
    client.config_set("maxmemory", 0)
    tasks.add(queue.enqueue("nap").id)
    verdict = conclude("F15", "the server is full while tasks run", tasks, client=client)
    assert verdict.runs == len(tasks)


def test_consumers_that_somebody_deletes_under_load_lose_nothing(group, queue, ledger, redis, conclude):
    group(processes=2, concurrency=10).consuming()
    tasks = naps(queue, [0.1] * size(300, 1 / 20))
    for _ in range(3):
        ended = len(ledger.ended())
        eventually(lambda ended=ended: len(ledger.ended()) > ended + 20 or None)
        for name in consumers(redis):
            redis.xgroup_delconsumer("buraq_tasks", "buraq_workers", name)
    conclude("F10", "consumers are deleted while they work", tasks)


LOSSES = {
    "flushall": ("F10b", "FLUSHALL under load; accepted is what came after it"),
    "group destroyed": ("F10c", "the consumer group is destroyed under load"),
    "scripts flushed": ("F10d", "SCRIPT FLUSH under load"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_what_the_server_loses_is_made_again(group, queue, ledger, redis, conclude, loss):
    workers = group(processes=2, concurrency=20).consuming()
    pids = workers.workers()
    # For a second and a half: whoever looks on a busy machine may be late by some tenths.
    before = naps(queue, [0.3] * size(200, 1 / 40))
    eventually(lambda: len(ledger.ended()) > 20 or None)
    if loss == "flushall":
        redis.flushall()
    elif loss == "group destroyed":
        redis.xgroup_destroy("buraq_tasks", "buraq_workers")
    else:
        redis.script_flush()
    assert len(ledger.ended()) < len(before), "there was no load any more: the test tested nothing"
    after = naps(queue, [0.05] * size(50, 1 / 10))
    eventually(lambda: after & ledger.ended() or None, promised(5.0))
    eventually(lambda: after <= ledger.ended() or None)
    assert workers.workers() == pids
    fault, what = LOSSES[loss]
    # What a FLUSHALL found waiting is gone, that is what it is for.
    conclude(fault, what, after if loss == "flushall" else before | after)
