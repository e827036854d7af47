"""What the fault benchmark counts is right: on it stands what it says of others."""

import pytest

from benchmarks.faults import store
from benchmarks.faults.ledger import Ledger, Run, at_once, recoveries


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def write(ledger, process, *lines):
    with open(ledger.folder / process, "a") as file:
        file.write("".join(lines))
    ledger.read()


def test_a_run_without_an_end_is_cut_off_when_its_process_was_killed(ledger):
    write(ledger, "7.1", "start t1 10\n", "start t2 11\n", "end t1 12\n")
    write(ledger, "8.1", "start t3 10\n")

    ledger.kill([7], 13.0)

    assert set(ledger.running()) == {"t3"}
    assert [run.cut for run in ledger.runs["t2"]] == [13.0]
    assert [run.cut for run in ledger.runs["t1"]] == [None]
    assert ledger.ended() == {"t1"}


def test_a_kill_cuts_nothing_off_that_starts_later_in_a_process_of_the_same_number(ledger):
    ledger.kill([7], 13.0)
    write(ledger, "7.2", "start t1 14\n")

    assert set(ledger.running()) == {"t1"}


def test_half_a_line_is_read_when_it_is_whole(ledger):
    write(ledger, "7.1", "acce")
    write(ledger, "7.1", "pted t1 1\nacce")
    assert ledger.accepted == {"t1"}

    write(ledger, "7.1", "pted t2 2\n")

    assert ledger.accepted == {"t1", "t2"}


@pytest.mark.parametrize(
    ("others", "seconds"),
    [
        ([], [None]),
        ([Run("b", 25, 26)], [5]),
        ([Run("b", 25, 26), Run("c", 22, 23)], [2]),
        ([Run("b", 15, 26)], []),
        ([Run("b", 5, 9)], []),
        ([Run("b", 22, cut=24), Run("c", 30, 31)], [2, 6]),
    ],
    ids=["never", "once", "the first counts", "it ran elsewhere", "it had ended", "cut off twice"],
)
def test_recovery_is_counted_from_the_kill_to_the_next_start(others, seconds):
    assert recoveries([Run("a", 10, cut=20), *others]) == seconds


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (Run("a", 10, 20), Run("b", 19, 25), True),
        (Run("a", 10, 20), Run("b", 21, 25), False),
        (Run("a", 10, cut=15), Run("b", 16, 25), False),
        (Run("a", 10), Run("b", 90), True),
    ],
    ids=["overlap", "one after the other", "the first was killed", "neither has ended"],
)
def test_two_runs_are_at_once_while_both_processes_live(first, second, both):
    assert at_once([second, first], now=100.0) is both


def test_a_task_is_found_in_every_type_of_key_and_held_until_it_is_acknowledged(redis, server):
    redis.set("string", "..t000001z..")
    redis.hset("hash", "field", "t000002z")
    redis.rpush("list", "t000003z")
    redis.sadd("set", "t000004z")
    redis.zadd("zset", {"t000005z": 1})
    redis.set("job:t000006z", "compressed")
    for number in range(10, 14):
        redis.xadd("stream", {"data": f"t0000{number}z"})
    redis.xgroup_create("stream", "g", id="0")
    [[_, entries]] = redis.xreadgroup("g", "c", {"stream": ">"}, count=3)
    redis.xack("stream", "g", entries[0][0])
    client = server.client(decode_responses=False)

    everywhere = {f"t00000{number}z" for number in range(1, 7)}
    assert store.kept(client) == everywhere | {f"t0000{number}z" for number in range(10, 14)}
    assert store.held(client) == everywhere | {f"t0000{number}z" for number in range(11, 14)}
    assert store.held(client, ["hash", "list"]) == {"t000002z", "t000003z"}


def test_a_record_in_a_history_is_no_leftover(redis, server):
    redis.xadd("q:history:completed", {"payload": "t000001z"})
    redis.hset("q:history", "t000001z", "c1-0")
    redis.hset("q:index", "t000002z", "n1-0")

    assert store.kept(server.client(decode_responses=False), "q:history") == {"t000002z"}
