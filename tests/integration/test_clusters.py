"""A cluster whose masters are killed and whose slots move; what a blocked read, a write and a script are told then."""

import gevent
import pytest
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as Disconnected

from tests.blocked import GROUP, BlockedRead
from tests.clusters import Cluster
from tests.servers import KINDS, eventually

pytestmark = pytest.mark.e2e

A, B, NONE = "{q}a", "{q}b", "{q}none"  # two streams of one slot, and a key of it that does not exist
SCRIPT = "return 'ran'"

# What a blocked read is told when its stream is carried to another master, and when its master becomes a replica.
CARRIED = {"valkey": (AskError, None), "redis": (ResponseError, "^UNBLOCKED the stream key no longer exists")}
DEMOTED = {"valkey": (MovedError, None), "redis": (ResponseError, "^UNBLOCKED force unblock")}


@pytest.fixture(scope="module", params=KINDS)
def cluster(request, shared):
    return shared(Cluster, kind=request.param)


@pytest.fixture
def kind(cluster):
    return cluster.nodes[0].kind


@pytest.fixture
def owner(cluster):
    """The master of two empty streams with a group; its replica has them, too."""
    owner = cluster.owner(A)
    client = owner.client()
    for stream in (A, B):
        client.delete(stream)
        client.xgroup_create(stream, GROUP, id="0", mkstream=True)
    assert client.wait(1, 30_000) == 1
    return owner


@pytest.fixture
def target(cluster, owner):
    """Another master."""
    return next(node for node in cluster.masters() if node is not owner)


def asking(server, *words):
    """Send a command as after an ASK."""
    with server.client(single_connection_client=True) as client:
        client.execute_command("ASKING")
        return client.execute_command(*words)


def test_a_killed_master_is_replaced_and_follows_when_it_is_back(cluster, owner):
    read = BlockedRead(owner, A)

    new = cluster.fail_over(owner)

    with pytest.raises(Disconnected):
        read.answer()
    assert new is cluster.owner(A) is not owner
    entry = new.client().xadd(A, {"payload": "1"})
    owner.start()
    cluster.settle()
    assert cluster.replicas_of(new) == [owner]
    eventually(lambda: new.client().wait(1, 100) == 1)
    assert BlockedRead(new, B), "its group is there"
    assert new.client().xreadgroup(GROUP, "reader", {A: ">"}) == [[A, [(entry, {"payload": "1"})]]]


def test_a_read_that_is_blocked_at_a_master_is_sent_away_when_it_is_demoted(cluster, owner, kind):
    error, words = DEMOTED[kind]
    read = BlockedRead(owner, A)

    new = cluster.demote(owner)

    with pytest.raises(error, match=words):
        read.answer()
    with pytest.raises(MovedError, match=f":{new.port}$"):
        owner.client().xreadgroup(GROUP, "reader", {A: ">"})
    assert BlockedRead(new, A)


def test_a_read_that_is_blocked_at_a_master_that_stands_still_hears_of_it_when_that_goes_on(cluster, owner, kind):
    error, words = DEMOTED[kind]
    read = BlockedRead(owner, A)
    owner.pause()
    new = cluster.replaced(A)

    owner.resume()

    with pytest.raises(error, match=words):
        read.answer()
    cluster.settle()
    assert cluster.owner(A) is new is not owner


def test_a_slot_moves_while_a_key_in_it_is_written(cluster, owner, target):
    client = cluster.client()
    written = []

    def write():
        while True:
            written.append(client.incr("{q}count"))
            gevent.sleep(0)

    writing = gevent.spawn(write)
    eventually(lambda: len(written) > 50)
    before = len(written)

    cluster.move(A, target)

    eventually(lambda: len(written) > before + 50)
    assert not writing.dead, writing.exception
    writing.kill()
    assert written == list(range(written[0], written[0] + len(written))), "each write is there once"
    client.delete("{q}count")
    client.close()


def test_a_read_at_a_slot_that_is_to_move_is_served_while_its_stream_is_there(cluster, owner, target):
    read, both = BlockedRead(owner, A), BlockedRead(owner, A, B)
    move = cluster.moving(A, target)
    move.open()

    entry = owner.client().xadd(A, {"payload": "1"})

    assert read.answer() == [entry]
    late = BlockedRead(owner, B)
    second = owner.client().xadd(B, {"payload": "2"})
    assert both.answer() == [second]
    third = owner.client().xadd(B, {"payload": "3"})
    assert late.answer() == [third]
    move.carry_all()
    move.close()
    cluster.settle()


