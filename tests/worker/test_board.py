"""The board: what the processes of one group know of each other, in memory shared before the fork."""

import os
import time
from types import SimpleNamespace
from typing import Any

import pytest
from gevent import monkey

from buraq.worker.board import LOOPS, ROWS, Board, Row


def held(row: Row, *, valid: bool = True, reachable: bool = True, load: int = 0) -> None:
    lease: Any = SimpleNamespace(ttl=10.0, valid=valid, reachable=reachable)
    slots: Any = SimpleNamespace(load=load)
    row.update(lease, slots)


def test_a_process_is_on_the_board_from_its_claim_to_its_end() -> None:
    board = Board()
    row = board.free_row()
    assert board.states() == [], "a row that the child has not taken yet is nobody's"

    row.claim(4711, "web-1~0a1b2c3d")
    [state] = board.states()
    assert (state.pid, state.name, state.stopping, state.done) == (4711, "web-1~0a1b2c3d", False, False)

    row.clear()
    assert board.states() == []


def test_no_row_is_given_twice() -> None:
    board = Board()

    numbers = {board.free_row().number for _ in range(ROWS)}

    assert numbers == set(range(ROWS))
    with pytest.raises(RuntimeError, match=f"more than {ROWS} worker processes"):
        board.free_row()


def test_a_row_that_was_cleared_is_free_again() -> None:
    board = Board()
    rows = [board.free_row() for _ in range(3)]

    rows[1].clear()

    assert board.free_row().number == rows[1].number


def test_lease_and_load_are_shown() -> None:
    row = Board().free_row()
    row.claim(1, "w")

    held(row, load=7)
    state = row.read()
    assert (state.load, state.reachable) == (7, True)
    assert 9.0 < state.lease_until - time.monotonic() <= 10.0

    held(row, valid=False, reachable=False)
    assert (row.read().lease_until, row.read().reachable) == (0.0, False)


def test_the_loop_that_has_not_beaten_for_longest_is_named() -> None:
    row = Board().free_row()
    row.claim(1, "w")
    now = time.monotonic()
    for loop in LOOPS:
        row.beat(loop, now - (30 if loop == "settle" else 1))

    loop, age = row.read().oldest_beat(now)

    assert (loop, round(age)) == ("settle", 30)


def test_a_beat_of_a_loop_that_is_not_on_the_board_changes_nothing() -> None:
    row = Board().free_row()
    row.claim(1, "w")
    before = row.read().beats

    row.beat("another", 0.0)

    assert row.read().beats == before


def test_a_process_that_stops_and_one_that_is_done_are_told_apart() -> None:
    row = Board().free_row()
    row.claim(1, "w")

    row.retire()
    assert (row.read().stopping, row.read().done) == (True, False)

    row.finish()
    assert (row.read().stopping, row.read().done) == (True, True)


@pytest.mark.parametrize("name", ["n" * 200, "é" * 100], ids=["ascii", "utf-8"])
def test_a_name_that_is_too_long_is_cut_and_can_still_be_read(name: str) -> None:
    row = Board().free_row()

    row.claim(1, name)

    assert name.startswith(row.read().name)
    assert len(row.read().name.encode()) > 120


def test_a_child_writes_what_its_parent_reads() -> None:
    board = Board()
    row = board.free_row()

    # Not gevent's: its waitpid may miss the end of a child that is as quick as this one.
    child = monkey.get_original("os", "fork")()
    if child == 0:
        row.claim(os.getpid(), "child")
        os._exit(0)
    monkey.get_original("os", "waitpid")(child, 0)

    assert [(state.pid, state.name) for state in board.states()] == [(child, "child")]
