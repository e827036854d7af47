"""Enqueueing through faults: what was accepted is there once, what was not is said, and nobody waits too long."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gevent
import pytest
import ujson
from gevent.event import Event
from gevent.threadpool import ThreadPool
from redis import Redis

from buraq.app import Buraq
from buraq.connection import Server as Connections
from buraq.errors import ConfigError, EnqueueError, QueueUnavailable
from buraq.keys import Names
from buraq.values import Durability
from tests.guarded import StrictServer
from tests.proxy import Proxy, script
from tests.servers import PATIENCE, Server, eventually

STREAM = "buraq_tasks"
SLACK = 10.0  # seconds that a machine may add to a deadline: it may be busy, or stand still for a moment


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server, seed=7) as proxy:
        yield proxy


@pytest.fixture
def app(redis: Redis, proxy: Proxy) -> Buraq:
    """A queue that reaches the session's server through the proxy, and asks again only for what was lost."""
    return Buraq(redis_url=proxy.url, enqueue_timeout=PATIENCE)


def ids_in(redis: Redis, stream: str = STREAM) -> list[str]:
    """Return the task ids in a stream, in its order."""
    return [ujson.loads(fields["payload"])["id"] for _, fields in redis.xrange(stream)]


def script_calls(redis: Redis) -> int:
    """Return how often a script ran since `config_resetstat`."""
    return int(redis.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def accepted(app: Buraq, id: str) -> bool:
    """Enqueue, and say whether the answer came in time: a busy machine may need longer than a short timeout."""
    try:
        app.enqueue("t", id=id)
    except QueueUnavailable:
        return False
    return True


def warm(app: Buraq, redis: Redis) -> None:
    """Connect, load the script and register the queue, and leave nothing behind."""
    eventually(lambda: accepted(app, "warm"))
    redis.delete(STREAM, f"{STREAM}:index")
    redis.config_resetstat()


def enqueue_all(app: Buraq, ids: Sequence[str]) -> list[gevent.Greenlet]:
    """Enqueue each id from a greenlet of its own; return the greenlets, the first of them the leader."""
    return [gevent.spawn(app.enqueue, "t", id=id) for id in ids]


def stalled(app: Buraq, proxy: Proxy, followers: int) -> tuple[gevent.Greenlet, list[gevent.Greenlet]]:
    """Return a leader whose reply is held back, and callers who wait behind it."""
    rule = proxy.hit_next("stall")
    leader = gevent.spawn(app.enqueue, "t", id="leader")
    assert rule.hit.wait(PATIENCE)
    waiting = enqueue_all(app, [f"f{n}" for n in range(followers)])
    gevent.idle()
    return leader, waiting


# -- group commit


def test_many_greenlets_at_once_are_accepted_in_few_batches(app: Buraq, redis: Redis) -> None:
    warm(app, redis)
    ids = [f"t{n}" for n in range(500)]

    handles = [greenlet.get(timeout=PATIENCE) for greenlet in enqueue_all(app, ids)]

    assert [handle.id for handle in handles] == ids
    assert all(handle.created for handle in handles)
    assert sorted(ids_in(redis)) == sorted(ids)
    assert script_calls(redis) <= 10


# A thread that ends takes its hub with it, and with that what closes a socket of gevent; Python does it then.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
def test_greenlets_and_threads_with_hubs_of_their_own_enqueue_at_once(app: Buraq, redis: Redis) -> None:
    warm(app, redis)

    def enqueue(name: str) -> None:
        for number in range(50):
            app.enqueue("t", id=f"{name}-{number}")

    threads = ThreadPool(4)
    callers = {f"thread {n}": threads.spawn(enqueue, f"thread {n}") for n in range(4)}
    callers |= {f"greenlet {n}": gevent.spawn(enqueue, f"greenlet {n}") for n in range(8)}
    for caller in callers.values():
        caller.get(timeout=30)

    assert sorted(ids_in(redis)) == sorted(f"{name}-{number}" for name in callers for number in range(50))
    threads.kill()


def test_two_queues_travel_in_one_request(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    app.enqueue("warm", queue="mail")
    warm(app, redis)
    _, waiting = stalled(app, proxy, 0)
    waiting = [gevent.spawn(app.enqueue, "t", id=id, queue=queue) for id, queue in (("a", "default"), ("b", "mail"))]
    gevent.idle()
    before = proxy.counts["requests"]

    proxy.heal()
    gevent.joinall(waiting, timeout=PATIENCE, raise_error=True)

    assert proxy.counts["requests"] == before + 1
    assert ids_in(redis)[-1:] == ["a"]
    assert ids_in(redis, f"{STREAM}:mail")[-1:] == ["b"]
    assert redis.smembers(Names().queues) == {"default", "mail"}


def test_enqueue_many_keeps_the_order(app: Buraq, redis: Redis) -> None:
    @app.task
    def count(n: int) -> None: ...

    handles = count.enqueue_many([{"n": n} for n in range(1000)])

    assert len({handle.id for handle in handles}) == 1000
    assert ids_in(redis) == [handle.id for handle in handles]
    assert '"payload":{"n":999}' in redis.xrevrange(STREAM, count=1)[0][1]["payload"]


def test_the_same_idempotency_key_twice_is_one_task_with_one_id(app: Buraq, redis: Redis) -> None:
    greenlets = [gevent.spawn(app.enqueue, "t", idempotency_key="mail:1") for _ in range(50)]

    handles = [greenlet.get(timeout=PATIENCE) for greenlet in greenlets]
    later = app.enqueue("t", idempotency_key="mail:1")

    assert {handle.id for handle in [*handles, later]} == set(ids_in(redis))
    assert [handle.created for handle in [*handles, later]].count(True) == 1
    assert redis.xlen(STREAM) == 1


# -- leaders and followers that do not come to an end


def test_a_killed_leader_leaves_its_batch_to_those_who_wait(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    warm(app, redis)
    first = proxy.hit_next("stall")
    before = gevent.spawn(app.enqueue, "t", id="before")
    assert first.hit.wait(PATIENCE)
    second = proxy.hit_next("stall")
    batch = enqueue_all(app, ["killed", "b", "c"])
    gevent.idle()
    first.over.set()
    assert second.hit.wait(PATIENCE)  # "killed" leads b and c; the server has executed them
    behind = enqueue_all(app, ["d", "e"])
    gevent.idle()

    batch[0].kill()
    handles = [greenlet.get(timeout=PATIENCE) for greenlet in [before, *batch[1:], *behind]]

    assert [handle.created for handle in handles] == [True] * 5
    assert sorted(ids_in(redis)) == ["b", "before", "c", "d", "e", "killed"]


def test_a_leader_killed_before_its_request_was_executed_loses_no_follower(
    app: Buraq, redis: Redis, proxy: Proxy
) -> None:
    warm(app, redis)
    leader, waiting = stalled(app, proxy, 3)
    proxy.heal()
    ghost = proxy.hit_next("ghost")
    assert ghost.hit.wait(PATIENCE)

    waiting[0].kill()  # the leader of the second batch, between two attempts
    handles = [greenlet.get(timeout=PATIENCE) for greenlet in [leader, *waiting[1:]]]

    assert all(handle.created for handle in handles)
    assert {"leader", "f1", "f2"} <= set(ids_in(redis))
    assert len(ids_in(redis)) == len(set(ids_in(redis)))


def test_a_leader_out_of_time_hands_over(redis: Redis, proxy: Proxy) -> None:
    app = Buraq(redis_url=proxy.url, enqueue_timeout="5s")
    warm(app, redis)
    proxy.hit("stall")
    leader = gevent.spawn(app.enqueue, "t", id="leader")
    gevent.sleep(2.5)  # its followers have that much more time; there is no event for the passing of time
    waiting = enqueue_all(app, ["a", "b"])

    with pytest.raises(QueueUnavailable) as raised:
        leader.get(timeout=PATIENCE)
    proxy.heal()

    assert raised.value.task_ids == ("leader",)
    assert [greenlet.get(timeout=PATIENCE).id for greenlet in waiting] == ["a", "b"]
    assert sorted(ids_in(redis)) == ["a", "b", "leader"]


@pytest.mark.parametrize("fault", ["stall", "cut_reply", "cut_request"])
def test_when_no_answer_comes_all_are_told_in_time(redis: Redis, proxy: Proxy, fault: Any) -> None:
    app = Buraq(redis_url=proxy.url, enqueue_timeout="500ms")
    warm(app, redis)
    proxy.hit(fault, lambda request: True)

    def caller(id: str) -> tuple[type[Exception] | None, float]:
        start = time.monotonic()
        try:
            app.enqueue("t", id=id)
        except Exception as error:
            return type(error), time.monotonic() - start
        return None, 0.0

    greenlets = [gevent.spawn(caller, f"t{n}") for n in range(300)]
    gevent.joinall(greenlets, timeout=PATIENCE)
    errors, seconds = zip(*(greenlet.value for greenlet in greenlets), strict=True)

    assert set(errors) == {QueueUnavailable}
    assert max(seconds) < 0.5 + SLACK
    proxy.heal()
    eventually(lambda: accepted(app, "t0"))  # safe, and the producer is as good as new
    assert ids_in(redis).count("t0") == 1


def test_a_refused_connection_is_told_in_time_with_its_cause(redis: Redis, proxy: Proxy) -> None:
    app = Buraq(redis_url=proxy.url, enqueue_timeout="300ms")
    proxy.refuse()
    start = time.monotonic()

    with pytest.raises(QueueUnavailable) as raised:
        app.enqueue("t", id="a")

    assert 0.25 < time.monotonic() - start < 0.3 + SLACK
    assert "Connection refused" in str(raised.value.__cause__)
    proxy.accept()
    eventually(lambda: accepted(app, "a"))


def test_a_server_that_never_finishes_the_handshake_is_told_in_time(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    app = Buraq(redis_url=server.url, enqueue_timeout="300ms")
    server.pause()
    start = time.monotonic()

    with pytest.raises(QueueUnavailable):
        app.enqueue("t")

    assert time.monotonic() - start < 0.3 + SLACK
    server.resume()


def test_a_name_that_is_looked_up_for_ever_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Buraq(redis_url="redis://redis.example:6379/0", enqueue_timeout="300ms")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: Event().wait())
    callers = enqueue_all(app, ["a", "b"])

    gevent.joinall(callers, timeout=PATIENCE)

    assert {type(caller.exception) for caller in callers} == {QueueUnavailable}
    assert "not connected to redis.example:6379 in time" in str(callers[0].exception)


def test_answers_that_come_slowly_one_by_one_do_not_add_up(redis: Redis, proxy: Proxy) -> None:
    app = Buraq(redis_url=proxy.url, enqueue_timeout="1500ms")
    redis.script_flush()
    proxy.hit("slow", lambda request: True, seconds=0.45)  # handshake, registering, NOSCRIPT, SCRIPT LOAD
    start = time.monotonic()

    with pytest.raises(QueueUnavailable):
        app.enqueue("t")

    assert time.monotonic() - start < 1.5 + SLACK


@pytest.mark.parametrize("error", [gevent.GreenletExit, gevent.Timeout(None)])
def test_a_follower_that_is_interrupted_does_not_disturb_the_others(
    app: Buraq, redis: Redis, proxy: Proxy, error: Any
) -> None:
    warm(app, redis)
    leader, waiting = stalled(app, proxy, 4)

    waiting[1].kill(error)
    proxy.heal()
    others = [greenlet.get(timeout=PATIENCE).id for greenlet in (leader, waiting[0], *waiting[2:])]

    assert others == ["leader", "f0", "f2", "f3"]
    assert sorted(ids_in(redis)) == ["f0", "f2", "f3", "leader"]  # f1 was not sent yet


def test_an_interrupt_anywhere_in_a_plain_thread_leaves_the_producer_whole(server: Server, redis: Redis) -> None:
    # Ctrl-C strikes between any two bytecodes. Each of 400 signals falls at another place in an enqueue.
    output = plain_python(
        f"""
        import signal
        from buraq import Buraq, QueueUnavailable
        class Interrupt(BaseException): pass
        def strike(number, frame): raise Interrupt
        signal.signal(signal.SIGALRM, strike)
        app = Buraq(redis_url={server.url!r}, enqueue_timeout=30)
        app.enqueue("warm")
        hits = 0
        for n in range(400):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 + n * 1e-6)
                    app.enqueue("t")
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Interrupt:
                hits += 1
        assert app.enqueue("t", id="last").created
        print("interrupted" if hits else "never hit")
        """
    )

    assert output == "interrupted"
    assert ids_in(redis).count("last") == 1
    assert len(ids_in(redis)) == len(set(ids_in(redis)))


# -- a network that cuts


def test_five_percent_of_the_replies_lost_leave_one_entry_per_id(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    warm(app, redis)
    proxy.hit("cut_reply", share=0.05)
    ids = [f"t{n}" for n in range(5000)]
    todo = iter(ids)

    def caller() -> None:
        for id in todo:
            assert app.enqueue("t", id=id).created

    gevent.joinall([gevent.spawn(caller) for _ in range(10)], timeout=3 * PATIENCE, raise_error=True)

    assert proxy.counts["cut_reply"] >= 20
    assert sorted(ids_in(redis)) == sorted(ids)


def test_a_request_that_arrives_late_is_refused(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    warm(app, redis)
    proxy.hit_next("ghost")

    assert app.enqueue("t", id="a").created  # the second attempt
    assert proxy.release_ghosts() == [[]]  # the same number: the remembered reply
    proxy.hit_next("ghost")
    app.enqueue("t", id="b")
    app.enqueue("t", id="c")
    redis.delete(STREAM, f"{STREAM}:index")  # b has run and is gone
    [reply] = proxy.release_ghosts()

    assert "STALE" in str(reply)
    assert ids_in(redis) == []


def test_a_request_that_all_its_callers_gave_up_is_refused_when_it_arrives_after_others(
    redis: Redis, proxy: Proxy
) -> None:
    app = Buraq(redis_url=proxy.url, enqueue_timeout=PATIENCE)
    warm(app, redis)
    rule = proxy.hit_next("ghost")
    lost = gevent.spawn(app.enqueue, "t", id="lost")
    assert rule.hit.wait(PATIENCE)
    lost.kill()

    app.enqueue("t", id="next")

    assert "STALE" in str(proxy.release_ghosts()[0])
    assert ids_in(redis) == ["next"]


def test_enqueue_works_after_a_restart_that_forgot_the_scripts(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    app = Buraq(redis_url=server.url, enqueue_timeout=PATIENCE)
    app.enqueue("t", id="a")

    server.restart()
    handle = app.enqueue("t", id="b")

    assert handle.created
    assert ids_in(server.client()) == ["b"]
    assert handle.state() == "waiting"  # by the shared connection, which the restart has cut too


def test_the_shared_connection_survives_a_restart_between_two_uses(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server(aof=True)
    handle = Buraq(redis_url=server.url).enqueue("t")
    assert handle.state() == "waiting"

    server.restart()

    assert handle.cancel()


# -- processes and threads


def test_a_forked_child_is_another_producer_while_the_parent_is_at_it(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    warm(app, redis)
    [parent] = redis.keys(f"{STREAM}:memo:*")
    stalled(app, proxy, 2)

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            # The proxy lives in the parent's hub, so the child goes on by itself only once it is healed there.
            app.enqueue("t", id="child")
            status = 0
        finally:
            os._exit(status)
    proxy.heal()
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert set(redis.keys(f"{STREAM}:memo:*")) > {parent}
    assert sorted(ids_in(redis)) == ["child", "f0", "f1", "leader"]


def plain_python(code: str) -> str:
    """Run code in a process that gevent never touched; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_plain_threads_enqueue_together(server: Server, redis: Redis) -> None:
    redis.config_resetstat()
    output = plain_python(
        f"""
        import sys, threading
        from buraq import Buraq
        app = Buraq(redis_url={server.url!r}, enqueue_timeout=30)
        def caller(k):
            for n in range(20):
                assert app.enqueue("t", id=f"{{k}}-{{n}}").created
        threads = [threading.Thread(target=caller, args=(k,)) for k in range(50)]
        for t in threads: t.start()
        for t in threads: t.join()
        print("gevent" in sys.modules)
        """
    )

    assert output == "False"
    assert sorted(ids_in(redis)) == sorted(f"{k}-{n}" for k in range(50) for n in range(20))
    assert script_calls(redis) < 1000


def test_plain_threads_through_a_network_that_cuts(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    proxy.hit("cut_reply", share=0.1)
    plain_python(
        f"""
        import threading
        from buraq import Buraq
        app = Buraq(redis_url={proxy.url!r}, enqueue_timeout=30)
        def caller(k):
            for n in range(50):
                assert app.enqueue("t", id=f"{{k}}-{{n}}").created
        threads = [threading.Thread(target=caller, args=(k,)) for k in range(10)]
        for t in threads: t.start()
        for t in threads: t.join()
        """
    )

    assert proxy.counts["cut_reply"] > 0
    assert sorted(ids_in(redis)) == sorted(f"{k}-{n}" for k in range(10) for n in range(50))


def test_a_plain_process_forks_while_a_thread_holds_the_producer(app: Buraq, redis: Redis, proxy: Proxy) -> None:
    rule = proxy.hit_next("stall", lambda request: b'"parent"' in request)
    output = plain_python_with(
        proxy,
        rule,
        f"""
        import os, sys, threading
        from buraq import Buraq
        app = Buraq(redis_url={proxy.url!r}, enqueue_timeout=30)
        app.enqueue("t", id="warm")
        assert app.enqueue("t", id="shared").state() == "waiting"
        thread = threading.Thread(target=app.enqueue, args=("t",), kwargs=dict(id="parent"))
        thread.start()
        sys.stdin.readline()  # the server has the thread's request, and its reply is held back
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert app.enqueue("t", id="child").created
                assert app.enqueue("t", id="child").state() == "waiting"
                status = 0
            finally:
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        sys.stdin.readline()
        thread.join()
        """,
    )

    assert output == "0"
    assert sorted(ids_in(redis)) == ["child", "parent", "shared", "warm"]
    assert len(redis.keys(f"{STREAM}:memo:*")) == 2


def test_a_plain_process_forks_while_a_thread_holds_the_shared_connection(
    app: Buraq, redis: Redis, proxy: Proxy
) -> None:
    rule = proxy.hit_next("stall", lambda request: b"HGET" in request)
    output = plain_python_with(
        proxy,
        rule,
        f"""
        import os, signal, sys, threading
        from buraq import Buraq
        handle = Buraq(redis_url={proxy.url!r}, enqueue_timeout=30).enqueue("t")
        states = []
        thread = threading.Thread(target=lambda: states.append(handle.state()))
        thread.start()
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            os._exit(0 if handle.state() == "waiting" else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        sys.stdin.readline()
        thread.join()
        assert states == ["waiting"]
        """,
    )

    assert output == "0"


def test_a_link_that_crossed_a_fork_is_not_shared(server: Server) -> None:
    output = plain_python(
        f"""
        import os
        from buraq.connection import Server
        link = Server.from_url({server.url!r}).link()
        mine = link.command("CLIENT", "ID")
        child = os.fork()
        if child == 0:
            os._exit(0 if link.command("CLIENT", "ID") != mine else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print(link.command("CLIENT", "ID") == mine)
        """
    )

    assert output == "True"


def plain_python_with(proxy: Proxy, rule: Any, code: str) -> str:
    """Run code that reads a line once the rule has hit, prints one, and reads another once the proxy is healed."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert rule.hit.wait(PATIENCE)
            process.stdin.write("go\n")
            process.stdin.flush()
            line = process.stdout.readline()
            proxy.heal()
            process.stdin.write("on\n")
            process.stdin.flush()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    return line.strip()


# -- a server that refuses


def test_a_full_server_refuses_and_nothing_is_written(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server(options=["--enable-debug-command", "yes"])
    app, redis = Buraq(redis_url=server.url), server.client()
    app.enqueue("warm")
    before = dump(redis)
    redis.config_set("maxmemory", 1)

    for options in ({}, {"delay": 60}, {"idempotency_key": "k"}):
        with pytest.raises(EnqueueError, match="maxmemory"):
            app.enqueue("t", **options)
    redis.config_set("maxmemory", 0)

    assert dump(redis) == before
    assert app.enqueue("t").created


def dump(redis: Redis) -> dict[str, str]:
    """Return a digest of each key, but for the remembered replies."""
    return {
        key: redis.execute_command("DEBUG", "DIGEST-VALUE", key)[0] for key in redis.scan_iter() if ":memo:" not in key
    }


def test_a_full_server_does_not_hide_the_queue_once_it_has_room(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    app, redis = Buraq(redis_url=server.url), server.client()
    redis.config_set("maxmemory", 1)
    with pytest.raises(EnqueueError):
        app.enqueue("t", queue="mail")
    redis.config_set("maxmemory", 0)

    app.enqueue("t", queue="mail")

    assert redis.smembers(Names().queues) == {"mail"}


def test_a_replica_is_not_written_to_and_waited_for(fresh_server: Callable[..., Server], redis: Redis) -> None:
    server = fresh_server()
    app, replica = Buraq(redis_url=server.url, enqueue_timeout="2s"), server.client()
    app.enqueue("warm")
    replica.replicaof("127.0.0.1", 1)

    with pytest.raises(QueueUnavailable) as raised:
        app.enqueue("t", id="a")
    assert "replica" in str(raised.value.__cause__)

    replica.replicaof("no", "one")
    assert app.enqueue("t", id="a").created


def test_a_server_that_becomes_the_master_again_in_time_is_not_noticed(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    app, replica = Buraq(redis_url=server.url, enqueue_timeout=PATIENCE), server.client()
    app.enqueue("warm")
    replica.replicaof("127.0.0.1", 1)

    greenlet = gevent.spawn(app.enqueue, "t", id="a")
    gevent.sleep(0.1)
    assert not greenlet.ready()
    replica.replicaof("no", "one")

    assert greenlet.get(timeout=PATIENCE).created


# -- durability


def test_aof_waits_for_the_disk(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server(aof=True, options=["--appendfsync", "everysec"])
    app = Buraq(redis_url=server.url, durability=Durability("aof"), enqueue_timeout=PATIENCE)

    for n in range(3):
        assert app.enqueue("t", id=f"t{n}").created
    server.kill()
    server.start()

    assert ids_in(server.client()) == ["t0", "t1", "t2"]


def test_a_replica_that_is_not_there_is_not_pretended(redis: Redis, server: Server) -> None:
    app = Buraq(redis_url=server.url, durability=Durability("replica", 1), enqueue_timeout="300ms")
    start = time.monotonic()

    with pytest.raises(QueueUnavailable):
        app.enqueue("t", id="a")

    assert time.monotonic() - start < 0.3 + SLACK


def test_a_replica_that_comes_in_time_is_waited_for(fresh: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    master, replica = fresh(StrictServer, options=["--repl-diskless-sync-delay", "0"]), fresh(StrictServer)
    app = Buraq(redis_url=master.url, durability=Durability("replica", 1), enqueue_timeout=12)
    greenlet = gevent.spawn(app.enqueue, "t", id="a")
    gevent.sleep(4.5)  # longer than one answer is waited for; there is no event for the passing of time
    assert not greenlet.ready()

    replica.client().replicaof("127.0.0.1", master.port)

    assert greenlet.get(timeout=PATIENCE).created
    eventually(lambda: ids_in(replica.client()) == ["a"])  # the first copy counts before it is read in


def test_a_reply_from_memory_does_not_pass_for_durable(redis: Redis, proxy: Proxy, server: Server) -> None:
    # A new connection has written nothing yet, so WAIT on it would have nothing to wait for.
    app = Buraq(redis_url=proxy.url, durability=Durability("aof"), enqueue_timeout="3s")
    redis.config_set("appendonly", "yes")
    redis.config_set("appendfsync", "no")  # nothing reaches the disk
    try:
        proxy.hit_next("cut_reply")
        with pytest.raises(QueueUnavailable):
            app.enqueue("t", id="a")
        assert proxy.counts["cut_reply"] == 1
    finally:
        redis.config_set("appendfsync", "everysec")
        redis.config_set("appendonly", "no")


def test_a_durability_that_the_server_cannot_give_is_a_wrong_setting(redis: Redis, server: Server) -> None:
    app = Buraq(redis_url=server.url, durability=Durability("aof"))

    with pytest.raises(ConfigError, match=r"DURABILITY='aof'.*appendonly"):
        app.enqueue("t")

    assert redis.xlen(STREAM) == 0


# -- connections


def test_settings_of_a_client_do_not_bring_back_hidden_retries(server: Server, redis: Redis) -> None:
    client = Redis.from_url(server.own_url, decode_responses=True, health_check_interval=1)
    connections = Connections.from_client(client)

    link = connections.link(1.0)

    assert link.command("ECHO", "x") == b"x"
    assert link._connection.retry.get_retries() == 0
    assert link._connection.socket_timeout == 1.0
    link.close()


def test_scripts_are_told_from_other_requests() -> None:
    assert script(b"*3\r\n$7\r\nEVALSHA\r\n")
    assert not script(b"*1\r\n$4\r\nPING\r\n")


def test_callers_whose_time_went_by_in_their_own_process_are_accepted_while_the_server_answers(
    redis: Redis, server: Server
) -> None:
    app = Buraq(redis_url=server.url, enqueue_timeout=1.5)
    eventually(lambda: accepted(app, "first"))  # connects

    def hold_the_hub() -> None:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            pass

    redis.client_pause(100)  # so that the first one waits for its answer, and the others stand in line
    callers = [gevent.spawn(app.enqueue, "t") for _ in range(3)]
    gevent.spawn(hold_the_hub)

    assert [caller.get(timeout=PATIENCE).created for caller in callers] == [True] * 3
