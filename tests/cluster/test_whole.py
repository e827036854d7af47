"""A cluster of three masters is one queue to whoever enqueues, runs, looks, replays and listens."""

from collections import Counter

import pytest
from gevent.event import Event as Happened

from buraq import Buraq, Reject
from buraq.broker import Item
from buraq.browse import Tasks
from buraq.config import Config
from buraq.deadletters import DeadLetters
from buraq.errors import QueueUnavailable
from buraq.inspector import Inspector
from buraq.sharded_events import feed_of
from buraq.web import create_app
from buraq.worker.worker import Worker
from tests.cluster.conftest import left_over
from tests.servers import PATIENCE, eventually

pytestmark = pytest.mark.e2e


def test_shards_are_spread_over_all_masters(cluster, app):
    owners = Counter(cluster.owner(f"{shard.names.base}").port for shard in app.backend.shards)

    assert len(app.backend.shards) == 16
    assert sorted(owners.values()) == [5, 5, 6]


def test_many_tasks_run_once_each_and_leave_nothing(cluster, app, start):
    ran = Counter()

    @app.task
    def note(n: int) -> None:
        ran[n] += 1

    handles = note.enqueue_many([{"n": n} for n in range(3000)])
    shards = {app.backend.shard_of(handle.id).number for handle in handles}
    worker = start(app, concurrency=50)

    eventually(lambda: len(ran) == 3000)
    eventually(lambda: left_over(cluster) == [])
    assert shards == set(range(16))
    assert set(ran.values()) == {1}
    assert all(lane.lease.valid for lane in worker.lanes)


def waiting(app):
    """How many tasks wait on each shard that has any, by its number."""
    streams = {shard: shard.names.queue("default").streams["n"] for shard in app.backend.shards}
    found = {shard.number: shard.server.shared.command("XLEN", stream) for shard, stream in streams.items()}
    return {number: count for number, count in found.items() if count}


def test_tasks_of_a_group_lie_on_one_shard_and_travel_in_one_call(cluster, app):
    app.task(name="note")(lambda n: None)
    for node in cluster.masters():
        node.client().config_resetstat()

    app.registry["note"].options(group="tenant-17").enqueue_many([{"n": n} for n in range(90)])

    stats = [node.client().info("commandstats") for node in cluster.masters()]
    assert sum(found["cmdstat_evalsha"]["calls"] for found in stats if "cmdstat_evalsha" in found) == 1
    assert waiting(app) == {app.backend.shard_of("tenant-17").number: 90}


def test_an_idempotency_key_decides_on_the_shard_before_the_group_does(app):
    one, other = (app.enqueue("note", idempotency_key="k", group=group) for group in ("tenant-1", "tenant-2"))

    assert (one.created, other.created, other.id) == (True, False, one.id)
    assert waiting(app) == {app.backend.shard_of("k").number: 1}


def test_a_shard_that_refuses_to_say_what_is_paused_holds_up_no_other(app):
    worker = Worker(app, name="w~00000001")
    first, *others = worker.lanes
    first.controlling.commands([("SET", first.shard.names.paused, "no hash")])  # as BUSY, while a script runs there
    try:
        assert not worker.control.attempt(), "it is said"

        assert first.fetcher.paused is None
        assert {lane.fetcher.paused for lane in others} == {frozenset()}
    finally:
        for lane in worker.lanes:
            for link in lane.links:
                link.close()


def test_who_enqueues_many_is_told_of_all_that_may_be_missing_when_a_master_is_away(cluster, app):
    queue = Buraq(Config.from_env(cluster.settings(ENQUEUE_TIMEOUT="300ms")))
    queue.task(name="note")(lambda n: None)
    master = cluster.masters()[0]
    master.pause()
    try:
        with pytest.raises(QueueUnavailable) as caught:
            queue.registry["note"].enqueue_many([{"n": n} for n in range(300)])
    finally:
        master.resume()
        cluster.settle()

    in_doubt = set(caught.value.task_ids)
    there, page = set(), None
    while page is None or page.next:  # one ends early on a machine that is busy
        page = Tasks(app.backend).page("waiting", ["default"], page and page.next, limit=1000)
        there |= {known.task.id for known in page.items}
    assert len(in_doubt) + len(there - in_doubt) == 300


