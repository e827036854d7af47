"""What the documentation says of the faults is what was found."""

import pytest

from tests.faults.ledger import Kill, Ledger
from tests.faults.results import Verdict, judge, percentile, written
from tests.faults.table import headline, markdown, seconds
from tests.pages import ROOT


def test_the_table_in_the_docs_is_that_of_the_last_large_run():
    assert markdown() in (ROOT / "docs" / "reliability.md").read_text(), (
        "python -m tests.faults.table prints the new one"
    )


def test_the_readme_says_what_the_table_comes_to():
    said = " ".join((ROOT / "README.md").read_text().split())
    assert f"{headline()}." in said, "python -m tests.faults.table prints the new one"


def test_a_share_of_values_does_not_exceed_its_percentile():
    values = [float(n) for n in range(1, 201)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [100.0, 198.0, 200.0]
    assert percentile([7.0], 0.99) == 7.0
    assert Verdict(1, 0, 1, 0, 0).kept()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({}, "–"),
        ({"resumed": [2.04]}, "2.0"),
        ({"resumed": [1.0, 2.0, 4.0]}, "2.0, 4.0, 4.0"),
        ({"recoveries": {1: [1.0, 3.0], 2: [5.0]}, "resumed": [9.0]}, "2.0, 3.0, 3.0; suspects 5.0"),
    ],
)
def test_what_was_measured_of_a_recovery_is_in_its_row(found, said):
    assert seconds(written("what", Verdict(1, 0, 1, 0, 0, **found))) == said


def test_how_long_it_took_until_all_were_completed_is_in_the_row():
    found = written("what", Verdict(1, 0, 1, 0, 0, recoveries={1: [1.0, 1.0]}), completed=23.41)
    assert seconds(found) == "1.0, 1.0, 1.0; all completed 23.4"


def test_what_is_left_is_counted_and_is_not_kept_to_oneself():
    verdict = Verdict(1, 0, 1, 0, 0, leftovers={"buraq_tasks": 3, "process 7": 1})
    assert written("what", verdict)["leftovers"] == 4
    with pytest.raises(AssertionError, match="process 7"):
        verdict.kept()


def test_the_longest_time_without_a_commit_counts_from_the_fault_on(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    ledger.path.write_text("".join(f"committed nap t 1 7 {at}\n" for at in (1, 10, 13, 12, 18)))
    assert [ledger.longest_pause(since) for since in (0, 9.5, 17, 20)] == [9, 5, 1, 0]


def test_a_task_that_starts_again_in_a_sandbox_was_cut_off_twice_whatever_it_wrote(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    worker, other, sandbox = 1, 2, 3
    ledger.path.write_text(
        f"start nap seen 1 {worker} 10\n"
        f"start nap fetched_before 1 {worker} 10\n"
        f"start nap seen 1 {other} 12\nend nap seen 1 {other} 12\ncommitted nap seen 1 {other} 12\n"
        f"start nap fetched_before 1 {sandbox} 20\nend nap fetched_before 1 {sandbox} 20\n"
        f"committed nap fetched_before 1 {other} 20\n"
    )

    verdict = judge(ledger, {"seen", "fetched_before"}, kills=[Kill(frozenset({worker}), 11.0)])

    assert verdict.recoveries == {1: [1.0], 2: [9.0]}
