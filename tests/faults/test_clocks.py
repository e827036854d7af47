"""The clock of a machine is an hour ahead or behind: what counts is the server's."""

import pytest

from tests.faults.conftest import naps
from tests.faults.results import size

pytestmark = pytest.mark.e2e


def test_a_clock_that_is_an_hour_wrong_robs_nobody_and_starts_nothing_early_or_late(
    group, queue, ledger, redis, conclude
):
    slots = size(15, 1 / 100)
    clocks = [group(concurrency=slots, LEASE_TTL="5s", SKEW=skew).consuming() for skew in ("0", "3600", "-3600")]
    long = naps(queue, [3] * size(40, 1 / 50))
    failing = {queue.enqueue("fail_once").id for _ in range(size(20, 1 / 50))}
    seconds, micros = redis.time()
    due = seconds + micros / 1e6 + 2
    later = queue.registry.get("nap").options(delay=2)
    delayed = {handle.id for handle in later.enqueue_many([{"seconds": 0}] * size(20, 1 / 50))}

    verdict = conclude("F17", "the clocks of workers are an hour ahead and behind", long | failing | delayed)
    assert len({line.pid for line in ledger.lines("start")}) == 3, "not all ran something: the test tested nothing"
    assert verdict.run_twice == 0
    starts = [run.start - due for run in ledger.runs() if run.id in delayed]
    assert min(starts) > -0.5
    assert max(starts) < 60, "not by an hour"
    assert not any("reclaimed" in one.log.read_text() for one in clocks)
