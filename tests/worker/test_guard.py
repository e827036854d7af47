"""The guard sees a hub that stands still and a loop that does not move, and says who it is."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from buraq.app import Buraq
from buraq.config import Config
from buraq.log import configure
from buraq.worker.board import Board, Row
from buraq.worker.executor import run_task
from buraq.worker.guard import BLOCKED_AFTER, LOOK_EVERY, Follower, Guard
from buraq.worker.loop import Loop
from buraq.worker.reports import Reports
from buraq.worker.worker import Worker
from tests.worker.parts import PATIENT, delivery_of, raw_task, read


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A guard with a clock of its own, a row, and loops that move when they are told to."""

    def __init__(self, *loops: Loop, max_blocked: float = 60.0) -> None:
        self.clock = Clock()
        self.row: Row = Board().free_row()
        self.loops = loops
        for loop in loops:
            loop.beat = self.clock.now
        self.guard = Guard(Reports("w~1"), max_blocked, self.clock, lambda: self.loops, self.row)
        self.guard.begin()

    def pass_by(self, seconds: float, *, turning: bool = True, moving: tuple[Loop, ...] = ()) -> None:
        """Let time pass in steps of a tenth of a second; the guard looks at the end of each."""
        for _ in range(round(seconds * 10)):
            self.clock.now += 0.1
            if turning:
                self.guard.turn()
            for loop in moving:
                loop.beat = self.clock.now
            self.guard.look()


class Named(Loop):
    def __init__(self, name: str, interval: float = 0.0, waits: float = 0.0) -> None:
        super().__init__()
        self.name, self.interval, self.waits = name, interval, waits


def as_task(function: Callable[[], Any], task_type: str = "burner", task_id: str = "guilty") -> None:
    """Run a function as a slot runs a task."""
    app = Buraq()
    delivery = read(delivery_of(raw_task(task_id, task_type)))
    run_task(delivery, app, app.task(name=task_type)(function), {})


def logged(watched: Watched, caplog: pytest.LogCaptureFixture) -> list[Any]:
    caplog.clear()
    watched.guard.reports.log()
    return caplog.records


@pytest.fixture
def json_lines() -> Iterator[None]:
    """The log as JSON, as in production."""
    root = logging.getLogger()
    level, handler = root.level, configure("json", "info")
    yield
    root.removeHandler(handler)
    root.setLevel(level)


def cry(capfd: pytest.CaptureFixture[str]) -> str:
    """Return the line that the guard writes to stderr by itself, when it has."""
    said = ""
    with gevent.Timeout(PATIENT):
        while "\n" not in said:
            gevent.sleep(0.01)
            said += capfd.readouterr().err
    return said


# -- the hub


def test_a_hub_that_turns_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()

    watched.pass_by(5)

    assert logged(watched, caplog) == []
    assert list(watched.guard.blocks()) == []
    assert watched.row.read().blocked_by == ""


def test_a_task_that_holds_the_hub_for_a_quarter_of_a_second_is_named_with_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched()

    def hot() -> None:
        watched.pass_by(0.2, turning=False)
        assert logged(watched, caplog) == []
        watched.pass_by(0.1, turning=False)

    as_task(hot)

    [said] = logged(watched, caplog)
    assert (said.levelno, said.getMessage()) == (logging.WARNING, "hub blocked: nothing else runs in this process")
    assert (said.task_type, said.task_id, said.worker) == ("burner", "guilty", "w~1")
    assert "test_guard.py:" in said.at
    assert said.seconds == pytest.approx(0.3)
    state = watched.row.read()
    assert (state.blocked_by, round(state.blocked, 1)) == ("burner", 0.3)


def test_a_type_is_named_once_a_minute_and_another_one_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()

    def hot() -> None:
        watched.pass_by(4, turning=False)

    for _ in range(3):
        as_task(hot)
        watched.pass_by(1)
    as_task(hot, "another")
    assert [said.task_type for said in logged(watched, caplog)] == ["burner", "another"]

    watched.pass_by(60)
    as_task(hot)
    assert [said.task_type for said in logged(watched, caplog)] == ["burner"]


