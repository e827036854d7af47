"""The network loses replies, and the tasks do not notice."""

import pytest

from buraq import Buraq
from tests.faults.conftest import nothing_left
from tests.proxy import Proxy
from tests.servers import eventually

pytestmark = pytest.mark.e2e

TASKS = 5_000


def request(*words):
    """Return a predicate for requests that hold one of these words."""
    return lambda sent: any(word in sent for word in words)


def test_five_percent_of_all_replies_are_lost_and_each_task_completes_once(group, ledger, server, redis, witness):
    with Proxy(server.port, seed=11) as proxy:
        queue = Buraq(redis_url=proxy.url, enqueue_timeout=5)
        proxy.hit("cut_reply", request(b"EVALSHA", b"XREADGROUP"), share=0.05)
        through = type("Through", (), {"url": proxy.url})()
        workers = group(through, processes=2, concurrency=50).consuming()
        tasks = {queue.enqueue("nap", {"seconds": 0.01}).id for _ in range(TASKS)}
        assert len(tasks) == TASKS

        eventually(lambda: ledger.ended() == tasks or None, 120)
        eventually(lambda: nothing_left(redis), 20)
        assert proxy.counts["cut_reply"] > 100
        proxy.heal()
        assert workers.stop() == 0
    assert set(ledger.starts().values()) == {1}, "a lost reply is no reason to run a task twice"
    assert witness.count("Completed") == dict.fromkeys(tasks, 1)
    pending = [redis.xpending(name, "buraq_workers")["pending"] for name in ("buraq_tasks", "buraq_tasks_front")]
    assert pending == [0, 0]
