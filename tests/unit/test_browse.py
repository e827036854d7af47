"""What a page of a list may cost."""

from buraq.browse import CHUNK, Budget


def test_a_page_looks_at_a_hundred_entries_however_late_it_is_and_at_none_after_that() -> None:
    budget = Budget()
    budget._until = 0.0
    assert [budget.spend(1) for _ in range(CHUNK)] == [True] * (CHUNK - 1) + [False]


def test_a_page_ends_in_the_middle_of_what_was_read_at_once_when_it_is_late() -> None:
    budget = Budget()
    budget._until = float("inf")
    assert all(budget.spend(1) for _ in range(CHUNK + CHUNK // 2))
    budget._until = 0.0
    assert not budget.spend(1)
