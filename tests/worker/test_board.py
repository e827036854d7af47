"""The board: what the processes of one group know of each other, in memory shared before the fork."""

import os
import time

import pytest
from gevent import monkey

from buraq.worker.board import RELIEVED, ROWS, SUCCESSOR_MADE, Board


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


def test_a_process_that_is_being_replaced_leaves_its_place_to_its_successor() -> None:
    board = Board()
    old, other = board.free_row(), board.free_row()
    assert [row.read().place for row in (old, other)] == [0, 1]

    old.relieve(SUCCESSOR_MADE)
    successor = board.free_row()
    assert (successor.number, successor.read().place) == (2, 0)
    other.clear()
    assert board.free_row().read().place == 1, "the next one is nobody's successor"


def test_a_process_asks_to_be_replaced_and_hears_how_far_that_is() -> None:
    row = Board().free_row()
    row.claim(1, "w")
    assert (row.read().limit, row.read().relief) == ("", 0)

    row.reach("max_memory_mb")
    row.relieve(RELIEVED)

    assert (row.read().limit, row.read().relief) == ("max_memory_mb", RELIEVED)


def test_the_lease_is_shown() -> None:
    row = Board().free_row()
    row.claim(1, "w")
    assert (row.read().lease_until, row.read().reachable) == (0.0, False)

    row.held(1234.5, True)

    assert (row.read().lease_until, row.read().reachable) == (1234.5, True)


def test_what_the_guard_saw_is_shown() -> None:
    row = Board().free_row()
    before = time.monotonic()
    row.claim(1, "w")
    assert before <= row.read().looked <= time.monotonic(), "it has not had the time yet"

    row.watched(100.0, 12.5, "t" * 70, 30.0, "reclaim")

    state = row.read()
    assert (state.looked, state.blocked, state.blocked_by) == (100.0, 12.5, "t" * 64)
    assert (state.late, state.late_loop) == (30.0, "reclaim")


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
