"""A primary with replicas fails over under the tests; what readers and writers are told then is held here."""

import pytest
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError, ResponseError

from tests.blocked import GROUP, BlockedRead
from tests.replicas import Replicated
from tests.servers import KINDS, eventually

pytestmark = pytest.mark.e2e

WRITES = "return redis.call('SET', KEYS[1], 1)"
READS = "return redis.call('GET', KEYS[1])"


def with_group(server):
    client = server.client()
    client.xgroup_create("s", GROUP, id="0", mkstream=True)
    return client


def test_a_failover_keeps_what_a_replica_has_confirmed_and_loses_what_was_written_into_a_frozen_link(fresh):
    replicated = fresh(Replicated, replicas=2)
    client = replicated.primary.client()
    client.set("confirmed", 1)
    assert client.wait(2, 30_000) == 2
    replicated.freeze()
    client.set("late", 1)
    assert client.wait(1, 100) == 0, "whoever asks is told"

    promoted = replicated.fail_over()

    survivor = promoted.client()
    assert (survivor.get("confirmed"), survivor.get("late")) == ("1", None)
    survivor.set("after", 1)
    other = replicated.replicas[1].client()
    eventually(lambda: other.get("after") == "1")


def test_what_was_held_arrives_when_the_link_thaws(fresh):
    replicated = fresh(Replicated)
    client = replicated.primary.client()
    replicated.freeze()
    client.set("late", 1)
    assert replicated.replicas[0].client().get("late") is None

    replicated.thaw()
    replicated.caught_up()

    assert replicated.replicas[0].client().get("late") == "1"


def test_a_promoted_replica_keeps_who_has_which_entry(fresh):
    replicated = fresh(Replicated)
    client = with_group(replicated.primary)
    entry = client.xadd("s", {"payload": "1"})
    client.xreadgroup(GROUP, "reader", {"s": ">"})
    replicated.caught_up()

    promoted = replicated.fail_over()

    [pending] = promoted.client().xpending_range("s", GROUP, "-", "+", 10)
    assert (pending["message_id"], pending["consumer"], pending["times_delivered"]) == (entry, "reader", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_primary_that_misses_its_replica_refuses_to_hand_out_and_to_settle_and_goes_on_when_it_is_back(fresh, kind):
    replicated = fresh(Replicated, kind=kind, min_replicas=1)
    client = with_group(replicated.primary)
    read = BlockedRead(replicated.primary, "s")
    replicated.freeze()

    def refuses(*words):
        try:
            client.execute_command(*words)
        except ResponseError as error:
            return str(error).startswith("NOREPLICAS")
        return False

    eventually(lambda: refuses("XADD", "s2", "*", "payload", "1"))
    # To hand out and to acknowledge is to write, too.
    assert refuses("XREADGROUP", "GROUP", GROUP, "reader", "STREAMS", "s", ">")
    assert refuses("XACK", "s", GROUP, "1-1")
    assert refuses("EVAL", WRITES, 1, "k")
    assert client.eval(READS, 1, "k") is None
    assert client.publish("channel", "hello") == 0

    replicated.thaw()
    entry = eventually(lambda: client.xadd("s", {"payload": "1"}))
    assert read.answer() == [entry]


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_is_blocked_at_a_primary_is_refused_when_it_becomes_a_replica(fresh, kind):
    replicated = fresh(Replicated, kind=kind)
    client = with_group(replicated.primary)
    read = BlockedRead(replicated.primary, "s")

    client.replicaof("127.0.0.1", replicated.replicas[0].port)

    with pytest.raises(ResponseError, match=r"^UNBLOCKED force unblock"):
        read.answer()
    with pytest.raises(ReadOnlyError):
        client.xreadgroup(GROUP, "reader", {"s": ">"})
    with pytest.raises(ReadOnlyError):
        client.eval(WRITES, 1, "k")


def test_a_read_that_is_blocked_at_a_primary_is_cut_when_it_is_killed(fresh):
    replicated = fresh(Replicated)
    with_group(replicated.primary)
    read = BlockedRead(replicated.primary, "s")

    replicated.primary.kill()

    with pytest.raises(Disconnected):
        read.answer()
