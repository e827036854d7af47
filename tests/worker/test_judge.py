"""What the end of a run means: another attempt, the dead letters, or neither."""

from collections.abc import Callable
from typing import Any

import pytest
import ujson

from buraq.errors import Crashed, Reject, Retry, Snooze
from buraq.retry import Backoff, Policy
from buraq.task import Dead, Outcome, Retried, Task, decode
from buraq.worker import judge
from tests.worker.parts import raw_task


def task(**members: Any) -> Task:
    return decode(raw_task("t1", **members))


def raised(error: BaseException) -> BaseException:
    """Return an error as it is after it was raised."""
    try:
        raise error
    except BaseException as caught:
        return caught


def failed(error: BaseException, policy: Policy | None = None, **members: Any) -> Outcome:
    return judge.failed(task(**members), raised(error), policy or Policy(), rand=lambda: 0.5)


def retried(outcome: Outcome) -> tuple[float, dict[str, Any], bool]:
    """Return delay in seconds, the task's members, and whether it was charged."""
    assert isinstance(outcome, Retried)
    return outcome.delay_ms / 1000, ujson.loads(outcome.payload), outcome.charged


def dead(outcome: Outcome) -> Dead:
    assert isinstance(outcome, Dead)
    return outcome


def test_a_failure_is_charged_and_tried_again_after_its_backoff() -> None:
    delay, members, charged = retried(failed(ValueError("no"), current_retries=2, max_retries=3))

    assert delay == 2.0, "half of 1 s * 2**2"
    assert charged
    assert members["current_retries"] == 3
    assert members["error"] == "ValueError: no"


def test_members_that_are_not_ours_survive_a_retry() -> None:
    _, members, _ = retried(failed(ValueError("no"), traceparent="00-1-2-03", payload={"n": 2**60}))

    assert members["traceparent"] == "00-1-2-03"
    assert members["payload"] == {"n": 2**60}


def test_a_crash_of_the_child_is_a_failure_and_in_the_end_the_reason() -> None:
    crash = Crashed("signal SIGSEGV", 52_400_000)
    crash.add_note("Fatal Python error: Segmentation fault")

    assert retried(failed(crash, current_retries=2, max_retries=3))[2]
    outcome = dead(failed(crash, current_retries=3, max_retries=3))
    said = "Crashed: the process that ran the task ended with signal SIGSEGV; its peak memory was 52 MB"
    assert (outcome.reason, outcome.error) == ("crashed", said)
    assert outcome.traceback.endswith("Fatal Python error: Segmentation fault\n")


def test_the_last_attempt_is_buried_with_error_and_traceback() -> None:
    outcome = dead(failed(ValueError("no"), current_retries=3, max_retries=3))

    assert (outcome.reason, outcome.error) == ("exhausted", "ValueError: no")
    assert "in raised" in outcome.traceback
    assert outcome.traceback.endswith("ValueError: no\n")


def test_without_retries_the_first_failure_buries() -> None:
    assert dead(failed(ValueError("no"), max_retries=0)).reason == "exhausted"


@pytest.mark.parametrize(
    ("policy", "error", "again"),
    [
        (Policy(retry_on=(OSError,)), OSError("net"), True),
        (Policy(retry_on=(OSError,)), ConnectionResetError("a subclass"), True),
        (Policy(retry_on=(OSError,)), ValueError("bug"), False),
        (Policy(dont_retry_on=(ValueError,)), ValueError("bug"), False),
        (Policy(dont_retry_on=(ValueError,)), UnicodeError("a subclass"), False),
        (Policy(dont_retry_on=(ValueError,)), OSError("net"), True),
        (Policy(retry_on=(Exception,), dont_retry_on=(KeyError,)), LookupError("a base"), True),
        (Policy(retry_on=(Exception,)), KeyboardInterrupt(), False),
    ],
)
def test_what_is_tried_again_is_what_the_policy_says(policy: Policy, error: BaseException, again: bool) -> None:
    outcome = failed(error, policy)

    assert isinstance(outcome, Retried) if again else dead(outcome).reason == "not_retryable"


