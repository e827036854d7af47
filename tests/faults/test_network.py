"""The network loses replies, and the tasks do not notice."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as Disconnected

from buraq import Buraq
from tests.faults.conftest import naps, nothing_left
from tests.faults.results import SEED, size
from tests.proxy import Proxy
from tests.servers import CLIENT, eventually

pytestmark = pytest.mark.e2e


def request(*words):
    """Return a predicate for requests that hold one of these words."""
    return lambda sent: any(word in sent for word in words)


def test_five_percent_of_all_replies_are_lost_and_each_task_completes_once(group, ledger, server, redis, conclude):
    with Proxy(server, seed=SEED + 10) as proxy:
        queue = Buraq(redis_url=proxy.url, enqueue_timeout=30)
        proxy.hit("cut_reply", request(b"EVALSHA", b"XREADGROUP"), share=0.05)
        group(proxy, processes=2, concurrency=50).consuming()
        tasks = {queue.enqueue("nap", {"seconds": 0.01}).id for _ in range(size(5_000))}

        eventually(lambda: tasks <= ledger.ended() or None, 240)
        eventually(lambda: nothing_left(redis))
        assert proxy.counts["cut_reply"] > 100
        proxy.heal()
        verdict = conclude("F6", "5 % of all replies are cut off", tasks, cut=proxy.counts["cut_reply"])
    assert verdict.run_twice == 0, "a lost reply is no reason to run a task twice"
    assert verdict.runs == len(tasks) == verdict.accepted


def test_connections_are_reset_instead_of_replies_and_each_task_completes_once(group, ledger, server, conclude):
    with Proxy(server, seed=SEED + 11) as proxy:
        queue = Buraq(redis_url=proxy.url, enqueue_timeout=30)
        proxy.hit("reset", request(b"EVALSHA", b"XREADGROUP"), share=0.05)
        group(proxy, concurrency=50).consuming()
        tasks = {queue.enqueue("nap", {"seconds": 0.01}).id for _ in range(size(1_000, 1 / 5))}

        eventually(lambda: tasks <= ledger.ended() or None, 60)
        assert proxy.counts["reset"] > 20
        proxy.heal()
        verdict = conclude("F6b", "a reset instead of 5 % of all replies", tasks, reset=proxy.counts["reset"])
    assert verdict.runs == len(tasks)


def test_every_reply_comes_late_and_each_task_completes_once(group, ledger, server, conclude):
    with Proxy(server) as proxy:
        queue = Buraq(redis_url=proxy.url, enqueue_timeout=30)
        proxy.hit("slow", lambda sent: True, seconds=0.1)
        group(proxy, concurrency=50).consuming()
        tasks = naps(queue, [0.01] * size(1_000, 1 / 5))

        eventually(lambda: tasks <= ledger.ended() or None, 60)
        assert proxy.counts["slow"] > 20
        proxy.heal()
        verdict = conclude("F6c", "every reply comes 0.1 s late", tasks, slow=proxy.counts["slow"])
    assert verdict.runs == len(tasks)


def test_who_is_reset_is_told_so(server):
    with Proxy(server) as proxy, Redis.from_url(proxy.url, **CLIENT) as client:
        client.ping()
        reset = proxy.hit_next("reset", request(b"PING"))

        with pytest.raises(Disconnected, match="reset by peer"):
            client.ping()
        assert reset.hit.is_set()
        client.ping()


def test_a_process_that_is_cut_off_for_longer_than_its_lease_commits_nothing_that_others_took(
    group, queue, ledger, server, conclude
):
    with Proxy(server) as proxy:
        old = group(proxy, concurrency=20, LEASE_TTL="3s").consuming()
        tasks = {queue.enqueue("nap", {"seconds": 5}).id for _ in range(20)}
        eventually(lambda: ledger.starts().keys() == tasks or None)
        proxy.hit("stall", lambda sent: True)  # both sides live, and hear nothing of each other
        new = group(concurrency=20, LEASE_TTL="3s").consuming()
        eventually(lambda: set(ledger.starts().values()) == {2} or None)
        pid, *_ = old.workers()
        eventually(lambda: len([line for line in ledger.lines("end") if line.pid == pid]) == 20 or None)
        proxy.heal()

        eventually(lambda: {line.id for line in ledger.lines("late")} == tasks or None)
        verdict = conclude("F7", "a process is cut off for longer than its lease, and comes back", tasks)
        assert "lease had lapsed" in old.log.read_text()
    assert verdict.runs == 2 * len(tasks)
    assert {line.pid for line in ledger.lines("committed")} != {pid}
    assert "reclaimed" in new.log.read_text()
