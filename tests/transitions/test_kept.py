"""What the scripts keep beside a task's state: statistics, groups of dead letters, histories, attempts."""

import json
from typing import Any

import pytest

from buraq import attempts, statistics
from buraq.broker import Broker, Item, Reclaimable, Replayable
from buraq.groups import LetterGroup
from buraq.statistics import COMPLETED, DEAD, ENQUEUED, FIVES, MINUTES, RETRIED, RUN, SECONDS, WAIT
from buraq.task import Completed, Dead, Delivery, Released, Retried, decode
from tests.transitions.world import World, ended, payload

pytestmark = pytest.mark.each_server

KIND = LetterGroup.of("mail", Dead("exhausted", "ValueError: no"))


def counted(world: World, ring: statistics.Ring, slots: int, counter: int) -> int:
    """Return what the last slots of a ring have counted, the present one included."""
    raw = world.redis.get(world.keys.statistics) or b""
    second = int(world.redis.time()[0])
    return sum(slot.numbers[counter] for slot in statistics.read(raw, ring, second, slots))


def deliveries(world: World, count: int) -> list[Delivery]:
    return [world.deliver("n", f"t{n}") for n in range(count)]


def settle(world: World, batch: list[Delivery], outcome: Any, number: int = 1, **more: Any) -> Any:
    for delivery in batch:
        ended(delivery, outcome)
    return world.link.call(world.broker.settle(batch, "w1", number, **more))


def history(world: World, letter: str) -> list[tuple[str, str]]:
    rows = world.redis.xrange(world.keys.histories[letter])
    return [(fields[b"id"].decode(), fields[b"record"].decode()) for _, fields in rows]


# -- statistics


@pytest.mark.parametrize("ring", [SECONDS, MINUTES, FIVES])
def test_each_transition_counts_its_tasks_in_each_ring(groups: World, ring: statistics.Ring) -> None:
    items = [Item(f"e{n}", "n", "", "", payload(f"e{n}")) for n in range(3)]
    groups.link.call(groups.broker.enqueue(items, "p", 1))
    one, two, three, *rest = (groups.fetch("n") for _ in range(3))
    assert not rest
    settle(groups, [one], Completed())
    settle(groups, [two], Retried(1000, payload("e1")))
    settle(groups, [three], Dead("exhausted"))
    found = [counted(groups, ring, 10, counter) for counter in (ENQUEUED, COMPLETED, RETRIED, DEAD)]
    assert found == [3, 1, 1, 1]


def test_what_was_not_accepted_is_not_counted(groups: World) -> None:
    items = [Item(task_id, "n", "", "", payload(task_id)) for task_id in ("a", "b", "a")]
    groups.link.call(groups.broker.enqueue(items, "p", 1))
    groups.link.call(groups.broker.enqueue(items, "p", 1))  # remembered
    assert counted(groups, MINUTES, 2, ENQUEUED) == 2


def test_what_was_gone_is_not_counted(groups: World) -> None:
    gone, here = deliveries(groups, 2)
    settle(groups, [gone], Completed())
    settle(groups, [gone, here], Completed(), number=2)
    settle(groups, [gone, here], Completed(), number=2)  # remembered
    assert counted(groups, MINUTES, 2, COMPLETED) == 2


def test_a_task_that_was_put_off_is_not_counted(groups: World) -> None:
    settle(groups, deliveries(groups, 1), Retried(1000, payload("t0"), charged=False))
    assert counted(groups, MINUTES, 2, RETRIED) == 0


def test_the_sums_go_into_the_histograms_but_not_by_the_second(groups: World) -> None:
    settle(groups, deliveries(groups, 3), Completed(), sums=f"{RUN + 4}=2 {RUN + 59}=1 {WAIT}=3")
    for ring in (MINUTES, FIVES):
        assert [counted(groups, ring, 2, n) for n in (RUN + 4, RUN + 59, WAIT)] == [2, 1, 3]
    assert counted(groups, SECONDS, 10, RUN + 4) == 0


def test_a_slot_whose_time_is_over_is_emptied(groups: World) -> None:
    settle(groups, deliveries(groups, 1), Completed())
    stamp = int(groups.redis.time()[0]) // 60
    age(groups, stamp, 61)
    settle(groups, [groups.deliver("n", "later")], Completed(), number=2)
    assert (counted(groups, MINUTES, 1, COMPLETED), counted(groups, MINUTES, 1, RUN)) == (1, 0)


def age(world: World, minute: int, minutes: int) -> None:
    """Let what a minute has counted be of so many minutes before."""
    world.redis.bitfield(world.keys.statistics).set("u32", f"#{MINUTES.at(minute)}", minute - minutes).execute()


