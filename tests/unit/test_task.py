"""The wire format: what is written, what is read, and what must survive both."""

import enum
import json
import random
from collections import OrderedDict, namedtuple
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from buraq.errors import PayloadError, PayloadTooLarge
from buraq.keys import Names
from buraq.task import Delivery, Task, Undecodable, current_task, decode, recode, running_task
from buraq.template import Ids, Template, timestamp

# As the original writes it: the order of its members, nanoseconds, absent members left out.
GO = (
    b'{"id":"task-1","type":"email_notification","payload":{"template":"welcome","user_id":123},'
    b'"created_at":"2026-11-21T18:52:00.123456Z","max_retries":3,"current_retries":1,"error":"timeout",'
    b'"idempotency_key":"mail:123","priority":"high","timeout":30000000000}'
)
AWKWARD = (
    b'{ "id":"t1","type":"mail","payload":{"big":9007199254740993123,"huge":123456789012345678901234567890,"none":[],'
    b'"empty":{},"nil":null,"f":1.0,"x":1E+2,"d":0.30000000000000004,"minus":-0.0,"u":"\xc3\xa9\\u00e9\\ud83d\\ude00",'
    b'"s":"\\/","nul":"\\u0000"},"max_retries":3,"zz":[1, {"a":[]}],"unknown":"kept"}'
)


MADE = "2026-11-21T18:52:00.123456Z"
HEAD, TAIL = '{"id":"t1","type":"mail","payload":{"a":', '},"created_at":"' + MADE + '"}'


def write(value: Any, limit: int = 10_000) -> bytes:
    return Template("mail", {}, limit).write("t1", {"a": value}, MADE)


# --- Reading


def test_a_task_of_the_original_is_read_member_by_member() -> None:
    task = decode(GO)
    assert task == Task(
        id="task-1",
        type="email_notification",
        payload={"template": "welcome", "user_id": 123},
        created_at="2026-11-21T18:52:00.123456Z",
        max_retries=3,
        current_retries=1,
        error="timeout",
        idempotency_key="mail:123",
        priority="high",
        timeout=30.0,
        members=json.loads(GO),
    )
    assert task.attempt == 2


def test_members_that_are_absent_or_null_have_their_defaults() -> None:
    for raw in (b'{"id":"a","type":"b"}', b'{"id":"a","type":"b","payload":null,"error":null,"timeout":null}'):
        task = decode(raw)
        assert (task.payload, task.max_retries, task.attempt, task.priority) == ({}, 0, 1, "normal")
        assert (task.error, task.idempotency_key, task.created_at, task.timeout) == ("", "", "", None)


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [(0, None), (-5, None), (1, 1e-9), (1_500_000_000, 1.5), (10**400, 2**63 / 1e9)],
)
def test_a_timeout_is_nanoseconds_on_the_wire_and_seconds_here(nanoseconds: int, expected: float | None) -> None:
    assert decode(b'{"id":"a","type":"b","timeout":%d}' % nanoseconds).timeout == expected


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"", "payload is not JSON"),
        (b"{broken", "payload is not JSON"),
        (b'{"id":"a","type":"b"} x', "payload is not JSON"),
        (b'{"id":"a\xff","type":"b"}', "payload is not JSON"),
        (b"[" * 100_000, "payload is not JSON"),
        (b"null", "payload is NoneType, not an object"),
        (b"[]", "payload is list, not an object"),
        (b'"text"', "payload is str, not an object"),
        (b'{"type":"b"}', "member 'id' is missing or not a text"),
        (b'{"id":"","type":"b"}', "member 'id' is missing or not a text"),
        (b'{"id":7,"type":"b"}', "member 'id' is missing or not a text"),
        (b'{"id":"a"}', "member 'type' is missing or not a text"),
        (b'{"id":"a","type":null}', "member 'type' is missing or not a text"),
        (b'{"id":"a","type":"b","payload":[]}', "member 'payload' is list, not dict"),
        (b'{"id":"a","type":"b","max_retries":"3"}', "member 'max_retries' is str, not int"),
        (b'{"id":"a","type":"b","max_retries":true}', "member 'max_retries' is bool, not int"),
        (b'{"id":"a","type":"b","current_retries":1.5}', "member 'current_retries' is float, not int"),
        (b'{"id":"a","type":"b","timeout":"5s"}', "member 'timeout' is str, not int"),
        (b'{"id":"a","type":"b","priority":1}', "member 'priority' is int, not str"),
        (b'{"id":"a","type":"b","idempotency_key":{}}', "member 'idempotency_key' is dict, not str"),
    ],
)
def test_what_holds_no_task_says_what_is_wrong(raw: bytes, match: str) -> None:
    with pytest.raises(Undecodable, match=match):
        decode(raw)


