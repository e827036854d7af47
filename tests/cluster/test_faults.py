"""Masters die and slots move under load: what was accepted, and replicated, is run, and nobody is restarted."""

from collections import Counter

import gevent
import pytest

from buraq import Buraq
from buraq.config import Config
from tests.cluster.conftest import left_over, members
from tests.clusters import Cluster
from tests.faults.conftest import group, ledger, results  # noqa: F401  fixtures
from tests.faults.ledger import now
from tests.faults.results import judge, size
from tests.servers import eventually

pytestmark = pytest.mark.e2e

# No replica is to take over from a master that has only stood still: what it had not got would be lost.
PATIENT = ("--cluster-node-timeout", "15000")


@pytest.fixture
def redis():
    """The session's server is not used here."""


@pytest.fixture
def look():
    """What is left in a cluster the tests look for themselves: one node does not know it."""
    return lambda node: {}


class Load:
    """Producers that enqueue without a pause, and remember what was accepted."""

    def __init__(self, queue, producers=4):
        self.accepted = []
        self._queue = queue
        self._greenlets = [gevent.spawn(self._run) for _ in range(producers)]

    def _run(self):
        while True:
            self.accepted.append(self._queue.enqueue("nap", {"seconds": 0.01}).id)
            gevent.sleep(0.005)  # the pace of the load, not a wait

    def goes_on(self, more=200):
        """Wait until so many more are accepted, in a large run as many times more as that is larger."""
        until = len(self.accepted) + size(more, more / 2000)
        eventually(lambda: len(self.accepted) > until)
        assert not any(one.dead for one in self._greenlets), [one.exception for one in self._greenlets]

    def stop(self):
        gevent.killall(self._greenlets)
        return set(self.accepted)


def start(cluster, group, **env):  # noqa: F811
    settings = cluster.settings("worker", LEASE_TTL="6s", **env)
    workers = group(cluster.nodes[0], processes=2, concurrency=20, **settings).consuming()
    queue = Buraq(Config.from_env(cluster.settings("producer", ENQUEUE_TIMEOUT="120s", **env)))
    return workers, queue


@pytest.fixture
def all_ran(ledger, results):  # noqa: F811
    """End a fault as `conclude` does with one server: wait for all that was accepted, stop, count."""

    def end(fault, what, cluster, workers, accepted, pids, since, kills=0):
        """`since` is when the fault began: what is counted from then on is the longest time without a commit."""
        eventually(lambda: accepted <= ledger.ended())
        eventually(lambda: left_over(cluster) == [])
        assert workers.workers() == pids, "nobody was restarted"
        assert workers.stop() == 0
        left = Counter([*left_over(cluster), *members(cluster)])
        verdict = judge(ledger, accepted, leftovers=left, resumed=[ledger.longest_pause(since)])
        verdict.kills = kills
        results.add(fault, what, verdict)
        return verdict.kept()

    return end


@pytest.mark.parametrize("change", ["killed", "demoted"])
def test_what_a_replica_had_is_run_when_a_master_is_replaced_under_load(group, fresh, all_ran, change):  # noqa: F811
    cluster = fresh(Cluster)
    workers, queue = start(cluster, group, DURABILITY="replica:1")
    pids = workers.workers()
    load = Load(queue)
    load.goes_on()

    master, since = cluster.owner(queue.backend.names.base), now()
    new = cluster.fail_over(master) if change == "killed" else cluster.demote(master)
    if change == "killed":
        master.start()  # as a replica of the new one, which has none until then

    load.goes_on()
    assert new is cluster.owner(queue.backend.names.base) is not master
    if change == "killed":
        fault, what = "F23", "SIGKILL of a master of a cluster, DURABILITY=replica:1"
    else:
        fault, what = "F23b", "a master of a cluster changes places with its replica, DURABILITY=replica:1"
    all_ran(fault, what, cluster, workers, load.stop(), pids, since, kills=int(change == "killed"))


@pytest.mark.parametrize("how", ["key by key", "at once"])
def test_nothing_is_lost_and_nothing_runs_twice_when_slots_move_under_load(
    group,  # noqa: F811
    ledger,  # noqa: F811
    fresh,
    all_ran,
    how,
):
    cluster = fresh(Cluster, aof=False, options=PATIENT)
    workers, queue = start(cluster, group)
    pids = workers.workers()
    load = Load(queue)
    load.goes_on()

    since = now()
    for shard in queue.backend.shards[:5]:
        base = shard.names.base
        target = next(node for node in cluster.masters() if node is not cluster.owner(base))
        (cluster.move if how == "key by key" else cluster.migrate)(base, target)
        load.goes_on(20)

    fault = "F24" if how == "key by key" else "F24b"
    all_ran(fault, f"five slots of a cluster move, {how}", cluster, workers, load.stop(), pids, since)
    assert set(ledger.starts().values()) == {1}


def test_a_worker_that_is_idle_follows_a_shard_that_moves(group, ledger, fresh):  # noqa: F811
    cluster = fresh(Cluster, aof=False, options=PATIENT)
    workers, queue = start(cluster, group)
    for shard in queue.backend.shards:
        base = shard.names.base
        cluster.move(base, next(node for node in cluster.masters() if node is not cluster.owner(base)))

    tasks = {queue.enqueue("nap", {"seconds": 0.01}).id for _ in range(100)}

    eventually(lambda: tasks == ledger.ended())
    eventually(lambda: left_over(cluster) == [])
    assert workers.stop() == 0
    assert members(cluster) == set()


def test_after_a_restart_of_all_nodes_all_that_was_accepted_is_run(group, fresh, all_ran):  # noqa: F811
    cluster = fresh(Cluster, options=PATIENT)
    workers, queue = start(cluster, group)
    pids = workers.workers()
    load = Load(queue)
    load.goes_on()

    since = now()
    cluster.restart()

    load.goes_on()
    what = "SIGKILL of all six nodes of a cluster, which have AOFs; then they are started again"
    all_ran("F25", what, cluster, workers, load.stop(), pids, since, kills=len(cluster.nodes))


def test_tasks_of_a_killed_process_run_again_on_all_shards(group, ledger, fresh):  # noqa: F811
    cluster = fresh(Cluster, replicas=0, aof=False)
    victims, queue = start(cluster, group)
    tasks = {queue.enqueue("nap", {"seconds": 3}).id for _ in range(40)}
    eventually(lambda: ledger.starts().keys() == tasks)

    victims.kill()
    rescuers, _ = start(cluster, group)

    eventually(lambda: tasks == ledger.ended())
    eventually(lambda: left_over(cluster) == [])
    eventually(lambda: len(members(cluster)) == 2)  # those of the dead are gone, at every shard
    assert rescuers.stop() == 0
    assert members(cluster) == set()
