"""Sentinels replace the primary, under load and at rest; what was replicated is run, and nobody is restarted."""

import re

import gevent
import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as Disconnected

from buraq import Buraq
from buraq.backend import Backend
from buraq.config import Config
from buraq.errors import QueueUnavailable
from buraq.events import Feed
from buraq.lookup import NotHere
from tests.faults.conftest import no_dead_consumer, nothing_left
from tests.faults.leftovers import left_in
from tests.faults.results import judge, size
from tests.ports import free_port
from tests.replicas import Replicated
from tests.sentinels import Sentinels
from tests.servers import PATIENCE, eventually

pytestmark = pytest.mark.e2e


def backend_of(sentinels, **more):
    return Backend(Config.from_env(sentinels.settings(**more)))


def port_of(backend):
    """Return the port of the server that a new connection comes to."""
    link = backend.server.link()
    [facts] = link.commands([("INFO", "server")])
    link.close()
    return int(re.search(rb"tcp_port:(\d+)", facts)[1])


class Load:
    """Producers that enqueue without a pause, and remember what a replica had when it was accepted."""

    def __init__(self, env, producers=5):
        self.accepted = []
        self._queue = Buraq(Config.from_env({**env, "DURABILITY": "replica:1", "ENQUEUE_TIMEOUT": "120s"}))
        self._greenlets = [gevent.spawn(self._run) for _ in range(producers)]

    def _run(self):
        while True:
            self.accepted.append(self._queue.enqueue("nap", {"seconds": 0.01}).id)
            gevent.sleep(0.002)  # the pace of the load, not a wait

    def goes_on(self, more=100):
        """Wait until so many more are accepted, in a large run as many times more as that is larger."""
        until = len(self.accepted) + size(more, more / 1000)
        eventually(lambda: len(self.accepted) > until)
        assert not any(one.dead for one in self._greenlets), [one.exception for one in self._greenlets]

    def lay_by(self, count=50, seconds=3):
        """Enqueue tasks that are due later: until then they are in the servers, and nowhere else."""
        later = [self._queue.enqueue("nap", {"seconds": 0.01}, delay=seconds) for _ in range(count)]
        self.accepted += [handle.id for handle in later]

    def stop(self):
        gevent.killall(self._greenlets)
        return set(self.accepted)


@pytest.fixture
def all_ran(group, ledger, results):
    """End a fault as `conclude` does with one server, but that a replica may not have got what was committed."""

    def end(fault, what, sentinels, workers, accepted, pids, kills):
        client = sentinels.primary.client()
        eventually(lambda: accepted <= ledger.ended())
        eventually(lambda: nothing_left(client))
        eventually(lambda: no_dead_consumer(client))
        assert workers.workers() == pids, "nobody was restarted"
        assert workers.stop() == 0
        eventually(lambda: not left_in(sentinels.primary) or None)
        verdict = judge(ledger, accepted, leftovers=group.left_at_last())
        verdict.kills = kills
        results.add(fault, what, verdict)
        return verdict

    return end