@pytest.mark.parametrize(("minutes", "counts"), [(61, 1), (183, 1), (61 * 23, 1), (61 * 24, 0), (61 * 400, 0)])
def test_the_day_holds_what_its_minutes_held(groups: World, minutes: int, counts: int) -> None:
    settle(groups, deliveries(groups, 1), Completed(), sums=f"{RUN + 4}=7")
    minute = int(groups.redis.time()[0]) // 60
    age(groups, minute, minutes)
    assert counted(groups, FIVES, 288, RUN + 4) == 7 * counts  # with the minutes still
    settle(groups, [groups.deliver("n", "later")], Completed(), number=2)
    assert counted(groups, FIVES, 288, RUN + 4) == 7 * counts  # with the five minutes now
    assert counted(groups, FIVES, 288, COMPLETED) == 1 + counts


def test_two_minutes_of_the_same_five_are_added(groups: World) -> None:
    minute = int(groups.redis.time()[0]) // 60
    fives = minute // 5 - 100
    field = groups.redis.bitfield(groups.keys.statistics)
    field.set("u32", f"#{FIVES.at(fives)}", fives).set("u32", f"#{FIVES.at(fives) + COMPLETED}", 5)
    field.set("u32", f"#{MINUTES.at(minute)}", fives * 5).set("u32", f"#{MINUTES.at(minute) + COMPLETED}", 3).execute()
    settle(groups, deliveries(groups, 1), Completed())
    assert counted(groups, FIVES, 288, COMPLETED) == 9


def test_statistics_of_the_wrong_type_cost_no_task(groups: World) -> None:
    groups.redis.lpush(groups.keys.statistics, "strange")
    [one] = deliveries(groups, 1)
    settle(groups, [one], Completed())
    assert groups.redis.xlen(groups.keys.base) == 0


def test_statistics_that_nothing_is_added_to_go(groups: World) -> None:
    settle(groups, deliveries(groups, 1), Completed())
    assert 86_400 < groups.redis.ttl(groups.keys.statistics) <= 90_000


# -- groups


def group(world: World) -> dict[str, str]:
    return {name.decode(): said.decode() for name, said in world.redis.hgetall(world.keys.groups).items()}


def letters(world: World) -> list[tuple[str, dict[bytes, bytes]]]:
    return [(entry.decode(), fields) for entry, fields in world.redis.xrange(world.keys.dlq)]


def test_buried_tasks_of_a_kind_are_counted_together(groups: World) -> None:
    settle(groups, deliveries(groups, 2), Dead("exhausted", "ValueError: no"))
    settle(groups, [groups.deliver("n", "other")], Dead("rejected", "no"), number=2)
    found = group(groups)
    assert found[KIND.id] == "2"
    at, _, facts = found[f"{KIND.id}:last"].partition(" ")
    assert int(at) >= int(found[f"{KIND.id}:first"])
    assert json.loads(facts) == {"type": "mail", "reason": "exhausted", "error": "ValueError: no"}
    assert len(found) == 6
    assert [fields[b"group"].decode() for _, fields in letters(groups)][:2] == [KIND.id] * 2


def test_a_purge_and_a_replay_leave_the_group_smaller_and_the_last_one_takes_it_away(groups: World) -> None:
    settle(groups, deliveries(groups, 2), Dead("exhausted", "ValueError: no"))
    (one, _), (two, fields) = letters(groups)
    groups.link.call(groups.broker.purge([(one, "t0", KIND.id)]))
    assert group(groups)[KIND.id] == "1"
    raw = fields[b"payload"]
    groups.link.call(groups.broker.replay([Replayable(two, decode(raw), raw, b"", KIND.id)]))
    assert group(groups) == {}


def test_a_letter_that_is_gone_leaves_the_count_as_it_is(groups: World) -> None:
    settle(groups, deliveries(groups, 1), Dead("exhausted", "ValueError: no"))
    groups.link.call(groups.broker.purge([("1-1", "t9", KIND.id)]))
    assert group(groups)[KIND.id] == "1"


def test_beyond_a_thousand_groups_letters_are_in_none(groups: World) -> None:
    groups.redis.hset(groups.keys.groups, mapping={f"g{n}": 1 for n in range(3000)})
    settle(groups, deliveries(groups, 1), Dead("exhausted", "ValueError: no"))
    [(_, fields)] = letters(groups)
    assert b"group" not in fields
    assert groups.redis.hlen(groups.keys.groups) == 3000


