"""`buraq dlq` finds dead letters, and replays or deletes just those that were meant."""

import json
from collections.abc import Callable

import pytest
from redis import Redis

from tests.cli.conftest import Done

Bury = Callable[..., str]
Run = Callable[..., Done]


@pytest.fixture
def five(bury: Bury) -> None:
    """Five dead letters: three mails, one of them in another queue, a payment, and one that cannot be read."""
    bury("mail-1")
    bury("mail-2", reason="rejected")
    bury("mail-3", queue="bulk")
    bury("pay-1", type="payment")
    bury("broken", raw="{not json", reason="undecodable")


def ids(redis: Redis, stream: str = "buraq_tasks_dlq") -> list[str]:
    payloads = [fields["payload"] for _, fields in redis.xrange(stream)]
    return [json.loads(raw)["id"] if raw.endswith("}") else raw for raw in payloads]


# -- list and show


def test_dead_letters_are_listed_with_why_they_died(run: Run, five: None) -> None:
    lines = run("dlq", "list").out.splitlines()

    assert lines[0].split() == ["ID", "TYPE", "QUEUE", "REASON", "DIED", "ERROR"]
    assert len(lines) == 6
    assert lines[1].split(maxsplit=5) == [
        *("mail-1", "mail", "default", "exhausted", "2025-11-21T15:46:40Z", "ValueError: no such user")
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--queue", "bulk"), ["mail-3"]),
        (("--type", "payment"), ["pay-1"]),
        (("--reason", "rejected"), ["mail-2"]),
        (("--limit", "2"), ["mail-1", "mail-2"]),
        (("--type", "mail", "--queue", "default"), ["mail-1", "mail-2"]),
        (("--type", "nothing"), []),
    ],
)
def test_the_list_can_be_narrowed(run: Run, five: None, options: tuple[str, ...], expected: list[str]) -> None:
    found = run("dlq", "list", "--json", *options).json()

    assert [letter["id"] for letter in found] == expected


def test_a_dead_letter_of_the_original_is_listed_with_the_reason_that_finds_it(run: Run, redis: Redis) -> None:
    redis.xadd("buraq_tasks_dlq", {"payload": '{"id": "old", "type": "mail"}'})

    [letter] = run("dlq", "list", "--json", "--reason", "exhausted").json()

    assert (letter["id"], letter["reason"]) == ("old", "exhausted")


def test_a_list_that_is_cut_says_so(run: Run, five: None) -> None:
    assert "There are more" in run("dlq", "list", "--limit", "2").out
    assert "There are more" not in run("dlq", "list", "--limit", "5").out


def test_an_empty_list_says_so(run: Run) -> None:
    assert run("dlq", "list").out == "No dead letters.\n"
    assert run("dlq", "list", "--json").json() == []


def test_what_a_task_wrote_gives_the_terminal_no_orders(run: Run, bury: Bury) -> None:
    bury("t1", type="mail\x1b[31m\nfake")

    assert "\x1b" not in run("dlq", "list").out + run("dlq", "show", "t1").out
    assert len(run("dlq", "list").out.splitlines()) == 2


def test_a_dead_letter_is_shown_with_its_payload_and_traceback(run: Run, five: None) -> None:
    shown = run("dlq", "show", "mail-3").out

    assert [part for part in ('{"user_id": 1}', "bulk", "exhausted", "Traceback …") if part not in shown] == []


def test_a_dead_letter_is_found_by_its_entry_id_too(run: Run, bury: Bury) -> None:
    entry = bury("broken", raw="{not json")

    [shown] = run("dlq", "show", entry, "--json").json()

    assert (shown["id"], shown["raw"]) == (None, "{not json")


def test_a_task_id_that_looks_like_a_shards_is_taken_as_it_is(run: Run, bury: Bury) -> None:
    for task_id in ("0/7", "7"):
        bury(task_id)

    assert [shown["id"] for shown in run("dlq", "show", "0/7", "7", "--json").json()] == ["0/7", "7"]
    assert run("dlq", "show", "0/8").code == 4


@pytest.mark.parametrize("command", ["show", "replay", "purge"])
def test_an_id_that_is_not_there_is_code_4(run: Run, five: None, command: str) -> None:
    done = run("dlq", command, "nobody")

    assert done.code == 4
    assert "nobody" in done.err


# -- replay


def test_named_dead_letters_go_back_and_the_others_stay(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "replay", "mail-2", "mail-3")

    assert (done.code, done.out) == (0, "Replayed 2 dead letters.\n")
    assert ids(redis) == ["mail-1", "pay-1", "{not json"]
    assert (ids(redis, "buraq_tasks"), ids(redis, "buraq_tasks:bulk")) == (["mail-2"], ["mail-3"])


def test_a_replayed_task_has_all_its_retries_again(run: Run, five: None, redis: Redis) -> None:
    run("dlq", "replay", "mail-1")

    [(_, fields)] = redis.xrange("buraq_tasks")
    assert json.loads(fields["payload"])["current_retries"] == 0


def test_one_missing_id_keeps_no_other_from_going_back(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "replay", "mail-1", "nobody")

    assert done.code == 4
    assert ids(redis, "buraq_tasks") == ["mail-1"]


def test_all_go_back_but_those_that_cannot_be_read(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "replay", "--all")

    assert (done.code, done.out) == (0, "Replayed 4 dead letters.\n")
    assert "1 cannot be read" in done.err
    assert ids(redis) == ["{not json"]


def test_all_can_be_narrowed(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "replay", "--all", "--type", "mail", "--limit", "2", "--json")

    assert done.json()["replayed"] == 2
    assert ids(redis) == ["pay-1", "{not json"]
    assert ids(redis, "buraq_tasks:bulk_dlq") == ["mail-3"]


def test_a_task_whose_key_belongs_to_another_stays_and_is_code_1(run: Run, bury: Bury, redis: Redis) -> None:
    bury("t1", idempotency_key="k1")
    redis.set("idemp:k1", "t2")

    done = run("dlq", "replay", "t1")

    assert done.code == 1
    assert "another task has their idempotency key" in done.err
    assert ids(redis) == ["t1"]


def test_more_than_a_page_goes_back(run: Run, bury: Bury, redis: Redis) -> None:
    for number in range(600):
        bury(f"t{number}")

    assert run("dlq", "replay", "--all", "--json").json()["replayed"] == 600
    assert ids(redis, "buraq_tasks") == [f"t{number}" for number in range(600)]


# -- purge


def test_all_are_not_deleted_without_being_sure(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "purge", "--all")

    assert done.code == 2
    assert "would delete 5 dead letters for good: add --yes" in done.err
    assert len(ids(redis)) == 4


def test_all_are_deleted(run: Run, five: None, redis: Redis) -> None:
    done = run("dlq", "purge", "--all", "--yes")

    assert (done.code, done.out) == (0, "Deleted 5 dead letters.\n")
    assert redis.xlen("buraq_tasks_dlq") + redis.xlen("buraq_tasks:bulk_dlq") == 0
    assert redis.hgetall("buraq_tasks:index") == {}


def test_those_of_one_reason_are_deleted(run: Run, five: None, redis: Redis) -> None:
    assert run("dlq", "purge", "--all", "--reason", "undecodable", "--yes", "--json").json()["purged"] == 1
    assert ids(redis) == ["mail-1", "mail-2", "pay-1"]


def test_named_ones_are_deleted_without_being_asked(run: Run, five: None, redis: Redis) -> None:
    assert run("dlq", "purge", "pay-1").out == "Deleted 1 dead letter.\n"
    assert ids(redis) == ["mail-1", "mail-2", "{not json"]
