"""Ten thousand dead letters get another life, and a crash on the way loses and doubles none."""

import itertools
import subprocess
import sys

import pytest
import ujson

from buraq import Buraq
from buraq.deadletters import DeadLetters
from buraq.task import Dead, Delivery, decode
from tests.proxy import Proxy, script
from tests.servers import PATIENCE

LETTERS = 10_000


def bury(queue, redis, count):
    """Fill the dead letters the way a worker does, in batches; every tenth has an idempotency key."""
    broker = queue.backend.broker("default")
    link = queue.backend.server.link()
    link.commands(broker.group_commands())
    payloads = [{"n": n} for n in range(count)]
    ids = [handle.id for handle in _enqueue(queue, payloads)]
    number = 0
    while rows := link.command("XREADGROUP", "GROUP", broker.group, "w", "COUNT", 250, "STREAMS", "buraq_tasks", ">"):
        batch = []
        for entry, fields in rows[0][1]:
            delivery = Delivery(broker.keys, "n", entry, fields, 0)
            task = decode(fields[1])
            task.members["current_retries"] = 3
            delivery.task = task
            delivery.outcome, delivery.note = Dead("exhausted", "ValueError: no"), '"worker_id":"w-0"'
            batch.append(delivery)
        number += 1
        link.call(broker.settle(batch, "w", number))
    assert redis.xlen("buraq_tasks_dlq") == count
    return ids


def _enqueue(queue, payloads):
    @queue.task(name="nap")
    def nap(n: int) -> None: ...

    keyed = [nap.options(idempotency_key=f"k{p['n']}").enqueue(**p) for p in payloads[::10]]
    return keyed + nap.enqueue_many([p for p in payloads if p["n"] % 10])


def assert_all_back(redis, ids):
    entries = redis.xrange("buraq_tasks")
    tasks = [ujson.loads(fields["payload"]) for _, fields in entries]
    assert sorted(task["id"] for task in tasks) == sorted(ids)
    assert {task["current_retries"] for task in tasks} == {0}
    assert redis.xlen("buraq_tasks_dlq") == 0
    index = redis.hgetall("buraq_tasks:index")
    assert index == {task["id"]: f"n{entry}" for (entry, _), task in zip(entries, tasks, strict=True)}


def test_all_dead_letters_go_back_with_no_retries_used(server, redis):
    queue = Buraq(redis_url=server.url)
    ids = bury(queue, redis, LETTERS)
    replayed = DeadLetters(queue.backend, "default").replay_all()
    assert replayed == (LETTERS, 0, 0)
    assert_all_back(redis, ids)


@pytest.mark.e2e
def test_a_crash_in_the_middle_of_a_replay_loses_and_doubles_none(server, redis):
    queue = Buraq(redis_url=server.url)
    ids = bury(queue, redis, LETTERS)
    calls = itertools.count(1)
    with Proxy(server) as proxy:
        program = (
            "from buraq import Buraq; from buraq.deadletters import DeadLetters;"
            f"DeadLetters(Buraq(redis_url={proxy.url_of('api')!r}).backend, 'default').replay_all()"
        )
        middle = proxy.hit("stall", lambda sent: script(sent) and next(calls) > 20)
        child = subprocess.Popen([sys.executable, "-c", program])
        assert middle.hit.wait(PATIENCE)
        child.kill()
        child.wait()
    dead, back = redis.xlen("buraq_tasks_dlq"), redis.xlen("buraq_tasks")
    assert dead + back == LETTERS
    assert 0 < dead < LETTERS, "the replay was not under way when it was killed: the test tested nothing"

    assert DeadLetters(queue.backend, "default").replay_all().replayed == dead
    assert_all_back(redis, ids)