@pytest.mark.parametrize("concurrency", [1, 3, 40])
def test_few_slots_are_shared_by_all_shards(cluster, app, start, concurrency):
    most, running, done = [0], [0], Counter()

    @app.task
    def nap(n: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        happened.wait(0.001)
        running[0] -= 1
        done[n] += 1

    happened = Happened()
    worker = start(app, concurrency=concurrency)
    eventually(lambda: worker.standing.valid)
    nap.enqueue_many([{"n": n} for n in range(200)])

    eventually(lambda: len(done) == 200)
    assert most[0] <= concurrency
    assert set(done.values()) == {1}


def test_suspects_of_all_shards_run_one_at_a_time_where_there_is_no_sandbox(cluster, app, start):
    most, running, done = [0], [0], Counter()

    @app.task
    def suspect(n: int) -> None:
        running[0] += 1
        most[0] = max(most[0], running[0])
        Happened().wait(0.001)
        running[0] -= 1
        done[n] += 1

    for shard in app.backend.shards:
        stream = shard.names.queue("default").streams["s"]
        for n in (2 * shard.number, 2 * shard.number + 1):
            payload = f'{{"id":"t{n}","type":"suspect","payload":{{"n":{n}}}}}'
            cluster.owner(shard.names.base).client().xadd(stream, {"payload": payload, "deaths": 2})
    start(app, concurrency=100)

    eventually(lambda: len(done) == 32)
    assert most == [1]
    assert set(done.values()) == {1}
    eventually(lambda: left_over(cluster) == [])


def test_an_idle_worker_starts_a_task_of_any_shard(app, start):
    ran = []
    app.task(name="note")(lambda: ran.append(1))
    worker = start(app, concurrency=100)
    eventually(lambda: worker.standing.valid)

    for shard in app.backend.shards:
        before = len(ran)
        item = Item(f"t{shard.number}", "n", "", "", b'{"id":"t","type":"note","payload":{}}')
        shard.producer.send(shard.broker("default"), [item])
        eventually(lambda before=before: len(ran) > before)


def test_tasks_are_retried_delayed_buried_replayed_and_seen_by_all(cluster, app, start, cli):
    ran = Counter()
    fails = [True]

    @app.task
    def once_more(n: int) -> None:
        ran["once_more", n] += 1
        if ran["once_more", n] == 1:
            raise ValueError("the first attempt fails")

    @app.task(queue="mail", max_retries=0)
    def fail(n: int) -> None:
        ran["fail", n] += 1
        if fails[0]:
            raise Reject("broken")

    for n in range(40):
        once_more.options(delay=0.2).enqueue(n)
        fail.enqueue(n)
    scheduled = Inspector(app.backend).counts("default").scheduled
    start(app, concurrency=50)

    eventually(lambda: all(ran["once_more", n] == 2 for n in range(40)))
    eventually(lambda: Inspector(app.backend).counts("mail").dead == 40)
    assert scheduled == 40
    status = cli("status", "--json")
    assert [(queue["queue"], queue["dead"]) for queue in status["queues"]] == [("default", 0), ("mail", 40)]
    assert [worker["status"] for worker in status["workers"]] == ["active"]
    letters = cli("dlq", "list", "--json")
    assert sorted(letter["task"]["payload"]["n"] for letter in letters) == list(range(40))
    assert [letter["died_at"] for letter in letters] == sorted(letter["died_at"] for letter in letters)
    [one] = cli("dlq", "show", letters[0]["entry"], "--json")
    assert one["id"] == letters[0]["id"]

    fails[0] = False
    assert cli("dlq", "replay", letters[0]["id"], letters[1]["entry"], "--json")["replayed"] == 2
    assert cli("dlq", "purge", letters[2]["id"], "--json")["purged"] == 1
    eventually(lambda: sum(ran["fail", n] for n in range(40)) == 42)
    assert cli("dlq", "replay", "--all", "--json")["replayed"] == 37
    eventually(lambda: left_over(cluster) == [])


def test_an_idempotency_key_holds_over_all_queues_and_leads_to_its_result(app, start):
    @app.task(keep_result=True)
    def double(n: int) -> int:
        return 2 * n

    for n in range(20):
        first = double.options(idempotency_key=f"key:{n}").enqueue(n)
        second = double.options(idempotency_key=f"key:{n}", queue="mail").enqueue(n)
        assert (first.created, second.created, second.id) == (True, False, first.id)
    start(app)

    assert first.result(timeout=PATIENCE) == 38


def test_a_task_is_found_and_cancelled_wherever_it_is(app):
    app.task(name="never")(lambda: None)
    handles = [app.enqueue("never", {}, delay=60) for _ in range(20)]
    keyed = app.enqueue("never", {}, idempotency_key="k", delay=60)

    assert {handle.state() for handle in (*handles, keyed)} == {"scheduled"}
    assert all(handle.cancel() for handle in (*handles, keyed))
    assert Inspector(app.backend).counts("default").scheduled == 0
    assert keyed.state() is None


def test_tidy_deletes_what_was_acked_and_left_at_any_shard_and_nothing_else(cluster, app, cli):
    kept = 0
    for shard in app.backend.shards[3:]:
        client, keys = cluster.owner(shard.names.base).client(), shard.names.queue("default")
        stream, group = keys.streams["n"], app.config.group_name
        client.xgroup_create(stream, group, "0", mkstream=True)
        entries = [client.xadd(stream, {"payload": "{}"}) for _ in range(4)]
        client.xreadgroup(group, "another", {stream: ">"}, count=3)
        client.xack(stream, group, *entries[:2])
        kept += 2  # one runs, one waits

    assert cli("tidy", "--yes", "--json") == {"deleted": 2 * 13}
    assert cli("tidy", "--yes", "--json") == {"deleted": 0}
    counts = Inspector(app.backend).counts("default")
    assert (counts.running, counts.waiting) == (kept // 2, kept // 2)


def test_events_of_all_shards_are_heard(app, start):
    app.task(name="note")(lambda: None)
    feed = feed_of(app.backend)
    with feed.subscribe(timeout=PATIENCE) as inbox:
        ids = {app.enqueue("note", {}).id for _ in range(50)}
        start(app)
        heard = Counter()

        def all_heard():
            for event in inbox.get(0.2):
                for task in ids:
                    heard[task] += task in event.data
            return all(heard[task] >= 3 for task in ids)

        eventually(all_heard)
    feed.close()
    assert set(heard.values()) == {3}, "pending, processing, completed, once each"


def test_a_burst_of_events_is_heard_to_its_end_at_once(cluster, app):
    shard, feed = app.backend.shards[3], feed_of(app.backend)
    burst = cluster.owner(shard.names.base).client().pipeline()
    for n in range(250):
        burst.execute_command("SPUBLISH", shard.channel, f'{{"type":"Pending","at":{n}}}')
    with feed.subscribe(timeout=5) as inbox:
        burst.execute()

        # What was read ahead is in no socket: no poll tells of it before the next event, or a PING after ten seconds.
        eventually(lambda: feed.ring.end == 250, 5)
        assert [event.at for event in inbox.get(5)] == list(range(250))
    feed.close()


def test_nothing_is_published_while_nobody_listens(cluster, app, start):
    app.task(name="note")(lambda: None)
    for node in cluster.masters():
        eventually(lambda node=node: node.client().execute_command("PUBSUB", "SHARDCHANNELS") == [])
        node.client().config_resetstat()
    start(app)
    handles = [app.enqueue("note", {}) for _ in range(20)]
    eventually(lambda: not any(handle.state() for handle in handles))

    for node in cluster.masters():
        assert not {"cmdstat_spublish", "cmdstat_publish"} & node.client().info("commandstats").keys()


def test_the_api_shows_one_queue(app, start):
    @app.task(max_retries=0)
    def fail() -> None:
        raise ValueError("broken")

    for _ in range(20):
        fail.enqueue()
    worker = start(app)
    eventually(lambda: len(DeadLetters(app.backend, "default")) == 20)
    client = create_app(app).test_client()

    assert client.get("/api/health").get_json()["redis"] is True
    [shown] = client.get("/api/workers").get_json()
    assert (shown["id"], shown["status"]) == (worker.name, "active")
    assert 'buraq_queue_tasks{queue="default",state="dead"} 20.0' in client.get("/metrics").text
    assert client.post("/api/retry-dlq").get_json()["retried"] == 20


def test_what_lies_in_old_shards_is_run_when_there_are_more(cluster, app, start):
    ran = Counter()
    old = {app.enqueue("note", {"n": n}).id for n in range(50)}
    more = Buraq(Config.from_env(cluster.settings(STREAM_SHARDS="24", RETRY_BACKOFF="0s")))

    @more.task
    def note(n: int) -> None:
        ran[n] += 1

    note.enqueue_many([{"n": 50 + n} for n in range(50)])
    tags = [shard.names.tag for shard in app.backend.shards]
    assert [shard.names.tag for shard in more.backend.shards][:16] == tags
    start(more)

    eventually(lambda: len(ran) == 100)
    assert len(old) == 50
    assert set(ran.values()) == {1}


def test_a_worker_that_stops_leaves_nothing_of_itself(cluster, app, start):
    started = Happened()

    @app.task
    def sleep() -> None:
        started.set()
        Happened().wait(2 * PATIENCE)

    handle = sleep.enqueue()
    worker = start(app)
    assert started.wait(PATIENCE)
    worker.stop(0.0)

    counts = Inspector(app.backend).counts("default")
    assert (handle.state(), counts.waiting, counts.running) == ("waiting", 1, 0)
    assert Inspector(app.backend).workers() == []