def test_a_blocked_read_is_told_when_its_stream_is_carried_away_and_waits_at_the_target(cluster, owner, target, kind):
    error, words = CARRIED[kind]
    read = BlockedRead(owner, A)
    move = cluster.moving(A, target)
    move.open()
    move.carry(A)

    with pytest.raises(error, match=words):
        read.answer()
    with pytest.raises(AskError, match=f":{target.port}$"):
        owner.client().xreadgroup(GROUP, "reader", {A: ">"}, block=1000)
    with pytest.raises(MovedError, match=f":{owner.port}$"):
        target.client().xreadgroup(GROUP, "reader", {A: ">"}, block=1000)
    first = BlockedRead(target, A, asking=True)
    entry = asking(target, "XADD", A, "*", "payload", "1")
    assert first.answer() == [entry]

    second = BlockedRead(target, A, asking=True)
    move.carry_all()
    move.close()
    entry = target.client().xadd(A, {"payload": "2"})
    assert second.answer() == [entry], "a read that waits at the target outlasts the end of the move"
    with pytest.raises(MovedError, match=f":{target.port}$"):
        owner.client().xreadgroup(GROUP, "reader", {A: ">"})
    cluster.settle()


def test_what_needs_a_key_that_is_elsewhere_or_nowhere_is_refused_as_long_as_a_slot_moves(cluster, owner, target, kind):
    """Nothing has run then: TRYAGAIN and ASK come before the command."""
    client = owner.client()
    read = BlockedRead(owner, A, B)
    assert client.eval(SCRIPT, 3, A, B, NONE) == "ran"
    move = cluster.moving(A, target)
    move.open()

    # No key has moved yet. A script that names one which does not exist is refused all the same.
    assert client.eval(SCRIPT, 2, A, B) == "ran"
    with pytest.raises(TryAgainError):
        client.eval(SCRIPT, 3, A, B, NONE)
    with pytest.raises(TryAgainError):
        client.xreadgroup(GROUP, "reader", {A: ">", NONE: ">"})
    with pytest.raises(AskError):
        client.eval(SCRIPT, 1, NONE)
    assert asking(target, "EVAL", SCRIPT, 1, NONE) == "ran"

    move.carry(A)
    with pytest.raises(TryAgainError if kind == "valkey" else ResponseError):
        read.answer()
    with pytest.raises(TryAgainError):
        client.eval(SCRIPT, 2, A, B)
    with pytest.raises(TryAgainError):
        asking(target, "EVAL", SCRIPT, 2, A, B)
    with pytest.raises(TryAgainError):
        client.xreadgroup(GROUP, "reader", {A: ">", B: ">"}, block=1000)

    move.carry(B)
    with pytest.raises(AskError):
        client.eval(SCRIPT, 3, A, B, NONE)
    with pytest.raises(TryAgainError):
        asking(target, "EVAL", SCRIPT, 3, A, B, NONE)
    move.carry_all()
    move.close()
    assert target.client().eval(SCRIPT, 3, A, B, NONE) == "ran"
    cluster.settle()


@pytest.mark.parametrize("cluster", ["valkey"], indirect=True, scope="module")
def test_a_slot_that_migrates_in_one_step_refuses_no_script_and_sends_readers_on(cluster, owner, target):
    read = BlockedRead(owner, A)
    client = owner.client()
    said = set()

    def run():
        while True:
            try:
                said.add(client.eval(SCRIPT, 3, A, B, NONE))
            except ResponseError as error:
                said.add(type(error))
            gevent.sleep(0)

    running = gevent.spawn(run)

    cluster.migrate(A, target)

    with pytest.raises(MovedError, match=f":{target.port}$"):
        read.answer()
    eventually(lambda: MovedError in said)
    running.kill()
    assert said <= {"ran", MovedError}
    assert target.client().eval(SCRIPT, 3, A, B, NONE) == "ran"


def test_without_most_of_its_masters_a_cluster_refuses_all_and_has_all_when_it_is_back(cluster, owner):
    client = owner.client()
    entry = client.xadd(B, {"payload": "1"})
    read = BlockedRead(owner, A)
    for master in cluster.masters():
        if master is not owner:
            for replica in cluster.replicas_of(master):
                replica.kill()
            master.kill()

    with pytest.raises(ClusterDownError):
        read.answer()
    with pytest.raises(ClusterDownError):
        client.xlen(B)

    cluster.restart()
    assert cluster.owner(B).client().xrange(B) == [(entry, {"payload": "1"})]
