"""The clock of a machine is an hour ahead or behind: what counts is the server's."""

import pytest

pytestmark = pytest.mark.e2e


def test_a_clock_that_is_an_hour_wrong_robs_nobody_and_starts_nothing_early_or_late(
    group, queue, ledger, redis, conclude
):
    clocks = [group(concurrency=15, LEASE_TTL="5s", SKEW=skew).consuming() for skew in ("0", "3600", "-3600")]
    naps = {queue.enqueue("nap", {"seconds": 3}).id for _ in range(40)}
    failing = {queue.enqueue("fail_once").id for _ in range(20)}
    delayed = {queue.enqueue("nap", {"seconds": 0}, delay=2).id for _ in range(20)}
    seconds, micros = redis.time()
    due = seconds + micros / 1e6 + 2

    verdict = conclude("F17", "the clocks of workers are an hour ahead and behind", naps | failing | delayed)
    assert len({line.pid for line in ledger.lines("start")}) == 3, "not all ran something: the test tested nothing"
    assert verdict.run_twice == 0
    starts = [run.start - due for run in ledger.runs() if run.id in delayed]
    assert min(starts) > -0.5
    assert max(starts) < 60, "not by an hour"
    assert not any("reclaimed" in one.log.read_text() for one in clocks)