# --- Writing again


def test_a_retry_changes_its_members_and_keeps_all_others_in_their_order() -> None:
    again = recode(decode(GO), current_retries=2, error="no")
    expected = {**json.loads(GO), "current_retries": 2, "error": "no"}
    assert json.loads(again) == expected
    assert list(json.loads(again)) == list(expected)


def test_values_survive_being_read_and_written_any_number_of_times() -> None:
    raw = AWKWARD
    for _ in range(3):
        raw = recode(decode(raw), current_retries=1)
    assert json.loads(raw) == {**json.loads(AWKWARD), "current_retries": 1}
    assert b'"none":[],"empty":{}' in raw
    assert b"123456789012345678901234567890" in raw
    assert str(json.loads(raw)["payload"]["minus"]) == "-0.0"
    assert type(json.loads(raw)["payload"]["x"]) is float


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", '"\\ud800"', '"\\u0000"'])
def test_what_came_in_can_go_on_even_where_it_would_not_be_accepted(value: str) -> None:
    raw = b'{"id":"a","type":"b","payload":{"x":%s}}' % value.encode()
    again = decode(recode(decode(raw), error="no"))
    assert repr(again.payload) == repr(decode(raw).payload)


def test_an_error_that_is_no_proper_text_can_be_written() -> None:
    assert decode(recode(decode(GO), error="\ud800 é \x00")).error == "\ud800 é \x00"


# --- Writing a new one


class Level(enum.IntEnum):
    HIGH = 3


class Word(enum.StrEnum):
    YES = "yes"


class Foreign(dict[str, Any]):
    """A dict that would like to be written as something else."""

    def toDict(self) -> dict[str, Any]:
        return {"evil": 1}

    def __json__(self) -> str:
        return '"evil"'


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "null"),
        (True, "true"),
        (10**30, "1" + "0" * 30),
        (-(2**63), "-9223372036854775808"),
        (1.0, "1.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        ("é/\u2028</b>", '"é/\u2028</b>"'),
        ("\x00\n", '"\\u0000\\n"'),
        ([], "[]"),
        ({}, "{}"),
        ((1, (2,)), "[1,[2]]"),
        ({"": {"a": [None]}}, '{"":{"a":[null]}}'),
        (Level.HIGH, "3"),
        (Word.YES, '"yes"'),
        (Point(1, 2), "[1,2]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (Foreign(x=1), '{"x":1}'),
    ],
)
def test_plain_json_is_written_as_it_is(value: object, written: str) -> None:
    assert write(value).decode() == HEAD + written + TAIL


@pytest.mark.parametrize("value", [None, True, 10**30, -0.0, 1e-300, "é\u2028\x00", [[], {}], {"a": {"b": [1, None]}}])
def test_what_is_written_is_read_back(value: object) -> None:
    assert repr(decode(write(value)).payload) == repr({"a": value})


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (float("nan"), "a", "nan is not a finite number"),
        (float("-inf"), "a", "-inf is not a finite number"),
        ([1, [float("inf")]], r"a\[1\]\[0\]", "inf is not a finite number"),
        ({"b": [{"c": Decimal("1.1")}]}, r"a\.b\[0\]\.c", "Decimal is not JSON"),
        ({"b": {1: 2}}, r"a\.b", "the key 1 is not a text"),
        ({"b": {("x", 1): 2}}, r"a\.b", r"the key \('x', 1\) is not a text"),
        (b"bytes", "a", "bytes is not JSON"),
        ({1, 2}, "a", "set is not JSON"),
        (datetime(2026, 1, 1), "a", r"datetime is not JSON.*isoformat"),
        (object(), "a", "object is not JSON"),
        (Point(1, {2}), r"a\[1\]", "set is not JSON"),
        (Foreign({"x": {3}}), r"a\.x", "set is not JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_the_way_to_it(value: object, path: str, reason: str) -> None:
    with pytest.raises(PayloadError, match=rf"^{path}: {reason}"):
        write(value)


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, ["ok", "\udc00"]])
def test_half_a_surrogate_pair_is_refused(value: object) -> None:
    with pytest.raises(PayloadError, match="half a surrogate pair"):
        write(value)


