"""Children of a worker: who runs in whose company, whom a death is blamed on, and how they come and go."""

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
import ujson

from buraq.config import Config
from buraq.task import COMPLETED, Completed, Dead, Outcome, Released
from buraq.worker import children as module
from buraq.worker.children import Children, cohort_of
from buraq.worker.sandbox import Origin
from tests.servers import Server, eventually
from tests.worker import child_app
from tests.worker.parts import PATIENT, delivery_of, raw_task, task_of

queue = child_app.queue
LONG = 3 * PATIENT  # for several processes, one after the other


class House:
    """The children of one worker, and greenlets that wait for their tasks, as slots do."""

    def __init__(self, target: str = "tests.worker.child_app:queue", processes: int = 1) -> None:
        self.stopping = False
        self.children = Children(queue, Origin(target), processes, lambda: self.stopping)
        self._ids = count()

    def give(self, name: str, letter: str = "s", **payload: Any) -> "gevent.Greenlet[..., Outcome]":
        """Have a task run; the greenlet's value is its outcome."""
        return gevent.spawn(self.run, name, letter, payload)

    def run(self, name: str, letter: str, payload: dict[str, Any]) -> Outcome:
        function = queue.registry[name]
        delivery = delivery_of(raw_task(f"t{next(self._ids)}", name, payload=payload), letter=letter)
        task = task_of(delivery)
        task.timeout, task.worker_id = function.timeout, "w~00000001-0"
        task.max_retries = 0
        return self.children.run(delivery, task, function)

    def pids(self) -> set[int]:
        return {sandbox.pid for sandbox in self.children._sandboxes if not sandbox.gone}


