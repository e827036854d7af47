"""Events: how they are read, the ring that remembers them, and the one subscription of a process."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from redis import Redis

from buraq.connection import Server as Connections
from buraq.connection import Unreachable
from buraq.events import GAP, READ_AT_ONCE, Event, EventRing, Feed, Inbox, parse
from buraq.web.frames import frame
from tests.servers import PATIENCE, Server, eventually

CHANNEL = "buraq_events"


def raw(at: int | None, **members: object) -> bytes:
    stamp = {} if at is None else {"at": at}
    return json.dumps({"type": "Completed", "task_id": f"t{at}", "worker_id": "w", **members, **stamp}).encode()


def ring_of(*stamps: int | None, size: int = 5) -> EventRing:
    ring = EventRing(size)
    for stamp in stamps:
        ring.append(None if stamp is None else raw(stamp))
    return ring


def stamps(events: list[Event]) -> list[int | str | None]:
    return ["gap" if event is GAP else event.at for event in events]


# --- Reading ------------------------------------------------------------------------------------


def test_an_event_is_passed_on_as_it_was_published() -> None:
    text = '{"type":"DLQ","task_id":"a","worker_id":"w-1","error":"zw\\u00f6lf\\n","at":7}'

    assert parse(text.encode()) == Event(7, text)


def test_an_event_of_the_original_has_no_stamp() -> None:
    text = '{"type":"Pending","task_id":"a","worker_id":""}'

    assert parse(text.encode()) == Event(None, text)


def test_an_event_has_its_three_members_always_and_is_one_line() -> None:
    event = parse(b'{"type":"Pending",\r\n"task_id":"a"}')

    assert event is not None
    assert json.loads(event.data) == {"type": "Pending", "task_id": "a", "worker_id": ""}
    assert "\n" not in event.data and "\r" not in event.data


def test_an_event_of_a_stranger_can_always_be_sent() -> None:
    event = parse(b'{"type":"Pending","error":"\\ud800"}')

    assert event is not None
    assert frame(event)
    assert json.loads(event.data.encode())["error"] == "\ud800"


@pytest.mark.parametrize("published", [b"", b"x", b"[]", b"7", b"null", b"{}", b'{"type":1}', b"\xff", b'{"type":"a"'])
def test_what_is_no_event_is_left_out(published: bytes) -> None:
    assert parse(published) is None


# --- The ring -----------------------------------------------------------------------------------


def test_a_reader_gets_events_in_order_and_goes_on_where_it_was() -> None:
    ring = ring_of(1, 2, 3)

    events, number = ring.read(0, 2)
    assert stamps(events) == [1, 2]
    assert stamps(ring.read(number, 9)[0]) == [3]


def test_a_reader_that_was_overtaken_gets_a_gap_and_the_oldest_that_is_left() -> None:
    ring = ring_of(1, 2, 3, 4, 5, 6, 7)

    assert stamps(ring.read(0, 2)[0]) == ["gap", 3, 4]


def test_a_broken_subscription_shows_as_a_gap_where_it_broke() -> None:
    assert stamps(ring_of(1, None, 2).read(0, 9)[0]) == [1, "gap", 2]


def test_the_ring_finds_the_event_after_a_stamp() -> None:
    ring = ring_of(10, 20, 30, 40, 50, 60)

    assert ring.after(30) == 3
    assert ring.after(60) == 6
    assert ring.after(10) is None, "it has left the ring"
    assert ring.after(0) is None, "not even where the digits are part of another stamp"
    assert ring.later_than(35) == 3
    assert ring.later_than(60) == 6


def test_a_stamp_in_another_member_is_not_mistaken_for_the_events_own() -> None:
    ring = EventRing(5)
    ring.append(raw(1))
    ring.append(raw(2, error='"at":1'))

    assert ring.after(1) == 1


# --- The subscription ---------------------------------------------------------------------------


@pytest.fixture
def make_feed(server: Server, redis: Redis) -> Iterator[Callable[..., Feed]]:
    feeds: list[Feed] = []

    def make(url: str = server.url, **options: float) -> Feed:
        feed = Feed(Connections.from_url(url), CHANNEL, **options)  # type: ignore[arg-type]
        feed.subscribe = partial(feed.subscribe, timeout=PATIENCE)  # type: ignore[method-assign]
        feeds.append(feed)
        return feed

    yield make
    for feed in feeds:
        feed.close()


def take(inbox: Inbox, count: int) -> list[int | str | None]:
    taken: list[int | str | None] = []
    while len(taken) < count:
        events = inbox.get(PATIENCE)
        assert events, f"only {taken} came"
        taken += stamps(events)
    return taken


def test_nothing_is_subscribed_before_the_first_listener(make_feed: Callable[..., Feed], redis: Redis) -> None:
    feed = make_feed()
    assert redis.pubsub_numsub(CHANNEL) == [(CHANNEL, 0)]

    with feed.subscribe(), feed.subscribe():
        assert redis.pubsub_numsub(CHANNEL) == [(CHANNEL, 1)]
        assert feed.listeners == 2


def test_every_listener_gets_every_event_from_the_moment_it_listens(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()
    with feed.subscribe() as early:
        redis.publish(CHANNEL, raw(1))
        assert take(early, 1) == [1]
        with feed.subscribe() as late:
            redis.publish(CHANNEL, raw(2))

            assert (take(early, 1), take(late, 1)) == ([2], [2])


def test_a_listener_comes_back_to_where_it_was_though_nobody_listened_meanwhile(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()
    with feed.subscribe() as inbox:
        redis.publish(CHANNEL, raw(1))
        take(inbox, 1)
    redis.publish(CHANNEL, raw(2))
    eventually(lambda: feed.ring.end == 2)

    with feed.subscribe(after=1) as inbox:
        assert take(inbox, 1) == [2]
    with feed.subscribe(after=0) as inbox:
        assert take(inbox, 3) == ["gap", 1, 2]


def test_a_listener_that_reads_too_slowly_loses_the_oldest_and_is_told(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed(size=3)
    with feed.subscribe() as slow, feed.subscribe() as quick:
        for number in range(1, 8):
            redis.publish(CHANNEL, raw(number))
            assert take(quick, 1) == [number]

        assert take(slow, 4) == ["gap", 5, 6, 7]


def test_many_events_at_once_come_in_portions(make_feed: Callable[..., Feed], redis: Redis) -> None:
    feed = make_feed()
    with feed.subscribe() as inbox:
        with redis.pipeline(transaction=False) as pipe:
            for number in range(1000):
                pipe.publish(CHANNEL, raw(number))
            pipe.execute()
        eventually(lambda: feed.ring.end == 1000)

        assert len(inbox.get(PATIENCE)) == READ_AT_ONCE
        assert take(inbox, 1000 - READ_AT_ONCE) == list(range(READ_AT_ONCE, 1000))


def test_what_a_listener_sees_is_made_once_for_all_at_the_same_place(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()

    def texts(events: list[Event]) -> list[str]:
        return [event.data for event in events]

    with feed.subscribe(view=texts) as one, feed.subscribe(view=texts) as other, feed.subscribe() as plain:
        redis.publish(CHANNEL, raw(1))
        eventually(lambda: feed.ring.end == 1)

        seen = one.get(PATIENCE)
        assert seen == [raw(1).decode()]
        assert other.get(PATIENCE) is seen
        assert stamps(plain.get(PATIENCE)) == [1]


def test_a_listener_that_shows_not_all_events_goes_on_to_one_that_it_shows(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()
    with feed.subscribe(view=lambda events: [event.at for event in events if event.at and event.at > 600]) as inbox:
        with redis.pipeline(transaction=False) as pipe:
            for number in range(1, 602):
                pipe.publish(CHANNEL, raw(number))
            pipe.execute()
        assert feed.wait(600, PATIENCE) == 601
        assert inbox.take(601) == [601]

        got: list[list[int]] = []
        reader = threading.Thread(target=lambda: got.append(inbox.get(PATIENCE)))
        reader.start()
        redis.publish(CHANNEL, raw(1))
        assert feed.wait(601, PATIENCE) == 602
        redis.publish(CHANNEL, raw(602))
        reader.join(PATIENCE)
        assert got == [[602]]


def test_a_listener_takes_what_is_there_up_to_a_message_and_does_not_wait(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()
    with feed.subscribe() as inbox:
        redis.publish(CHANNEL, raw(1))
        redis.publish(CHANNEL, raw(2))
        assert feed.wait(1, PATIENCE) == 2

        assert [stamps(inbox.take(until)) for until in (0, 1, 1, 2, 2)] == [[], [1], [], [2], []]


def test_closing_an_inbox_wakes_its_reader(make_feed: Callable[..., Feed]) -> None:
    with make_feed().subscribe() as inbox:
        got: list[list[Event]] = []
        reader = threading.Thread(target=lambda: got.append(inbox.get(2 * PATIENCE)))
        reader.start()
        inbox.close()
        reader.join(PATIENCE)

    assert got == [[]]


def test_a_closed_inbox_gives_nothing_more(make_feed: Callable[..., Feed], redis: Redis) -> None:
    feed = make_feed()
    with feed.subscribe() as inbox:
        redis.publish(CHANNEL, raw(1))
        eventually(lambda: feed.ring.end == 1)
        inbox.close()

        assert inbox.get(PATIENCE) == []


def test_closing_the_feed_ends_the_subscription_and_a_later_listener_begins_it_anew(
    make_feed: Callable[..., Feed], redis: Redis
) -> None:
    feed = make_feed()
    with feed.subscribe() as inbox:
        feed.close()
        assert inbox.get(2 * PATIENCE) == []
    eventually(lambda: redis.pubsub_numsub(CHANNEL)[0][1] == 0)

    def listens() -> bool:
        with feed.subscribe():
            return True

    eventually(listens)


def test_the_subscription_ends_some_time_after_its_last_listener(make_feed: Callable[..., Feed], redis: Redis) -> None:
    feed = make_feed(linger=0.01)
    with feed.subscribe() as inbox:
        redis.publish(CHANNEL, raw(1))
        take(inbox, 1)
    eventually(lambda: redis.pubsub_numsub(CHANNEL)[0][1] == 0)

    with feed.subscribe(after=1) as inbox:
        assert take(inbox, 1) == ["gap"], "what happened meanwhile nobody knows"


def test_a_lost_connection_comes_back_with_a_gap(
    make_feed: Callable[..., Feed], fresh_server: Callable[..., Server]
) -> None:
    server = fresh_server()
    feed = make_feed(server.url)
    with feed.subscribe() as inbox:
        server.client().publish(CHANNEL, raw(1))
        assert take(inbox, 1) == [1]

        server.restart(signal.SIGKILL)
        client = server.client()
        eventually(lambda: client.pubsub_numsub(CHANNEL)[0][1])
        client.publish(CHANNEL, raw(2))

        assert take(inbox, 2) == ["gap", 2]


def test_a_server_that_says_nothing_is_asked_and_left_when_it_does_not_answer(
    make_feed: Callable[..., Feed], fresh_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"TICK": 0.02, "QUIET": 0.05, "RECONNECT": 0.02, "ANSWER_TIMEOUT": PATIENCE}.items():
        monkeypatch.setattr(f"buraq.events.{name}", seconds)
    server = fresh_server()
    client = server.client()
    feed = make_feed(server.url)
    with feed.subscribe() as inbox:
        pings = client.info("commandstats")["cmdstat_ping"]["calls"]
        eventually(lambda: client.info("commandstats")["cmdstat_ping"]["calls"] > pings + 2)
        client.publish(CHANNEL, raw(1))
        assert take(inbox, 1) == [1], "an answer keeps the subscription, without a gap"

        server.pause()
        monkeypatch.setattr("buraq.events.ANSWER_TIMEOUT", 0.2)
        eventually(lambda: not feed.live)
        monkeypatch.setattr("buraq.events.ANSWER_TIMEOUT", PATIENCE)
        server.resume()
        eventually(lambda: feed.live)
        client.publish(CHANNEL, raw(2))
        assert take(inbox, 2) == ["gap", 2]


def test_without_a_server_subscribing_fails_soon(
    make_feed: Callable[..., Feed], fresh_server: Callable[..., Server]
) -> None:
    server = fresh_server()
    server.kill()

    with pytest.raises(Unreachable), make_feed(server.url).subscribe(timeout=0.2):
        raise AssertionError
