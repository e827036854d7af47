"""When a failed task runs again, and whether it does."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from buraq.retry import Backoff, Policy, seconds


def always(value: float) -> Callable[[], float]:
    return lambda: value


@pytest.mark.parametrize(
    ("duration", "expected"),
    [(5, 5.0), (0.25, 0.25), (timedelta(minutes=2), 120.0), (timedelta(milliseconds=3), 0.003)],
)
def test_a_duration_is_seconds_or_a_timedelta(duration: float | timedelta, expected: float) -> None:
    assert seconds(duration) == expected


def test_the_wait_doubles_with_each_attempt_up_to_the_cap() -> None:
    backoff = Backoff(base=2, cap=60)
    assert [backoff.delay(attempt, always(1.0)) for attempt in range(1, 8)] == [2, 4, 8, 16, 32, 60, 60]


def test_the_jitter_is_full() -> None:
    backoff = Backoff(base=8, cap=60)
    assert [backoff.delay(1, always(part)) for part in (0.0, 0.25, 0.999)] == [0.0, 2.0, 7.992]
    assert all(0 <= backoff.delay(3) < 32 for _ in range(200))


def test_tasks_that_failed_together_do_not_come_back_together() -> None:
    assert len({Backoff().delay(5) for _ in range(100)}) > 90


@pytest.mark.parametrize("attempt", [61, 1_000, 10**9])
def test_a_very_late_attempt_waits_for_the_cap_and_overflows_nothing(attempt: int) -> None:
    assert Backoff(base=1, cap=600).delay(attempt, always(1.0)) == 600


def test_a_cap_below_the_base_holds_from_the_first_attempt() -> None:
    assert Backoff(base=100, cap=5).delay(1, always(1.0)) == 5


def test_all_failures_are_retried_unless_said_otherwise() -> None:
    assert all(Policy().retries(error) for error in (ValueError(), KeyboardInterrupt(), SystemExit(1)))


def test_only_named_failures_are_retried_their_subclasses_too() -> None:
    policy = Policy(retry_on=(OSError,))
    assert policy.retries(ConnectionResetError())
    assert not policy.retries(ValueError())


def test_what_is_excluded_is_not_retried_even_when_it_is_named() -> None:
    policy = Policy(retry_on=(OSError,), dont_retry_on=(FileNotFoundError,))
    assert policy.retries(OSError())
    assert not policy.retries(FileNotFoundError())


def test_a_backoff_of_its_own_is_asked_with_the_attempt_and_has_no_jitter() -> None:
    policy = Policy(backoff=lambda attempt: attempt * 10)
    assert [policy.delay(attempt, always(0.0)) for attempt in (1, 2, 3)] == [10.0, 20.0, 30.0]


def test_a_backoff_of_its_own_below_zero_means_at_once() -> None:
    assert Policy(backoff=lambda _: -5).delay(1) == 0.0


def test_the_usual_backoff_takes_the_randomness_that_it_is_given() -> None:
    assert Policy(backoff=Backoff(base=4)).delay(2, always(0.5)) == 4.0