def test_reclaim_counts_what_it_buries_and_keeps_the_attempts(groups: World) -> None:
    groups.let(w1=0, w2=10**15)
    one = groups.deliver("n", "t1", "attempts", "old", "deaths", "5")
    entry = Reclaimable(one.entry, "t1", "d", 6, '"worker_id":""', "", b"new", KIND.id, KIND.facts, "a record")
    groups.link.call(groups.broker.reclaim("n", "w2", "w1", [entry]))
    [(_, fields)] = letters(groups)
    assert (fields[b"attempts"], fields[b"group"].decode()) == (b"new", KIND.id)
    assert group(groups)[KIND.id] == "1"
    assert counted(groups, MINUTES, 2, DEAD) == 1
    assert history(groups, "d") == [("t1", "a record")]


# -- histories


def test_a_record_is_kept_in_the_history_of_its_kind_and_found_by_id(groups: World) -> None:
    outcomes = {"c": Completed(), "f": Retried(1, payload("x")), "d": Dead("exhausted")}
    for number, (letter, outcome) in enumerate(outcomes.items()):
        one = groups.deliver("n", letter)
        one.record = f"of {letter}"
        settle(groups, [one], outcome, number)
        assert history(groups, letter) == [(letter, f"of {letter}")]
        [(entry, _)] = groups.redis.xrange(groups.keys.histories[letter])
        assert groups.redis.hget(groups.keys.finished, letter) == letter.encode() + entry


def test_what_was_gone_is_not_kept(groups: World) -> None:
    gone, here = deliveries(groups, 2)
    settle(groups, [gone], Completed())
    gone.record = here.record = "kept"
    settle(groups, [gone, here], Completed(), number=2)
    assert history(groups, "c") == [("t1", "kept")]


def test_a_cancelled_task_is_kept(groups: World) -> None:
    groups.add("n", "t1")
    groups.link.call(groups.broker.cancel("t1", "", "its record"))
    assert history(groups, "x") == [("t1", "its record")]


def test_the_oldest_are_forgotten_and_a_newer_record_of_the_same_task_is_still_found(groups: World) -> None:
    broker = Broker(groups.keys, history=2)
    for number, task_id in enumerate(("a", "b", "a", "c")):
        one = ended(groups.deliver("n", task_id), Completed())
        one.record = f"{number}"
        groups.link.call(broker.settle([one], "w1", number))
    assert history(groups, "c") == [("a", "2"), ("c", "3")]
    assert set(groups.redis.hkeys(groups.keys.finished)) == {b"a", b"c"}


def test_what_was_kept_is_forgotten_when_nothing_is_to_be_kept_any_more(groups: World) -> None:
    [one] = deliveries(groups, 1)
    one.record = "kept"
    settle(groups, [one], Completed())
    groups.add("n", "t1")
    groups.link.call(groups.broker.cancel("t1", "", "kept"))
    keeps_none = Broker(groups.keys, history=0)
    groups.link.call(keeps_none.settle([ended(groups.deliver("n", "t2"), Completed())], "w1", 2))
    groups.add("n", "t3")
    groups.link.call(keeps_none.cancel("t3", "", "not kept"))
    assert (history(groups, "c"), history(groups, "x"), groups.redis.hkeys(groups.keys.finished)) == ([], [], [])


def test_a_history_of_the_wrong_type_costs_no_task(groups: World) -> None:
    groups.redis.set(groups.keys.histories["c"], "strange")
    [one] = deliveries(groups, 1)
    one.record = "lost"
    settle(groups, [one], Completed())
    assert groups.redis.xlen(groups.keys.base) == 0


# -- attempts


def test_attempts_travel_through_retry_and_promotion(groups: World) -> None:
    one = groups.deliver("n", "t1", "deaths", "1")
    one.attempts = attempts.add(b"", "failed", 1, "w1-3", 1000, 12, "ValueError: \"no\" 'no'")
    settle(groups, [one], Retried(0, payload("t1", current_retries=1)))
    groups.link.call(groups.broker.promote())
    again = groups.fetch("n")
    assert again.attempts == one.attempts
    assert (again.deaths, again.claimed) == (1, False)


def test_attempts_travel_into_the_dead_letters_and_back(groups: World) -> None:
    one = groups.deliver("n", "t1")
    one.attempts = attempts.add(b"", "failed", 1, "w1-3", 1000, 12)
    settle(groups, [one], Dead("exhausted"))
    [(entry, fields)] = letters(groups)
    assert fields[b"attempts"] == one.attempts
    assert one.task is not None
    groups.link.call(groups.broker.replay([Replayable(entry, one.task, one.raw or b"", one.attempts)]))
    assert groups.fetch("n").attempts == one.attempts


def test_attempts_of_a_handed_back_task_stay(groups: World) -> None:
    one = groups.deliver("n", "t1", "attempts", "its attempts")
    settle(groups, [one], Released())
    assert groups.fetch("f").attempts == b"its attempts"
