"""Outcomes come without notes while nobody is known to listen: whoever listens meanwhile misses no event."""

import pytest

from buraq.broker import Settled
from buraq.task import Completed, Dead, Outcome, Released, Retried
from tests.transitions.world import World, ended, payload

pytestmark = pytest.mark.each_server

OUTCOMES = {
    "Completed": Completed(),
    "Completed, kept": Completed(b"1", 60_000),
    "Failed": Retried(60_000, payload("t1", current_retries=1), error="no"),
    "put off": Retried(60_000, payload("t1"), charged=False),
    "DLQ": Dead("exhausted", "ValueError: no"),
    "handed back": Released(),
}


@pytest.fixture(params=OUTCOMES.values(), ids=OUTCOMES)
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return request.param


@pytest.mark.parametrize("how", ["subscribe", "psubscribe"])
def test_a_batch_without_notes_is_refused_when_somebody_listens(groups: World, outcome: Outcome, how: str) -> None:
    batch = [ended(groups.deliver("n", f"t{n}"), outcome, note="") for n in range(2)]
    with groups.redis.pubsub() as channel:
        getattr(channel, how)(groups.broker.channel)
        assert channel.get_message(timeout=30)["type"] == how

        reply, changed = groups.change(groups.broker.settle(batch, "w1", 1))

    assert groups.broker.settled(reply).refused
    assert changed == {}


def test_the_same_batch_with_notes_is_settled_under_the_same_number(groups: World, outcome: Outcome) -> None:
    batch = [ended(groups.deliver("n", "t1"), outcome, note="")]
    with groups.hearing() as events:
        groups.link.call(groups.broker.settle(batch, "w1", 1))
        batch[0].note = '"worker_id":"w1-7"'

        reply = groups.link.call(groups.broker.settle(batch, "w1", 1))

    assert groups.broker.settled(reply) == Settled(False, True, frozenset())
    assert [(event["task_id"], event["worker_id"]) for event in events] == [("t1", "w1-7")]


def test_a_batch_without_notes_is_settled_while_nobody_listens(groups: World, outcome: Outcome) -> None:
    batch = [ended(groups.deliver("n", f"t{n}"), outcome, note="") for n in range(2)]

    reply = groups.link.call(groups.broker.settle(batch, "w1", 1))

    assert groups.broker.settled(reply) == Settled(False, False, frozenset())
    assert groups.redis.xpending(groups.keys.base, groups.broker.group)["pending"] == 0


def test_what_was_settled_is_answered_from_the_memo_whoever_listens(groups: World, outcome: Outcome) -> None:
    batch = [ended(groups.deliver("n", "t1"), outcome, note="")]
    groups.link.call(groups.broker.settle(batch, "w1", 1))
    with groups.hearing() as events:
        reply, changed = groups.change(groups.broker.settle(batch, "w1", 1))

    assert groups.broker.settled(reply) == Settled(True, False, frozenset())
    assert (changed, events) == ({}, [])
