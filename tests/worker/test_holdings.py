"""What a process knows it owns: nothing is taken for new that it has ever known while a question is open."""

from buraq.worker.holdings import Holdings
from tests.worker.parts import delivery_of, raw_task


def test_a_delivery_is_taken_in_once() -> None:
    holdings, delivery = Holdings(), delivery_of(raw_task("t1"))

    assert holdings.adopt(delivery)
    assert not holdings.adopt(delivery_of(raw_task("t1")))
    assert list(holdings.known.values()) == [delivery]


def test_the_same_entry_id_on_two_streams_is_two_deliveries() -> None:
    holdings = Holdings()

    assert holdings.adopt(delivery_of(raw_task("t1"), letter="n"))
    assert holdings.adopt(delivery_of(raw_task("t2"), letter="h"))
    assert holdings.by_stream() == {"buraq_tasks": 1, "buraq_tasks_high": 1}


def test_a_delivery_that_was_settled_is_forgotten_when_nothing_is_asked() -> None:
    holdings, delivery = Holdings(), delivery_of(raw_task("t1"))
    holdings.adopt(delivery)

    holdings.settled(delivery)

    assert len(holdings) == 0
    assert not holdings.recently_settled(delivery.key)
    assert holdings.adopt(delivery_of(raw_task("t1")))


def test_what_is_settled_while_a_question_is_open_is_not_taken_for_new() -> None:
    holdings, delivery = Holdings(), delivery_of(raw_task("t1"))
    holdings.adopt(delivery)
    holdings.asking()

    holdings.settled(delivery)

    assert holdings.recently_settled(delivery.key)
    assert not holdings.adopt(delivery_of(raw_task("t1")))


def test_what_was_settled_is_forgotten_when_the_question_is_answered() -> None:
    holdings, delivery = Holdings(), delivery_of(raw_task("t1"))
    holdings.adopt(delivery)
    holdings.asking()
    holdings.settled(delivery)

    holdings.answered()

    assert not holdings.recently_settled(delivery.key)


def test_suspects_are_counted_until_they_are_settled() -> None:
    holdings = Holdings()
    suspect = delivery_of(raw_task("t1"), letter="s")
    holdings.adopt(suspect)
    holdings.adopt(delivery_of(raw_task("t2")))
    assert holdings.suspects == 1

    holdings.settled(suspect)
    holdings.settled(suspect)

    assert holdings.suspects == 0
