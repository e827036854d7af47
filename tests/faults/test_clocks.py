"""The clock of a machine is an hour ahead or behind: what counts is the server's."""

import pytest

from tests.servers import eventually

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("skew", ["3600", "-3600"])
def test_a_clock_that_is_an_hour_wrong_robs_nobody_and_starts_nothing_early_or_late(
    group, queue, ledger, redis, conclude, skew
):
    right = group(concurrency=20, LEASE_TTL="2s").consuming()
    wrong = group(concurrency=20, LEASE_TTL="2s", SKEW=skew).consuming()
    naps = {queue.enqueue("nap", {"seconds": 3}).id for _ in range(30)}
    failing = {queue.enqueue("fail_once").id for _ in range(20)}
    delayed = {queue.enqueue("nap", {"seconds": 0}, delay=2).id for _ in range(20)}
    seconds, micros = redis.time()
    due = seconds + micros / 1e6 + 2

    verdict = conclude("F17", "the clock of one worker an hour ahead or behind", naps | failing | delayed)
    pids = {line.pid for line in ledger.lines("start")}
    assert len(pids) == 2, "one of the two ran everything: the test tested nothing"
    assert verdict.run_twice == 0
    starts = [run.start - due for run in ledger.runs() if run.id in delayed]
    assert min(starts) > -0.5
    assert max(starts) < 1.5
    for one in (right, wrong):
        assert "reclaimed" not in one.log.read_text()
    eventually(lambda: not right.workers())