def test_how_long_each_block_was_is_counted_by_type_when_it_is_over() -> None:
    watched = Watched()
    as_task(lambda: watched.pass_by(3, turning=False))
    assert list(watched.guard.blocks()) == []

    watched.guard.turn()
    watched.pass_by(0.4, turning=False)
    watched.guard.turn()

    (first, long), (second, short) = watched.guard.blocks()
    assert (first, round(long, 1)) == ("burner", 3.0)
    assert (second, round(short, 1)) == ("none", 0.4)
    assert list(watched.guard.blocks()) == []


def test_a_block_that_the_thread_did_not_see_is_counted_as_nobody_s() -> None:
    watched = Watched()
    as_task(lambda: watched.pass_by(1, turning=False))
    watched.guard.turn()
    assert [task_type for task_type, _ in watched.guard.blocks()] == ["burner"]

    watched.clock.now += 2  # C code that does not let go of the interpreter stops the thread as well
    watched.guard.turn()

    assert list(watched.guard.blocks()) == [("none", 2.0)]


def test_the_next_look_is_due_when_the_hub_would_count_as_blocked() -> None:
    watched = Watched()
    assert watched.guard.pause() == LOOK_EVERY

    watched.clock.now += BLOCKED_AFTER - 0.05
    assert watched.guard.pause() == pytest.approx(0.05)

    watched.clock.now += 0.05
    assert watched.guard.pause() == LOOK_EVERY