def test_the_limit_counts_the_bytes_of_the_whole_json() -> None:
    size = len(write("é"))
    assert size == len((HEAD + '"é"' + TAIL).encode())
    assert len(write("é", size)) == size
    with pytest.raises(PayloadTooLarge, match=rf"{size} bytes .*MAX_PAYLOAD_BYTES={size - 1}"):
        write("é", size - 1)


def test_further_members_stand_behind_and_any_text_is_an_id_and_a_type() -> None:
    more = {"max_retries": 3, "idempotency_key": 'k"é', "timeout": 1}
    raw = Template('m"é', more, 10_000).write('a"b\\é', {}, MADE)
    assert json.loads(raw) == {"id": 'a"b\\é', "type": 'm"é', "payload": {}, "created_at": MADE, **more}
    assert list(json.loads(raw)) == ["id", "type", "payload", "created_at", *more]


def test_a_payload_as_deep_as_can_be_read_is_written() -> None:
    deep: Any = []
    for _ in range(300):
        deep = [deep]
    assert decode(write(deep)).payload == {"a": deep}


# --- Deliveries


def delivery(*fields: bytes, letter: str = "n", entry: bytes = b"1795287924796-3") -> Delivery:
    return Delivery(Names().queue(), letter, entry, list(fields), 0)


def test_a_delivery_knows_its_payload_and_nothing_of_deaths_or_claims() -> None:
    one = delivery(b"payload", b"{}")
    assert (one.raw, one.deaths, one.claimed, one.task) == (b"{}", 0, False, None)
    assert one.added_ms == 1795287924796


def test_further_fields_say_how_often_it_died_and_whether_its_key_is_claimed() -> None:
    one = delivery(b"deaths", b"3", b"trace", b"x", b"payload", b"{}", b"claimed", b"1")
    assert (one.raw, one.deaths, one.claimed) == (b"{}", 3, True)


@pytest.mark.parametrize("deaths", [b"", b"-1", b"many", b"1.5", b"\xff", b"9" * 5000])
def test_deaths_that_are_no_number_count_as_none(deaths: bytes) -> None:
    assert delivery(b"payload", b"{}", b"deaths", deaths).deaths == 0


def test_an_entry_without_a_payload_has_none() -> None:
    assert delivery(b"body", b"{}").raw is None
    assert delivery().raw is None


@pytest.mark.parametrize(("letter", "back"), [("h", "f"), ("n", "f"), ("l", "f"), ("f", "f"), ("s", "s")])
def test_a_suspect_is_handed_back_to_the_suspects_and_all_others_to_the_front(letter: str, back: str) -> None:
    assert delivery(b"payload", b"{}", letter=letter).back == back


# --- Ids, times, the running task


def test_ids_are_32_hex_digits_different_and_sorted_by_age() -> None:
    ids = Ids()
    made = [ids.new() for _ in range(1000)]
    assert all(len(one) == 32 and int(one, 16) for one in made)
    assert len(set(made)) == 1000
    stamps = [one[:12] for one in made]
    assert stamps == sorted(stamps)


def test_ids_repeat_neither_after_a_reseed_nor_with_a_seeded_random() -> None:
    first, second = Ids(), Ids()
    made = set()
    for ids in (first, second):
        random.seed(1)
        ids.reseed()
        made |= {ids.new()[12:] for _ in range(100)}
    assert len(made) == 200


def test_a_timestamp_is_utc_with_microseconds() -> None:
    text = timestamp()
    assert datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").year >= 2024
    assert len(text) == len("2026-11-21T18:52:00.123456Z")


def test_the_running_task_is_known_inside_and_nowhere_else() -> None:
    task = Task("t1", "mail", {})
    token = running_task.set(task)
    try:
        assert current_task() is task
    finally:
        running_task.reset(token)
    with pytest.raises(LookupError, match="outside a task"):
        current_task()
