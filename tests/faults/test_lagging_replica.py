"""A primary fails while its link to the replica is frozen: what is lost and what runs again is bounded, and counted.

The address that workers and producers know leads to the replica from then on.
"""

from collections import Counter

import gevent
import pytest

from buraq import Buraq, BuraqError
from tests.faults.conftest import no_dead_consumer, nothing_left
from tests.faults.ledger import now
from tests.faults.results import judge, size
from tests.proxy import Proxy
from tests.replicas import Replicated
from tests.servers import eventually

pytestmark = pytest.mark.e2e


def refused(queue):
    """Whether the primary has noticed that its replica does not hear it."""
    return enqueued(queue, {"seconds": 0}, id="asking") is None


def enqueued(queue, payload, **options):
    """Return the id of a task of low priority, None when it was not accepted."""
    try:
        return queue.enqueue("nap", payload, priority="low", **options).id
    except BuraqError:
        return None


@pytest.mark.parametrize("min_replicas", [0, 1])
def test_a_failover_loses_and_repeats_only_what_the_replica_had_not_got(group, ledger, fresh, results, min_replicas):
    replicated = fresh(Replicated, min_replicas=min_replicas)
    with Proxy(replicated.primary) as proxy:
        # With the guard the primary refuses all as soon as it has not heard of its replica for more than a second: of a
        # frozen one before long, and on a busy machine of another, too.
        patient, queue = Buraq(redis_url=proxy.url, enqueue_timeout=30), Buraq(redis_url=proxy.url, enqueue_timeout=1)
        workers = group(proxy, processes=1, concurrency=5).consuming()
        kept = {patient.enqueue("nap", {"seconds": 0.2}).id for _ in range(size(60, 1 / 100))}
        eventually(lambda: len(ledger.ended()) > 5 or None)
        before = {line.id for line in ledger.lines("committed")}
        replicated.caught_up()
        replicated.freeze()
        rows = [gevent.spawn(enqueued, queue, {"seconds": 0.01}) for _ in range(100)]
        late = {row.get() for row in rows} - {None}
        if min_replicas:
            eventually(lambda: refused(queue))  # from then on nothing more can be lost
        else:
            eventually(lambda: len(ledger.ended()) > len(before) + 10 or None)
        failed = now()
        survivor = replicated.fail_over()
        proxy.turn_to(survivor)
        client = survivor.client()

        eventually(lambda: kept <= ledger.ended() or None, 60)
        eventually(lambda: nothing_left(client))
        eventually(lambda: no_dead_consumer(client))
        assert workers.stop() == 0
    verdict = judge(ledger, kept | late, leftovers=group.left_at_last())
    assert (kept | late) - ledger.ended() <= late
    again = {task for task, runs in ledger.starts().items() if runs > 1}
    assert not again & before
    commits = Counter(line.id for line in ledger.lines("committed") if line.at > failed)
    assert set(commits.values()) <= {1}, "on the survivor no task is committed twice"
    with_guard = "min-replicas-to-write 1" if min_replicas else "no guard"
    results.add("F16" + "ab"[min_replicas], f"failover to a replica that lags, {with_guard}", verdict)
