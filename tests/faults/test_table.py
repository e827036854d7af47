"""What the documentation says of the faults is what was found."""

from tests.faults.results import Verdict, percentile
from tests.faults.table import markdown
from tests.pages import ROOT


def test_the_table_in_the_docs_is_that_of_the_last_large_run():
    assert markdown() in (ROOT / "docs" / "reliability.md").read_text(), (
        "python -m tests.faults.table prints the new one"
    )


def test_a_share_of_values_does_not_exceed_its_percentile():
    values = [float(n) for n in range(1, 201)]
    assert [percentile(values, share) for share in (0.5, 0.99, 1.0)] == [100.0, 198.0, 200.0]
    assert percentile([7.0], 0.99) == 7.0
    assert Verdict(1, 0, 1, 0, 0).kept()
