"""Many at once: the dead behind a crowd of the living, groups that want the same, clients of an event stream."""

import socket
import struct
from collections import Counter

import gevent
import psutil
import pytest
import ujson

from tests.faults.conftest import naps
from tests.faults.ledger import now
from tests.faults.leftovers import BASE, consumers, leases
from tests.faults.results import chance, promised, size
from tests.servers import eventually
from tests.web.clients import ApiProcess, EventReader

pytestmark = pytest.mark.e2e

GROUP, LEASES = "buraq_workers", f"{BASE}:leases"
FOR_EVER = 4e15  # a lease that nobody has to renew
EACH = 10  # tasks in the hands of one process
TAKEN_OVER = promised(15.0)  # seconds within which what a dead process had starts again


class Crowd:
    """Worker processes that only the server knows: each is a consumer with ten tasks, and has a lease."""

    def __init__(self, redis, queue, rand, first, count):
        self.names = [f"host~{first + n:08x}" for n in range(count)]
        self.tasks = naps(queue, [round(rand.uniform(0, 0.02), 3) for _ in range(EACH * count)])
        self._redis = redis
        with redis.pipeline(transaction=False) as together:
            for name in self.names:
                together.xreadgroup(GROUP, name, {BASE: ">"}, count=EACH)
            together.execute()
        self.has_leases_until(FOR_EVER)

    def has_leases_until(self, ms):
        self._redis.zadd(LEASES, dict.fromkeys(self.names, ms))

    def dies(self, in_ms=0):
        """Let their leases run out, after so many milliseconds by the clock of the server."""
        seconds, micros = self._redis.time()
        self.has_leases_until(seconds * 1000 + micros // 1000 + in_ms)


@pytest.fixture
def crowd(redis, queue):
    """Have processes hold tasks, before anybody else is there to take them: `crowd(rand, first=0x10, count=20)`."""
    redis.xgroup_create(BASE, GROUP, "0", mkstream=True)
    return lambda rand, first, count: Crowd(redis, queue, rand, first, count)


def test_the_dead_behind_a_crowd_of_the_living_are_taken_over_and_then_the_crowd_is(
    group, ledger, redis, crowd, conclude
):
    rand = chance("F14")
    living = crowd(rand, first=0, count=size(100, 1 / 20))
    dead = crowd(rand, first=0xDEAD0000, count=size(20, 1 / 100))
    dead.dies()
    group(processes=2, concurrency=100).consuming()
    began = now()
    eventually(lambda: ledger.ended() == dead.tasks)
    eventually(lambda: consumers(redis) <= leases(redis))
    assert redis.xpending(BASE, GROUP)["pending"] == len(living.tasks), "who lives is robbed of nothing"
    slowest = max(run.start for run in ledger.runs()) - began

    living.dies()
    died, tasks = now(), living.tasks | dead.tasks
    eventually(lambda: tasks <= ledger.ended())
    slowest = max(slowest, *(run.start - died for run in ledger.runs() if run.id in living.tasks))

    what = f"{len(dead.names)} dead processes behind {len(living.names)} living ones, and then these die, too"
    verdict = conclude("F14", what, tasks, slowest=slowest)
    assert verdict.runs == len(tasks)
    assert slowest <= TAKEN_OVER


def all_may_reclaim(redis):
    """Wait until every worker process has renewed its lease: none takes anything over before."""
    first = {}

    def each_has():
        held = redis.zrange(LEASES, 0, -1, withscores=True)
        # A list, for each is to be looked at in the first round.
        return all([until == FOR_EVER or until > first.setdefault(name, until) for name, until in held])

    eventually(each_has)


def taken_by(group):
    """Return how many tasks a group says that it took over."""
    lines = [line for line in group.log.read_text().splitlines() if "reclaimed from a dead" in line]
    return sum(ujson.loads(line)["again"] for line in lines)


def test_two_groups_that_see_the_same_due_tasks_and_the_same_dead_take_each_once(
    group, queue, witness, redis, crowd, conclude
):
    rand = chance("F20")
    dead = crowd(rand, first=0xDEAD0000, count=size(20, 1 / 100))
    both = [group(processes=2, concurrency=50) for _ in range(2)]
    for one in both:
        one.consuming()
    all_may_reclaim(redis)
    later = queue.registry.get("nap").options(delay=1.0)
    due = {handle.id for handle in later.enqueue_many([{"seconds": 0.01}] * size(500, 1 / 5))}
    dead.dies(in_ms=500)
    # Both comes to pass while the server answers nobody. Each process has asked by then, and all are answered at once.
    redis.client_pause(1500)
    redis.ping()

    what = "two groups promote what is due and take over from the dead, all at once"
    verdict = conclude("F20", what, due | dead.tasks)
    assert verdict.runs == len(due | dead.tasks)
    pending = witness.count("Pending")
    assert {pending[task] for task in due} == {1}, "promoted"
    assert {pending[task] for task in dead.tasks} == {2}, "accepted, and taken over"
    assert sum(taken_by(one) for one in both) == len(dead.tasks)


@pytest.fixture
def api(server, redis, tmp_path):
    """The API as a process of its own."""
    api = ApiProcess(tmp_path / "api.log", "wsgi:app", REDIS_URL=server.url)
    yield api.wait()
    api.remove()


class Watcher:
    """A client of the event stream that reads all that it is sent."""

    def __init__(self, api):
        self.frames = []
        self._reader = EventReader(api.port)
        assert self._reader.frame().data == {"type": "ping"}
        self._reading = gevent.spawn(self._read)

    def _read(self):
        while (frame := self._reader.frame()) is not None:
            self.frames.append(frame)

    def completed(self):
        return Counter(frame.data["task_id"] for frame in self.frames if frame.data["type"] == "Completed")

    def close(self):
        """Close it when its stream has ended."""
        self._reading.get()
        self._reader.close()


class Visitors:
    """Clients of the event stream that read a little, and then read no more, vanish, or vanish and come back."""

    def __init__(self, api, rand):
        self.stalled = []
        self.gone = set()  # addresses of those that vanished
        self.came = 0
        self.back = []  # of those that came back: the last stamp that they had seen, and the first that they were shown
        self._api, self._rand = api, rand

    def come(self):
        self.came += 1
        reader = self._open()
        last = reader.frames(self._rand.randint(2, 10))[-1]
        fate = self._rand.choice(("stalls", "vanishes", "comes back"))
        if fate == "stalls":
            self.stalled.append(reader)
            return
        self._vanish(reader)
        if fate == "comes back":
            reader = self._open(last.id)
            _, following = reader.frames(2)
            assert following.event is None, "a gap"
            self.back.append((int(last.id), int(following.id)))
            self._vanish(reader)

    def close(self):
        for reader in self.stalled:
            reader.close()

    def _open(self, last_id=None):
        # From many places: from one alone they would be too many in too short a time.
        return EventReader(self._api.port, last_id=last_id, address=f"127.0.0.{self._rand.randint(2, 254)}")

    def _vanish(self, reader):
        self.gone.add(reader.socket.getsockname())
        if self._rand.random() < 0.5:  # without a farewell
            reader.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reader.close()


def held_by(api):
    """Return the addresses of the clients to which the API has a connection."""
    found = [one for child in psutil.Process(api.process.pid).children() for one in child.net_connections("tcp")]
    return {tuple(one.raddr) for one in found if one.raddr}


def test_clients_of_an_event_stream_that_stall_and_vanish_hold_up_no_task_and_no_other_client(
    group, queue, ledger, api, conclude
):
    rand = chance("F18")
    watcher, visitors = Watcher(api), Visitors(api, rand)
    group(processes=2, concurrency=10).consuming()
    tasks = naps(queue, [round(rand.uniform(0.05, 0.15), 3) for _ in range(size(600, 1 / 2))])
    # As long as there is load: who comes is shown something.
    while visitors.came < size(30, 1 / 25) and len(tasks - ledger.ended()) > 100:
        visitors.come()
    assert visitors.stalled and visitors.gone and visitors.back

    what = "clients of an event stream come, stall, vanish and come back"
    verdict = conclude("F18", what, tasks, clients=visitors.came)
    assert verdict.runs == len(tasks)
    eventually(lambda: watcher.completed() == Counter(tasks))
    assert {frame.event for frame in watcher.frames} == {None}, "no gap"
    stamps = [int(frame.id) for frame in watcher.frames]
    assert stamps == sorted(stamps)
    for last, following in visitors.back:
        assert following == min(stamp for stamp in stamps if stamp > last), "who comes back has missed nothing"
    eventually(lambda: not visitors.gone & held_by(api))
    assert api.stop() <= promised(3.0), "it does not wait for those that do not read"
    assert api.process.returncode == 0
    watcher.close()
    visitors.close()
