"""What is kept of tasks beside their state, as it is written and read: statistics, attempts, groups."""

import random

import pytest

from buraq import attempts
from buraq.groups import LetterGroup
from buraq.scripts import with_parts
from buraq.statistics import BOUNDS, BUCKETS, MINUTES, RUN, SLOT, WAIT, Slot, read, tally
from buraq.task import Dead


def slot_of(spans: list[float]) -> Slot:
    slot = Slot()
    for pair in tally(spans, RUN):
        counter, _, amount = pair.partition("=")
        slot.numbers[int(counter)] += int(amount)
    return slot


# -- statistics


def test_each_time_falls_into_one_bucket() -> None:
    assert tally([], RUN) == []
    assert tally([0.0005, 0.001, 0.0011], WAIT) == [f"{WAIT}=2", f"{WAIT + 1}=1"]
    assert tally([-3.0, 10**9], RUN) == [f"{RUN}=1", f"{RUN + BUCKETS - 1}=1"]
    assert sum(slot_of([*BOUNDS, 10**6]).numbers) == BUCKETS


@pytest.mark.parametrize("scale", [0.004, 0.2, 7.0, 600.0])
def test_percentiles_are_right_to_about_a_tenth(scale: float) -> None:
    rand = random.Random(5)
    spans = sorted(rand.lognormvariate(0, 0.5) * scale for _ in range(5000))
    slot = slot_of(spans)
    for share in (0.5, 0.95, 0.99):
        found = slot.percentile(RUN, share)
        assert found is not None
        assert found == pytest.approx(1000 * spans[int(share * 5000)], rel=0.12)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Slot().percentile(RUN, 0.5) is None


def test_a_slot_with_another_stamp_is_read_as_empty() -> None:
    now = 60 * 1000 + 7
    stamp = now // 60
    raw = bytearray(4 * SLOT * 77)
    for minute in (stamp, stamp - 62):
        at = 4 * MINUTES.at(minute)
        raw[at : at + 4] = minute.to_bytes(4, "big")
        raw[at + 8 : at + 12] = (9).to_bytes(4, "big")
    assert [one.numbers[2] for one in read(bytes(raw), MINUTES, now, 3)] == [0, 0, 9]
    assert [one.numbers[2] for one in read(b"", MINUTES, now, 3)] == [0, 0, 0]


# -- attempts


def test_the_last_twenty_attempts_are_kept_and_the_others_counted() -> None:
    raw = b""
    for number in range(1, 26):
        raw = attempts.add(raw, "failed", number, "w-1", number, 3, "x" * 1000)
    kept, left_out = attempts.read(raw)
    assert ([one["number"] for one in kept], left_out) == (list(range(6, 26)), 5)
    assert kept[0] == {
        "number": 6,
        "outcome": "failed",
        "worker": "w-1",
        "started_ms": 6,
        "duration_ms": 3,
        "error": "x" * 300,
    }


@pytest.mark.parametrize(
    "raw", ["", "no", "7", "[]", '{"kept":7}', '{"kept":[1]}', '{"kept":[],"left_out":"x"}', "null"]
)
def test_attempts_that_cannot_be_read_are_none(raw: str) -> None:
    assert attempts.read(raw) == ([], 0)
    assert attempts.read(attempts.add(raw.encode(), "died", 1, "w", None, None))[0][0]["outcome"] == "died"


# -- groups


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("KeyError: 'a'", "KeyError: 'b'", True),
        ("E: order 912 is gone", "E: order 7 is gone", True),
        ("E: at 0xdeadbeef", "E: at 0x12ab", True),
        ("E: id 019ac3f2-c5e0", "E: id 77ff1234-0000", True),
        ('E: "x" is no number', 'E: "yy" is no number', True),
        ("ValueError: no", "KeyError: no", False),
        ("E: closed by peer", "E: refused by peer", False),
    ],
)
def test_digits_hex_and_quoted_texts_do_not_tell_errors_apart(one: str, other: str, together: bool) -> None:
    first, second = (LetterGroup.of("mail", Dead("exhausted", error)) for error in (one, other))
    assert (first.id == second.id) is together


def test_type_and_reason_tell_groups_apart() -> None:
    ids = {LetterGroup.of(t, Dead(reason, "E")).id for t in ("a", "b", None) for reason in ("exhausted", "rejected")}
    assert len(ids) == 6


# -- the loader


def test_a_script_gets_the_functions_that_its_header_uses() -> None:
    source = with_parts("-- Do it.\n--\n-- Uses count, keep.\n\nreturn count()\n")
    header, _, body = source.partition("\n\n")
    assert header.endswith("Uses count, keep.")
    assert "local function count(" in body and "local function keep(" in body and "local function group(" not in body
    assert body.endswith("return count()\n")
    assert with_parts("-- Do it.\n\nreturn 1\n") == "-- Do it.\n\nreturn 1\n"