def test_retry_says_when_and_is_charged() -> None:
    delay, members, charged = retried(failed(Retry(after=90)))

    assert (delay, members["current_retries"], charged) == (90.0, 1, True)


def test_retry_without_a_time_takes_the_backoff() -> None:
    assert retried(failed(Retry(), current_retries=3, max_retries=9))[0] == 4.0


def test_retry_counts_against_the_limit() -> None:
    assert dead(failed(Retry(after=1), max_retries=0)).reason == "exhausted"


def test_retry_passes_a_policy_that_names_other_errors() -> None:
    assert isinstance(failed(Retry(), Policy(retry_on=(OSError,))), Retried)


def test_reject_buries_with_its_reason_whatever_is_left() -> None:
    outcome = dead(failed(Reject("no such user"), max_retries=9))

    assert (outcome.reason, outcome.error, outcome.traceback) == ("rejected", "no such user", "")


def test_snooze_charges_nothing_even_without_retries() -> None:
    delay, members, charged = retried(failed(Snooze(30), max_retries=0, current_retries=0))

    assert (delay, members["current_retries"], charged) == (30.0, 0, False)


@pytest.mark.parametrize(
    ("backoff", "delay"),
    [
        (lambda attempt: 7.5 * attempt, 15.0),
        (lambda attempt: 0, 0.0),
        (lambda attempt: -3, 0.0),
        (Backoff(base=2.0, cap=3.0), 1.5),
    ],
)
def test_a_backoff_of_ones_own_is_asked_with_the_attempt(
    backoff: Backoff | Callable[[int], float], delay: float
) -> None:
    assert retried(failed(ValueError(), Policy(backoff=backoff), current_retries=1))[0] == delay


@pytest.mark.parametrize("seconds", [1e13, 1e17, 1e300])
def test_no_wait_is_longer_than_the_server_can_write(seconds: float) -> None:
    outcomes = [failed(Retry(after=seconds)), failed(Snooze(seconds))]
    outcomes.append(failed(ValueError(), Policy(backoff=lambda attempt: seconds)))

    assert all(retried(outcome)[0] * 1000 < 9e15 for outcome in outcomes)


def test_an_unknown_type_is_put_back_ever_longer_then_buried() -> None:
    raw, waits = raw_task("t1", "nobody"), []
    while isinstance(outcome := judge.unknown_type(decode(raw), known_elsewhere=False), Retried):
        delay, members, charged = retried(outcome)
        waits.append(delay)
        assert not charged
        assert members["current_retries"] == 0
        raw = outcome.payload

    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert dead(outcome).reason == "unknown_type"
    assert "'nobody'" in dead(outcome).error


def test_an_unknown_type_is_put_back_for_ever_while_another_process_knows_it() -> None:
    outcome = judge.unknown_type(task(put_back=5000), known_elsewhere=True)

    assert retried(outcome)[0] == judge.LONGEST_UNKNOWN_PAUSE


@pytest.mark.parametrize("put_back", ["x", 1.5, None, True, [], {}])
def test_a_count_that_is_none_counts_as_the_first(put_back: object) -> None:
    assert isinstance(judge.unknown_type(task(put_back=put_back), known_elsewhere=False), Retried)


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this error cannot be shown")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyError("k"), "KeyError: 'k'"),
        (ValueError("a\udcffb"), "ValueError: a\\udcffb"),
        (Silent(), "Silent"),
    ],
)
def test_an_error_is_described_by_type_and_text_that_can_be_sent(error: BaseException, said: str) -> None:
    assert judge.describe(error) == said
    assert judge.describe(error).encode()


def test_a_long_error_is_cut() -> None:
    outcome = dead(failed(ValueError("x" * 100_000), max_retries=0))

    assert len(outcome.error) == judge.ERROR_CHARS
    assert len(outcome.traceback) <= judge.TRACEBACK_CHARS + 1
    assert outcome.traceback.startswith("…")


def test_a_traceback_can_be_sent_whatever_is_in_it() -> None:
    assert dead(failed(ValueError("a\udcffb"), max_retries=0)).traceback.encode()
    assert "Silent" in dead(failed(Silent(), max_retries=0)).traceback