@pytest.fixture(autouse=True)
def settings(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", server.url)
    queue.use(Config.from_env({}, redis_url=server.url, timeout_grace=0.3))


@pytest.fixture
def house() -> Iterator[Callable[..., House]]:
    built: list[House] = []

    def build(*args: Any, **options: Any) -> House:
        built.append(House(*args, **options))
        return built[-1]

    yield build
    for one in built:
        one.stopping = True
        one.children.close()
        assert one.pids() == set()


def result_of(outcome: object) -> Any:
    assert isinstance(outcome, Completed), outcome
    return ujson.loads(outcome.result)


# -- suspects


def test_a_cohort_that_dies_runs_one_by_one_and_only_the_guilty_one_is_buried(
    house: Callable[..., House], tmp_path: Path
) -> None:
    home = house()
    innocents = [home.give("innocent", folder=str(tmp_path), who=f"{n}") for n in range(5)]
    guilty = home.give("guilty", folder=str(tmp_path), neighbours=5)

    outcomes = [result_of(one.get(timeout=LONG)) for one in innocents]
    assert [companions for _, companions in outcomes] == [1] * 5, "each ran alone"
    death = guilty.get(timeout=LONG)
    assert isinstance(death, Dead)
    assert death.reason == "crashed"
    assert death.error.startswith("Crashed: the process that ran the task ended with signal SIGABRT; its peak memory")
    assert "child_app.py" in death.traceback
    assert "in guilty" in death.traceback
    assert "sandbox.py" not in death.traceback, "where it was noticed says nothing"


def test_suspects_run_in_one_process_together(house: Callable[..., House], tmp_path: Path) -> None:
    home = house()
    tasks = [home.give("innocent", folder=str(tmp_path), who=f"{n}") for n in range(5)]

    eventually(lambda: len(list(tmp_path.glob("here-*"))) == 5)

    assert len(home.pids()) == 1
    gevent.killall(tasks, timeout=PATIENT)


def test_what_an_earlier_suspect_left_behind_is_not_blamed_on_the_next_one(
    house: Callable[..., House], tmp_path: Path
) -> None:
    home = house()
    breaker = home.give("leaves_something_behind", folder=str(tmp_path))
    innocent = home.give("innocent", folder=str(tmp_path), who="a")
    guilty = home.give("guilty", folder=str(tmp_path), neighbours=2)

    assert breaker.get(timeout=LONG) == COMPLETED
    assert result_of(innocent.get(timeout=LONG))[1] == 1
    assert guilty.get(timeout=LONG).reason == "crashed"


def test_one_that_ignores_its_timeout_is_killed_and_its_neighbours_complete(
    house: Callable[..., House], tmp_path: Path
) -> None:
    home = house()
    innocents = [home.give("innocent", folder=str(tmp_path), who=f"{n}") for n in range(2)]
    burning = home.give("never_lets_go", folder=str(tmp_path), neighbours=2)

    assert [result_of(one.get(timeout=LONG))[1] for one in innocents] == [1, 1]
    outcome = burning.get(timeout=LONG)
    assert (outcome.reason, outcome.error.partition(",")[0]) == (
        "exhausted",
        "TimedOut: the task ran over its timeout of 0.2s",
    )
    assert "its process was killed" in outcome.error


def test_half_of_the_slots_is_for_suspects() -> None:
    assert [cohort_of(slots) for slots in (1, 4, 10, 100, 1000)] == [1, 2, 5, 32, 32]


# -- tasks that compute


def test_a_process_is_used_again_and_ends_when_it_has_had_nothing_to_do_for_a_while(
    house: Callable[..., House],
) -> None:
    home = house(processes=2)
    both = [home.give("number", letter="n") for _ in range(2)]
    pids = {result_of(one.get(timeout=LONG)) for one in both}
    assert len(pids) == 2
    assert result_of(home.give("number", letter="n").get(timeout=LONG)) in pids

    home.children.tend()
    assert home.pids() == pids
    for sandbox in home.children._sandboxes:
        sandbox.idle_since -= module.IDLE + 1
    home.children.tend()

    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert result_of(home.give("number", letter="n").get(timeout=LONG)) not in pids


def test_a_process_that_has_died_meanwhile_is_not_given_a_task(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    home = house()
    first = result_of(home.give("number", letter="n").get(timeout=LONG))
    os.kill(first, 9)
    eventually(lambda: home.pids() == set())

    assert result_of(home.give("number", letter="n").get(timeout=LONG)) != first
    assert caplog.messages == []


def test_a_crash_says_how_much_memory_there_was(house: Callable[..., House]) -> None:
    outcome = house().give("swell", letter="n", megabytes=200).get(timeout=LONG)

    assert outcome.error.startswith("Crashed: the process that ran the task ended with signal SIGKILL; its peak memory")
    assert 200 < int(outcome.error.split()[-2]) < 400


def test_where_no_child_starts_tasks_wait_and_are_handed_back_in_the_end(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    home = house("tests.worker.nowhere:queue")
    task = home.give("number", letter="n")
    eventually(lambda: "a child process did not start, tasks wait for it" in caplog.messages)
    assert not task.ready()

    home.stopping = True
    assert task.get(timeout=LONG) == Released()
    [record] = [one for one in caplog.records if one.getMessage().startswith("a child process")][:1]
    assert "tests.worker.nowhere" in record.__dict__["error"]


# -- stopping


def test_a_task_that_is_ended_may_clean_up_and_is_handed_back(house: Callable[..., House], tmp_path: Path) -> None:
    home = house()
    task = home.give("clean_up", letter="n", folder=str(tmp_path))
    eventually(lambda: (tmp_path / "here-clean").exists())

    home.stopping = True
    task.kill(timeout=PATIENT)

    assert task.value == Released()
    assert (tmp_path / "cleaned").exists()


def test_a_timeout_that_an_earlier_task_of_the_slot_left_behind_does_no_harm(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    home = house()

    def slot() -> Outcome:
        gevent.Timeout.start_new(0.01)
        return home.run("number", "n", {})

    assert result_of(gevent.spawn(slot).get(timeout=LONG)) > 0
    assert "a task left behind what went off after its end" in caplog.messages


# -- what the worker hears


def test_log_lines_of_a_child_arrive_with_their_task_their_facts_and_their_traceback(
    house: Callable[..., House], caplog: pytest.LogCaptureFixture
) -> None:
    home = house()
    with caplog.at_level(logging.INFO):
        assert home.give("say", letter="n").get(timeout=LONG) == COMPLETED

    [record] = [one for one in caplog.records if one.name == "shop"]
    facts = record.__dict__
    assert (record.levelname, record.getMessage()) == ("ERROR", "it broke")
    assert (facts["task_id"], facts["task_type"], facts["attempt"]) == ("t0", "say", 1)
    assert facts["worker_id"] == "w~00000001-0"
    assert facts["where"] == "/somewhere"
    assert record.exc_text is not None
    assert "ValueError: half a pair" in record.exc_text


@pytest.mark.parametrize("closed", [False, True])
def test_a_filter_that_breaks_on_a_line_of_a_child_costs_no_task_nor_does_a_standard_error_that_is_gone(
    house: Callable[..., House], closed: bool
) -> None:
    def broken(record: logging.LogRecord) -> bool:
        raise RuntimeError("a filter of the user's")

    error = io.StringIO()
    if closed:
        error.close()
    logging.getLogger("shop").addFilter(broken)
    try:
        with contextlib.redirect_stderr(error):
            assert house().give("say", letter="n").get(timeout=LONG) == COMPLETED
    finally:
        logging.getLogger("shop").removeFilter(broken)
    assert closed or "a filter of the user's" in error.getvalue()
