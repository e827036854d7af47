"""A process that has reached a limit is replaced: it works until its successor does."""

import time
from types import SimpleNamespace

import pytest

from buraq.worker.board import RELIEVED, SUCCESSOR_MADE, Board, Row
from buraq.worker.handover import Handover


class Group:
    """The arbiter's view of a group: processes that it forks, and those that it is told of on the board."""

    def __init__(self, processes: int) -> None:
        self.board = Board()
        self.wanted = processes
        self.workers: dict[int, SimpleNamespace] = {}
        self._handover = Handover()
        for _ in range(processes):
            self.consumes(self.fork())

    def fork(self) -> int:
        pid = 100 + len(self.workers)
        self.workers[pid] = SimpleNamespace(row=self.board.free_row())
        return pid

    def row(self, pid: int) -> Row:
        return self.workers[pid].row  # type: ignore[no-any-return]

    def consumes(self, pid: int) -> None:
        self.row(pid).claim(pid, f"w{pid}")
        self.row(pid).held(time.monotonic() + 10, True)

    def ends(self, pid: int) -> None:
        self.workers.pop(pid).row.clear()

    def step(self) -> int:
        return self._handover.step(self.workers, self.wanted)

    def reliefs(self) -> list[int]:
        return [self.row(pid).read().relief for pid in self.workers]


def test_nobody_is_replaced_who_does_not_ask() -> None:
    group = Group(2)

    assert group.step() == 0
    assert group.reliefs() == [0, 0]


def test_one_that_asks_is_relieved_when_its_successor_consumes_and_not_before() -> None:
    group = Group(1)
    group.row(100).reach("MAX_TASKS")

    assert group.step() == 1, "one more may live"
    assert group.reliefs() == [SUCCESSOR_MADE]
    successor = group.fork()
    assert group.row(successor).read().place == 0
    assert group.step() == 1
    assert group.reliefs() == [SUCCESSOR_MADE, 0]

    group.consumes(successor)
    assert group.step() == 1
    assert group.reliefs() == [RELIEVED, 0]
    group.ends(100)
    assert group.step() == 0


@pytest.mark.parametrize("trouble", ["no lease", "away", "stopping"])
def test_a_successor_that_does_not_consume_relieves_nobody(trouble: str) -> None:
    group = Group(1)
    group.row(100).reach("MAX_TASKS")
    group.step()
    successor = group.fork()
    group.consumes(successor)
    if trouble == "stopping":
        group.row(successor).retire()
    else:
        group.row(successor).held(time.monotonic() + (10 if trouble == "away" else -1), trouble != "away")

    group.step()

    assert group.reliefs() == [SUCCESSOR_MADE, 0]


def test_a_successor_that_dies_is_followed_by_another_in_the_same_place() -> None:
    group = Group(2)
    group.row(101).reach("MAX_TASKS")
    group.step()
    first = group.fork()
    group.ends(first)

    assert group.step() == 1
    second = group.fork()
    assert group.row(second).read().place == 1
    group.consumes(second)
    group.step()
    assert group.reliefs() == [0, RELIEVED, 0]


def test_of_several_that_ask_at_once_one_after_the_other_is_replaced() -> None:
    group = Group(3)
    for pid in (100, 101, 102):
        group.row(pid).reach("MAX_MEMORY_MB")

    assert (group.step(), group.step()) == (1, 1)
    assert group.reliefs() == [SUCCESSOR_MADE, 0, 0]
    group.consumes(group.fork())
    group.step()
    assert group.step() == 2
    assert group.reliefs() == [RELIEVED, SUCCESSOR_MADE, 0, 0]


def test_while_as_many_as_there_should_be_are_on_their_way_out_those_that_ask_work_on() -> None:
    group = Group(1)
    group.row(100).reach("MAX_TASKS")
    group.step()
    successor = group.fork()
    group.consumes(successor)
    group.step()
    group.row(successor).reach("MAX_TASKS")

    assert group.step() == 1
    assert group.reliefs() == [RELIEVED, 0], "the first one runs a task that does not end"

    group.ends(100)
    assert group.step() == 1
    assert group.reliefs() == [SUCCESSOR_MADE]


def test_one_that_stops_by_itself_is_not_replaced() -> None:
    group = Group(1)
    group.row(100).reach("MAX_TASKS")
    group.row(100).finish()

    assert group.step() == 0
    assert group.reliefs() == [0]