def test_past_max_blocked_it_gives_up_and_says_so_once_for_each_block(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(max_blocked=2.0)
    for _ in range(2):
        as_task(lambda: watched.pass_by(1.9, turning=False))
        assert not watched.guard.gives_up
        logged(watched, caplog)

        as_task(lambda: watched.pass_by(1, turning=False))
        assert watched.guard.gives_up
        [said] = logged(watched, caplog)
        assert said.getMessage() == "lease let go: the hub has been blocked past MAX_BLOCKED"
        assert (said.levelno, said.task_type, said.max_blocked) == (logging.ERROR, "burner", 2.0)

        watched.guard.turn()
        assert not watched.guard.gives_up


def test_a_hub_that_does_not_turn_again_is_reported_by_the_thread_itself_in_the_format_of_the_log(
    capfd: pytest.CaptureFixture[str], json_lines: None
) -> None:
    watched = Watched()
    as_task(lambda: watched.pass_by(4.9, turning=False))
    assert capfd.readouterr().err == ""

    watched.pass_by(0.2, turning=False)

    said = cry(capfd)
    assert said.startswith("{") and '"event": "hub blocked' in said and '"task_type": "burner"' in said


# -- loops


@pytest.mark.parametrize(("interval", "waits", "allowed"), [(0.0, 0.0, 9), (1.0, 0.0, 9), (0.0, 2.0, 9.5)])
def test_a_loop_that_stands_still_is_named_within_ten_seconds(
    interval: float, waits: float, allowed: float, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, other = Named("fetch", interval, waits), Named("settle")
    watched = Watched(stuck, other)

    watched.pass_by(allowed - 0.2, moving=(other,))
    assert watched.row.read().late_loop == ""
    watched.pass_by(0.4, moving=(other,))

    state = watched.row.read()
    assert (state.late_loop, state.late) == ("fetch", pytest.approx(allowed + 0.2, abs=0.15))
    [said] = logged(watched, caplog)
    assert (said.levelno, said.getMessage(), said.loop) == (logging.ERROR, "loop stands still", "fetch")

    watched.pass_by(0.1, moving=(stuck, other))
    assert watched.row.read().late_loop == ""


@pytest.mark.parametrize(("interval", "waits"), [(300.0, 0.0), (0.0, 300.0)])
def test_a_loop_that_waits_for_minutes_by_design_is_given_its_time(interval: float, waits: float) -> None:
    slow = Named("sweep", interval, waits)
    watched = Watched(slow)

    watched.pass_by(307)
    assert watched.row.read().late_loop == ""
    watched.pass_by(2)
    assert watched.row.read().late_loop == "sweep"


def test_of_two_loops_of_one_name_the_one_that_stands_still_is_seen() -> None:
    first, second = Named("fetch"), Named("fetch")
    watched = Watched(first, second)

    watched.pass_by(10, moving=(second,))

    assert watched.row.read().late_loop == "fetch"


def test_a_loop_that_was_stopped_may_stand_still() -> None:
    stopped = Named("fetch")
    watched = Watched(stopped)
    stopped.stop()

    watched.pass_by(20)

    assert watched.row.read().late_loop == ""


def test_loops_are_not_blamed_for_a_hub_that_is_blocked_nor_right_after_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    loop = Named("fetch")
    watched = Watched(loop)

    watched.pass_by(30, turning=False)
    assert "hub blocked" in cry(capfd)
    assert watched.row.read().late_loop == ""
    watched.pass_by(8)
    assert watched.row.read().late_loop == ""

    watched.pass_by(2)
    assert watched.row.read().late_loop == "fetch"


@pytest.mark.parametrize("name", ["fetch", "settle", "promote", "reclaim", "control"])
def test_a_loop_of_a_worker_that_never_returns_from_its_step_is_on_the_board(
    name: str, app: Buraq, start: Callable[..., Worker], eventually: Callable[..., object]
) -> None:
    row = Board().free_row()
    row.claim(1, "w")
    worker = start(app, row=row)
    [loop] = [loop for loop in worker.loops if loop.name == name]
    stands, go_on = Event(), Event()

    def step() -> None:
        stands.set()
        go_on.wait()
        gevent.sleep(0.01)

    loop.step = step  # type: ignore[method-assign]
    assert stands.wait(PATIENT)
    assert row.read().late_loop == ""
    loop.beat -= loop.patience
    worker.guard.excused -= loop.patience

    eventually(lambda: row.read().late_loop == name)
    go_on.set()
    eventually(lambda: row.read().late_loop == "")


def test_the_loops_of_a_worker_are_seen_within_ten_seconds_with_the_usual_settings(app: Buraq) -> None:
    worker = Worker(app)

    assert {loop.name for loop in worker.loops} == {"fetch", "settle", "promote", "reclaim", "control"}
    assert {loop.name: loop.patience for loop in worker.loops if loop.patience > 10} == {}


def test_a_fetch_that_blocks_for_a_minute_is_given_more(app: Buraq) -> None:
    patient = Buraq(redis_url=app.config.redis_url, block_timeout="60s")

    assert Worker(patient).fetcher.patience == 67.5
    assert Config().block_timeout == 2.0


# --- Several leases -----------------------------------------------------------------------------


def test_of_several_lease_threads_one_looks_and_all_of_them_give_up() -> None:
    watched = Watched(max_blocked=2.0)
    ends = [(0.0, False)] * 2
    first, second = Follower(watched.guard, 0, ends), Follower(watched.guard, 1, ends)
    watched.clock.now += 3.0
    second.look()
    assert (watched.row.read().blocked, second.gives_up) == (0.0, True)
    first.look()
    assert (watched.row.read().blocked, first.gives_up) == (3.0, True)


def test_of_several_leases_the_row_shows_the_one_that_ends_first() -> None:
    watched = Watched()
    ends = [(0.0, False)] * 2
    first, second = Follower(watched.guard, 0, ends), Follower(watched.guard, 1, ends)
    first.renewed(1010.0, True)
    assert (watched.row.read().lease_until, watched.row.read().reachable) == (0.0, False)
    second.renewed(1008.0, True)
    assert (watched.row.read().lease_until, watched.row.read().reachable) == (1008.0, True)
    second.renewed(1008.0, False)
    assert (watched.row.read().lease_until, watched.row.read().reachable) == (1008.0, False)
