"""Sentinels replace a primary under the tests; what readers and writers are told then is held here.

After SENTINEL FAILOVER, too, the old primary takes writes until the sentinels have turned it into a replica, seconds
after they name the new one (four publish periods: 2.6 s here, 8 s with the periods of production). All is lost.
"""

import gevent
import pytest
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import ReadOnlyError, ResponseError

from tests.blocked import GROUP, BlockedRead
from tests.sentinels import Sentinels
from tests.servers import KINDS, PATIENCE, eventually

pytestmark = pytest.mark.e2e


def with_group(sentinels):
    """Make a group that all replicas have, and return the primary."""
    client = sentinels.primary.client()
    client.xgroup_create("s", GROUP, id="0", mkstream=True)
    assert client.wait(2, 30_000) == 2
    return sentinels.primary


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_primary_is_replaced_and_follows_when_it_is_back(fresh, kind):
    sentinels = fresh(Sentinels, kind=kind)
    old = with_group(sentinels)
    read = BlockedRead(old, "s")

    new = sentinels.fail_over()

    with pytest.raises(Disconnected):
        read.answer()
    assert new is not old
    client = sentinels.client()
    entry = client.xadd("s", {"payload": "1"})
    old.start()
    assert sentinels.agree() is new
    eventually(lambda: old.client().xrange("s") == [(entry, {"payload": "1"})])
    client.close()


def test_a_primary_that_is_demoted_closes_its_connections_and_is_read_only(fresh):
    sentinels = fresh(Sentinels)
    old = with_group(sentinels)
    read = BlockedRead(old, "s")

    new = sentinels.demote()

    with pytest.raises(Disconnected):
        read.answer()
    with pytest.raises(ReadOnlyError):
        old.client().xreadgroup(GROUP, "reader", {"s": ">"})
    assert new.client().xreadgroup(GROUP, "reader", {"s": ">"}) == []


def test_a_primary_that_stood_still_accepts_for_a_moment_what_it_will_lose(fresh):
    """It does not know yet that it was replaced: for about a second, until the sentinels have told it."""
    sentinels = fresh(Sentinels)
    old = with_group(sentinels)
    read = BlockedRead(old, "s")
    client = old.client()
    client.ping()  # it is connected
    old.pause()
    new = sentinels.replaced(old)
    # Sent before it goes on: on a busy machine the sentinels might be quicker than who is to send after it.
    writing = gevent.spawn(client.xadd, "s", {"payload": "1"})
    gevent.idle()

    old.resume()

    assert read.answer() == [writing.get(timeout=PATIENCE)]
    assert sentinels.agree() is new
    assert old.client().xlen("s") == new.client().xlen("s") == 0


def test_with_min_replicas_a_primary_that_stood_still_accepts_nothing(fresh):
    sentinels = fresh(Sentinels, options=("--min-replicas-to-write", "1", "--min-replicas-max-lag", "1"))
    old = with_group(sentinels)
    client = old.client()
    old.pause()
    new = sentinels.replaced(old)

    old.resume()

    # NOREPLICAS, unless the sentinels were quicker and have made a replica of it already.
    with pytest.raises((ResponseError, Disconnected), match=r"NOREPLICAS|read only|closed"):
        client.xadd("s", {"payload": "1"})
    assert sentinels.agree() is new
    assert old.client().xlen("s") == new.client().xlen("s") == 0
