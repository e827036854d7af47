"""A process that has run MAX_TASKS or takes MAX_MEMORY_MB is replaced, and nobody notices."""

from typing import Any

import pytest
import ujson

from tests.faults.conftest import Group, Ledger, nothing_left
from tests.servers import eventually

pytestmark = pytest.mark.e2e


def told(group: Group) -> list[dict[str, Any]]:
    """Return what a group has logged so far, line by line."""
    lines = group.log.read_text().rpartition("\n")[0].splitlines()
    return [ujson.loads(line) for line in lines if line.startswith("{")]


def events(group: Group, *names: str) -> list[tuple[str, str]]:
    """Return the lines with these events, in their order: event and worker process."""
    return [(line["event"], line.get("worker", "")) for line in told(group) if line["event"] in names]


RELIEVED = "worker process relieved: its successor consumes"


def most_without_a_consumer(group: Group, wanted: int) -> None:
    """Assert that at no moment fewer processes consumed than there should be, once all did.

    A process says that it consumes a moment after it does: the arbiter may have seen it before.
    """
    said = events(group, "consuming", RELIEVED, "stopping")
    consuming = relieved = stopping = 0
    for event, _ in said:
        consuming += event == "consuming"
        relieved += event == RELIEVED
        stopping += event == "stopping"
        assert consuming < wanted or max(consuming, wanted + relieved) - stopping >= wanted, said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_has_run_its_tasks_is_replaced_before_it_stops_and_each_task_runs_once(
    group: Any, queue: Any, ledger: Ledger, redis: Any, processes: int
) -> None:
    workers = group(processes=processes, concurrency=5, MAX_TASKS="40").consuming()
    first = set(workers.workers())
    tasks = {queue.enqueue("nap", {"seconds": 0.05}).id for _ in range(400)}

    eventually(lambda: ledger.ended() == tasks, 60)
    # One after the other: between the two there are as many as there should be, and one of them has reached its limit.
    eventually(lambda: len(workers.workers()) == processes and not first & set(workers.workers()))
    after = queue.enqueue("nap", {"seconds": 0}).id
    eventually(lambda: ledger.ended() == tasks | {after})
    eventually(lambda: nothing_left(redis))

    assert set(ledger.starts().values()) == {1}
    assert {line.attempt for line in ledger.lines()} == {1}
    assert not first & {line.pid for line in ledger.lines() if line.id == after}
    most_without_a_consumer(workers, processes)
    reached = [line for line in told(workers) if line["event"] == "limit reached"]
    assert {line["reached"] for line in reached} == {"MAX_TASKS"}
    assert min(line["tasks"] for line in reached) >= 40
    # On a busy machine an import, or a pause of the machine itself, blocks a hub.
    usual = {"metrics port taken, moved", "hub blocked: nothing else runs in this process"}
    assert {line["event"] for line in told(workers) if line["level"] != "info"} <= usual
    assert workers.stop() == 0
    assert redis.zcard("buraq_tasks:leases") == 0


def test_a_process_that_takes_too_much_memory_is_replaced(group: Any, queue: Any, ledger: Ledger, redis: Any) -> None:
    workers = group(MAX_MEMORY_MB="150").consuming()
    [first] = workers.workers()

    queue.enqueue("leak", {"megabytes": 150})
    eventually(lambda: workers.workers() != [first] and len(workers.workers()) == 1)
    task = queue.enqueue("nap").id
    eventually(lambda: task in ledger.ended())

    [reached] = [line for line in told(workers) if line["event"] == "limit reached"]
    assert (reached["reached"], reached["memory_mb"] >= 150) == ("MAX_MEMORY_MB", True)
    [stopping] = [line for line in told(workers) if line["event"] == "stopping"]
    assert stopping["reached"] == "MAX_MEMORY_MB"
    assert workers.stop() == 0


def test_less_memory_than_a_process_needs_is_said_and_replaces_nobody(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    workers = group(MAX_MEMORY_MB="10").consuming()
    pids = workers.workers()

    task = queue.enqueue("nap").id
    eventually(lambda: task in ledger.ended())

    [error] = [line for line in told(workers) if line["level"] == "error"]
    assert (error["MAX_MEMORY_MB"], "set it higher" in error["event"]) == (10, True)
    assert workers.workers() == pids
    assert workers.stop() == 0


def test_a_process_that_was_replaced_lets_its_tasks_finish_however_long_they_take(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    workers = group(MAX_TASKS="5", SHUTDOWN_TIMEOUT="500ms").consuming()
    long = queue.enqueue("nap", {"seconds": 12}).id
    eventually(lambda: long in ledger.starts())
    for _ in range(5):
        queue.enqueue("nap", {"seconds": 0})

    eventually(lambda: "stopping" in workers.log.read_text())
    after = queue.enqueue("nap", {"seconds": 0}).id
    eventually(lambda: after in ledger.ended())
    eventually(lambda: long in ledger.ended())

    assert ledger.starts()[long] == 1
    pids = {line.id: line.pid for line in ledger.lines("end")}
    assert pids[after] != pids[long]
    assert workers.stop() == 0


def test_a_group_that_is_told_to_stop_does_not_wait_for_a_process_that_was_replaced(
    group: Any, queue: Any, ledger: Ledger, redis: Any
) -> None:
    workers = group(MAX_TASKS="5", SHUTDOWN_TIMEOUT="500ms").consuming()
    long = queue.enqueue("nap", {"seconds": 300}).id
    eventually(lambda: long in ledger.starts())
    for _ in range(5):
        queue.enqueue("nap", {"seconds": 0})
    eventually(lambda: "stopping" in workers.log.read_text())

    assert workers.stop(timeout=40) == 0

    group.leaves(buraq_tasks_front=1)
    [(_, fields)] = redis.xrange("buraq_tasks_front")
    assert long in fields["payload"] and "deaths" not in fields
    assert redis.zcard("buraq_tasks:leases") == 0
