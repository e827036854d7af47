"""Dead letters as they are read: whatever stands in the stream, the others are still listed."""

import pytest

from buraq.chosen import Filter
from buraq.deadletters import of_entry


@pytest.mark.parametrize("number", ["", "-1", "soon", "²", "9" * 5000])
def test_a_number_that_is_none_is_left_out(number: str) -> None:
    fields = [b"died_at", number.encode(), b"deaths", number.encode(), b"payload", b'{"id":"a","type":"b"}']

    letter = of_entry(b"5-1", fields)

    assert (letter.died_at_ms, letter.deaths) == (5, 0)
    assert letter.task is not None


def test_a_letter_of_the_original_which_says_no_reason_is_found_among_the_exhausted() -> None:
    letter = of_entry(b"5-1", [b"payload", b'{"id":"a","type":"b"}'])

    assert (letter.reason, Filter(reason="exhausted").fits(letter)) == ("exhausted", True)
    assert not Filter(reason="rejected").fits(letter)


def test_of_two_fields_of_one_name_the_first_counts() -> None:
    letter = of_entry(b"5-1", [b"died_at", b"7", b"deaths", b"2", b"died_at", b"9", b"deaths", b"9"])

    assert (letter.died_at_ms, letter.deaths) == (7, 2)
