"""The names of the keys: those of the original, and no two things under one name."""

import re
from itertools import combinations

import pytest

from buraq import keys
from buraq.keys import LETTERS, PRIORITIES, Names, QueueKeys, check_queue_name

PARTS = ("scheduled", "tasks", "index", "leases", "dlq")


def all_keys(queue: QueueKeys, name: str = "x") -> set[str]:
    """Return every key of a queue; those with a name or an id in them for `name`."""
    named = {queue.worker(name), queue.settled(name), queue.accepted(f"p-{name}"), queue.result(name)}
    return {*queue.streams.values(), *(getattr(queue, part) for part in PARTS), *named}


def test_the_default_queue_has_the_names_of_the_original() -> None:
    queue = Names().queue()
    assert queue.streams == {
        "s": "buraq_tasks_suspects",
        "f": "buraq_tasks_front",
        "h": "buraq_tasks_high",
        "n": "buraq_tasks",
        "l": "buraq_tasks_low",
    }
    assert queue.by_priority == ("buraq_tasks_high", "buraq_tasks", "buraq_tasks_low")
    assert {part: getattr(queue, part) for part in PARTS} == {
        "scheduled": "buraq_tasks:scheduled",
        "tasks": "buraq_tasks:scheduled:tasks",
        "index": "buraq_tasks:index",
        "leases": "buraq_tasks:leases",
        "dlq": "buraq_tasks_dlq",
    }
    assert queue.worker("w") == "buraq_tasks:worker:w"
    assert queue.settled("w") == "buraq_tasks:memo:w"
    assert queue.result("t") == "buraq_tasks:result:t"
    assert queue.owner("k") == "idemp:k"
    assert Names().queues == "buraq_tasks:queues"


def test_another_queue_has_all_but_the_idempotency_keys_to_itself() -> None:
    mail, default = Names().queue("mail"), Names().queue()
    assert (mail.name, mail.base, mail.dlq) == ("mail", "buraq_tasks:mail", "buraq_tasks:mail_dlq")
    assert not all_keys(mail) & all_keys(default)
    assert mail.owner("k") == default.owner("k")


def test_the_settings_decide_where_the_default_queue_is() -> None:
    names = Names("jobs", "graveyard")
    assert (names.queue().base, names.queue().dlq, names.queues) == ("jobs", "graveyard", "jobs:queues")
    assert names.queue("mail").dlq == "jobs:mail_dlq"


def test_streams_are_listed_in_the_order_in_which_they_are_fetched() -> None:
    assert tuple(Names().queue().streams) == LETTERS == ("s", "f", "h", "n", "l")


def test_each_place_has_a_letter_of_its_own() -> None:
    letters = [*LETTERS, keys.SCHEDULED, keys.DEAD]
    assert len(set(letters)) == len(letters)
    assert all(len(letter) == 1 for letter in letters)
    assert PRIORITIES == {"high": "h", "normal": "n", "low": "l"}


@pytest.mark.parametrize(
    "name", ["mail", "a", "9", "A.b-c_d", "x" * 100, "default", "dlq", "highest", "mail_front_desk"]
)
def test_a_plain_name_is_a_queues(name: str) -> None:
    assert check_queue_name(name) == name


@pytest.mark.parametrize(
    "name", ["", " ", "_mail", "-x", ".x", "a b", "a:b", "a{b}", "mail\n", "é", "x" * 101, "a/b", "*"]
)
def test_a_name_with_other_characters_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"queue {name!r}: a queue's name has letters")):
        check_queue_name(name)


@pytest.mark.parametrize(
    "name",
    ["scheduled", "index", "leases", "queues", "worker", "memo", "result", "paused", "stats", "types", "audit"]
    + [f"mail_{suffix}" for suffix in ("dlq", "high", "low", "front", "suspects")],
)
def test_a_name_that_would_share_a_key_is_refused_and_says_so(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"queue '{name}': the name collides with a key of Buraq's own, choose another"
    ):
        check_queue_name(name)


def test_no_two_queues_that_are_allowed_share_a_key() -> None:
    # Names, and ids inside keys, made of the very words that keys are made of.
    words = [
        "default",
        "mail",
        "tasks",
        "high",
        "low",
        "front",
        "suspects",
        "dlq",
        "idemp",
        "mail.index",
        "index",
        "worker",
    ]
    allowed = []
    for word in words:
        try:
            allowed.append(check_queue_name(word))
        except ValueError:
            continue
    assert {"mail", "tasks", "dlq"} <= set(allowed)
    held = {name: set().union(*(all_keys(Names().queue(name), word) for word in words)) for name in allowed}
    for one, other in combinations(allowed, 2):
        assert not held[one] & held[other], (one, other)


def test_the_keys_of_one_queue_are_all_different() -> None:
    queue = Names().queue("mail")
    assert len(all_keys(queue)) == len(queue.streams) + len(PARTS) + 4