CHANGES = {
    "killed": ("F26", "sentinels replace a primary after a SIGKILL, DURABILITY=replica:1"),
    "demoted": ("F26b", "sentinels replace a primary that lives, DURABILITY=replica:1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_replica_had_is_run_when_the_primary_is_replaced_under_load(group, ledger, fresh, all_ran, change):
    sentinels = fresh(Sentinels)
    workers = group(sentinels.primary, processes=2, concurrency=20, **sentinels.settings("worker")).consuming()
    pids = workers.workers()
    load = Load(sentinels.settings("producer"))
    eventually(lambda: len(ledger.ended()) > 100)

    old = sentinels.primary
    if change == "killed":
        sentinels.fail_over()
    else:
        sentinels.demote()

    load.goes_on()
    assert sentinels.primary is not old
    verdict = all_ran(*CHANGES[change], sentinels, workers, load.stop(), pids, kills=int(change == "killed"))
    assert verdict.lost == 0


def test_after_a_restart_of_all_servers_and_sentinels_all_that_was_accepted_is_run(group, ledger, fresh, all_ran):
    sentinels = fresh(Sentinels)
    workers = group(sentinels.primary, processes=2, concurrency=20, **sentinels.settings("worker")).consuming()
    pids = workers.workers()
    load = Load(sentinels.settings("producer"))
    eventually(lambda: len(ledger.ended()) > 100)
    load.lay_by()

    sentinels.restart()

    load.goes_on()
    what = "SIGKILL of all three servers, which have AOFs, and all sentinels; then they are started again"
    all_ran("F26c", what, sentinels, workers, load.stop(), pids, kills=len(sentinels.servers)).kept()


def test_a_connection_is_opened_to_the_primary_of_the_moment(fresh):
    sentinels = fresh(Sentinels)
    backend = backend_of(sentinels)
    assert port_of(backend) == sentinels.primary.port

    new = sentinels.fail_over()

    assert port_of(backend) == new.port
    assert backend.server.shared.commands([("PING",)]) == [b"PONG"]


def test_events_are_heard_again_from_the_new_primary_and_the_gap_is_marked(fresh):
    sentinels = fresh(Sentinels)
    backend = backend_of(sentinels)
    feed = Feed(backend.server, backend.config.events_channel)
    with feed.subscribe(timeout=PATIENCE) as inbox:
        new = sentinels.fail_over()
        client = new.client()
        eventually(lambda: client.publish("buraq_events", '{"type":"Pending","task_id":"t","at":1}'))

        heard: list[str] = []
        # The gap is there when the subscription stands, the event when it has been read from it.
        eventually(lambda: heard.extend(event.data for event in inbox.get(1)) or len(heard) > 1)

    assert heard == ["", '{"type":"Pending","task_id":"t","at":1,"worker_id":""}']
    feed.close()


def test_sentinels_that_are_away_are_passed_over(fresh):
    sentinels = fresh(Sentinels)
    [first, second, _] = sentinels.sentinels
    first.kill()
    second.pause()

    assert port_of(backend_of(sentinels)) == sentinels.primary.port
    second.resume()


def test_a_master_that_the_sentinels_do_not_watch_is_an_error_that_names_the_setting(fresh):
    sentinels = fresh(Sentinels)

    with pytest.raises(Disconnected, match="watches no other: is REDIS_SENTINEL_MASTER right"):
        port_of(backend_of(sentinels, REDIS_SENTINEL_MASTER="other"))


def test_without_a_sentinel_there_is_an_error_that_says_whom_nobody_found():
    backend = Backend(Config.from_env({"REDIS_SENTINELS": f"127.0.0.1:{free_port()}", "REDIS_SENTINEL_MASTER": "main"}))

    with pytest.raises(Disconnected, match=r"no sentinel says where main is: .*Connection refused"):
        port_of(backend)


def test_passwords_of_sentinels_and_primary_are_each_their_own(fresh):
    sentinels = fresh(Sentinels)
    known = sentinels.settings()
    of_sentinels, of_primary = known["REDIS_SENTINEL_PASSWORD"], sentinels.primary.password_of(sentinels.primary.USER)

    assert port_of(backend_of(sentinels)) == sentinels.primary.port
    for wrong in ("", of_primary):
        with pytest.raises(Disconnected, match="no sentinel says"):
            port_of(backend_of(sentinels, REDIS_SENTINEL_PASSWORD=wrong))
    with pytest.raises(AuthenticationError):
        port_of(backend_of(sentinels, REDIS_URL=known["REDIS_URL"].replace(of_primary, of_sentinels)))
    for server in sentinels.servers:
        server.client().acl_log_reset()  # the refusals were asked for


def test_a_server_that_has_become_a_replica_is_left_at_once(fresh):
    replicated = fresh(Replicated)
    backend = Backend(Config.from_env({"REDIS_URL": replicated.primary.url}))
    link = backend.server.link()
    link.command("SET", "buraq_tasks:k", 1)
    [replica] = replicated.replicas
    with replicated.primary.client() as client:
        client.replicaof("127.0.0.1", replica.port)

    with pytest.raises(NotHere, match="ReadOnly"):
        link.commands([("GET", "buraq_tasks:k"), ("SET", "buraq_tasks:k", 2)])
    assert link.fileno is None, "the next use looks the server up anew"


def test_what_no_replica_has_is_not_accepted_because_the_primary_refuses_to_write(fresh):
    """The script is answered from memory then, and a WAIT after nothing was written would say that all is well."""
    replicated = fresh(Replicated, min_replicas=1, max_lag=3)  # in less, a busy machine might refuse the second too
    queue = Buraq(redis_url=replicated.primary.url, durability="replica:1", enqueue_timeout="20s")
    queue.enqueue("task", {})
    client = replicated.primary.client()
    replicated.freeze()
    enqueued = gevent.spawn(queue.enqueue, "task", {})
    eventually(lambda: client.xlen("buraq_tasks") == 2)
    eventually(lambda: not client.info("replication")["min_slaves_good_slaves"])

    client.client_kill_filter(_type="normal", skipme=True)

    with pytest.raises(QueueUnavailable):
        enqueued.get(timeout=PATIENCE)
