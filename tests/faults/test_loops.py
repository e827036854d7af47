"""A loop of a worker process breaks: the process says which, hands back what it has, and is replaced."""

import pytest

from tests.faults.ledger import now
from tests.faults.results import promised, size
from tests.servers import eventually

pytestmark = pytest.mark.e2e

LOOPS = ("fetch", "settle", "promote", "reclaim", "control")
REPLACED = promised(10.0)  # seconds


def test_each_loop_breaks_and_its_process_is_replaced_within_ten_seconds(group, queue, ledger, conclude):
    workers = group(processes=3, concurrency=10, fail_points=True).consuming()
    tasks = {queue.enqueue("nap", {"seconds": 0.1}).id for _ in range(size(600, 1 / 5))}
    eventually(lambda: len(ledger.ended()) > 20 or None)
    seconds = []
    for n, loop in enumerate(LOOPS, 1):
        order = workers.plant(f"{loop} loop", "raise")
        eventually(lambda order=order: not order.exists())
        broke = now()
        workers.says("consuming", 3 + n, timeout=REPLACED)
        seconds.append(now() - broke)
        eventually(lambda: len(workers.workers()) == 3 or None)
    log = workers.log.read_text()
    for loop in LOOPS:
        assert log.count(f'"loop": "{loop}"') + log.count(f'"loop":"{loop}"') >= 1, log

    conclude("F19", "an error inside each loop", tasks, resumed=seconds)
    assert {line.attempt for line in ledger.lines()} == {1}, (
        "what a broken process had is handed back and charged nothing"
    )


def test_a_lease_thread_that_ends_takes_its_process_with_it(group, queue, ledger, conclude):
    workers = group(processes=1, concurrency=10, fail_points=True).consuming()
    before = workers.workers()
    tasks = {queue.enqueue("nap", {"seconds": 0.1}).id for _ in range(50)}
    order = workers.plant("before renewing", "raise")
    eventually(lambda: not order.exists())
    broke = now()
    eventually(lambda: not set(before) & set(workers.workers()) or None, REPLACED)
    workers.says("consuming", 2)
    conclude("F19b", "an error inside the lease thread", tasks, resumed=[now() - broke])
