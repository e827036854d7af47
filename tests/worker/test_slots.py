"""Slots run task code, whatever it does, and give each delivery its outcome, once."""

import contextvars
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
import ujson
from gevent.event import Event
from redis import Redis

from buraq.app import Buraq
from buraq.errors import Reject, Retry, Snooze
from buraq.log import TaskFilter
from buraq.scripts import load
from buraq.task import (
    Completed,
    Dead,
    Delivery,
    Duplicate,
    Outcome,
    Released,
    Retried,
    Task,
    current_task,
    running_task,
)
from buraq.worker import slots
from buraq.worker.slots import Slots
from tests.proxy import Proxy
from tests.worker.parts import LONG, PATIENT, Ends, delivery_of, raw_task


class House:
    """Slots without a server: what they are given is made by hand, what ends is in `ends`."""

    def __init__(self, app: Buraq, concurrency: int = 10, **options: Any) -> None:
        self.app = app
        self.ends = Ends()
        self.started: list[str] = []
        self.panics = 0
        self.freed = 0
        self.elsewhere = False
        self.lease: Any = SimpleNamespace(name="w~00000001", epoch=0, until=math.inf)
        self.slots = Slots(
            app,
            self.lease,
            concurrency,
            ended=self.ends.add,
            started=self._started,
            room=self._room,
            known_elsewhere=lambda delivery: self.elsewhere,
            panicked=self._panicked,
            **options,
        )
        self._entries = 0

    def _started(self, delivery: Delivery, slot: int) -> None:
        assert delivery.task is not None
        self.started.append(delivery.task.id)

    def _room(self) -> None:
        self.freed += 1

    def _panicked(self) -> None:
        self.panics += 1

    def give(self, task_id: str, task_type: str = "t", letter: str = "n", **members: Any) -> Delivery:
        self._entries += 1
        entry = f"{self._entries}-0".encode()
        delivery = delivery_of(raw_task(task_id, task_type, **members), entry=entry, letter=letter)
        self.slots.dispatch([delivery])
        return delivery

    def run(self, function: Callable[..., Any], *, options: dict[str, Any] | None = None, **members: Any) -> Outcome:
        """Register a function, run it once as a task and return its outcome."""
        name = f"f{len(self.app.registry)}"
        self.app.task(name=name, **(options or {}))(function)
        self.give(name, name, **members)
        delivery, outcome = self.ends.next()
        assert delivery.task is not None
        assert delivery.task.id == name
        return outcome

    def next(self, count: int) -> dict[str, Outcome]:
        """Return the next outcomes by task id."""
        found = {}
        for _ in range(count):
            delivery, outcome = self.ends.next()
            assert delivery.task is not None
            found[delivery.task.id] = outcome
        return found


@pytest.fixture
def house() -> Iterator[House]:
    house = House(Buraq(retry_backoff="0s"))
    yield house
    house.slots.stop()
    house.slots.kill()
    assert house.ends.empty(), "no delivery ends twice"


def error_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Retried | Dead), outcome
    return outcome.error


# -- what a run ends in


def test_a_task_that_returns_is_completed(house: House) -> None:
    got = []

    assert house.run(lambda a, b: got.append((a, b)), payload={"b": 2, "a": "x"}) == Completed()

    assert got == [("x", 2)]
    assert house.slots.load == house.slots.busy == 0
    assert house.freed == 1


def test_a_delivery_says_when_it_started_and_how_long_it_took(house: House) -> None:
    house.app.task(name="t")(lambda: gevent.sleep(0.02))
    began = time.monotonic()
    delivery = house.give("t1")
    house.ends.next()

    assert began <= delivery.started <= time.monotonic()
    assert 0.02 <= delivery.took < PATIENT


def exit_(code: object = None) -> None:
    sys.exit(code)


def raise_(error: BaseException) -> Callable[[], None]:
    def task() -> None:
        raise error

    return task


@pytest.mark.parametrize(
    ("task", "error"),
    [
        (raise_(ValueError("no")), "ValueError: no"),
        (exit_, "SystemExit"),
        (raise_(SystemExit(3)), "SystemExit: 3"),
        (raise_(BaseException("bare")), "BaseException: bare"),
        (raise_(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raise_(GeneratorExit()), "GeneratorExit"),
        (raise_(gevent.GreenletExit("mine")), "GreenletExit: mine"),
        (raise_(gevent.Timeout(7)), "Timeout: 7 seconds"),
        (raise_(StopIteration()), "StopIteration"),
        (raise_(MemoryError()), "MemoryError"),
    ],
)
def test_whatever_a_task_raises_is_a_failed_attempt(house: House, task: Callable[[], None], error: str) -> None:
    outcome = house.run(task)

    assert isinstance(outcome, Retried)
    assert (outcome.charged, outcome.error) == (True, error)
    assert ujson.loads(outcome.payload)["current_retries"] == 1
    assert house.panics == 0
    assert house.run(lambda: None) == Completed(), "the slot goes on"


def test_a_task_that_recurses_for_ever_fails(house: House) -> None:
    def deeper(n: int = 0) -> None:
        deeper(n + 1)

    assert error_of(house.run(deeper)).startswith("RecursionError")


def test_arguments_that_do_not_fit_are_a_failed_attempt(house: House) -> None:
    def task(user_id: int) -> None: ...

    assert error_of(house.run(task, payload={"nobody": 1})).startswith("TypeError")


@pytest.mark.parametrize(
    ("error", "outcome", "charged"),
    [
        (Retry(after=5), "retry after 5s", True),
        (Snooze(5), "", False),
    ],
)
def test_a_task_steers_its_outcome(house: House, error: Exception, outcome: str, charged: bool) -> None:
    ended = house.run(raise_(error))

    assert isinstance(ended, Retried)
    assert ended.delay_ms == 5000
    assert ended.charged is charged
    assert outcome in ended.error


def test_a_task_rejects_itself(house: House) -> None:
    assert house.run(raise_(Reject("no such user"))) == Dead("rejected", "no such user")


def test_the_policy_of_the_task_function_holds(house: House) -> None:
    outcome = house.run(raise_(ValueError("bug")), options={"dont_retry_on": ValueError})
    assert isinstance(outcome, Dead)
    assert outcome.reason == "not_retryable"

    outcome = house.run(raise_(ValueError("later")), options={"backoff": lambda attempt: 10 * attempt})
    assert isinstance(outcome, Retried)
    assert outcome.delay_ms == 10_000


def test_a_dead_letter_shows_the_frames_of_the_user_and_not_ours(house: House) -> None:
    def inner() -> None:
        raise ValueError("deep down")

    def task() -> None:
        inner()

    outcome = house.run(task, max_retries=0)

    assert isinstance(outcome, Dead)
    assert "in task" in outcome.traceback
    assert "in inner" in outcome.traceback
    assert "buraq/worker" not in outcome.traceback


def test_a_dead_letter_of_a_task_in_an_app_context_shows_no_frames_of_ours(house: House) -> None:
    house.app.contexts.append(nullcontext)

    outcome = house.run(raise_(ValueError("no")), max_retries=0)

    assert isinstance(outcome, Dead)
    assert "in task" in outcome.traceback
    assert "buraq/worker" not in outcome.traceback


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("cannot be shown")


@pytest.mark.parametrize("retries", [0, 3])
def test_an_error_that_cannot_be_shown_is_a_failed_attempt(house: House, retries: int) -> None:
    assert error_of(house.run(raise_(Silent()), max_retries=retries)) == "Silent"
    assert house.panics == 0


def leave() -> float:
    raise SystemExit


@pytest.mark.parametrize(
    "backoff", [lambda attempt: 1 / 0, lambda attempt: "soon", lambda attempt: leave(), lambda attempt: float("inf")]
)
def test_a_backoff_that_breaks_buries_the_task_and_says_so(house: House, backoff: Callable[[int], Any]) -> None:
    outcome = house.run(raise_(ValueError("no")), options={"backoff": backoff})

    assert isinstance(outcome, Dead | Retried)
    assert outcome.error.startswith("ValueError: no")
    assert house.panics == 0


# -- timeouts


def test_a_task_over_its_timeout_fails(house: House) -> None:
    outcome = house.run(lambda: gevent.sleep(LONG), timeout=50_000_000)

    assert error_of(outcome) == "TimedOut: the task ran over its timeout of 0.05s"


def test_a_task_that_swallows_its_timeout_fails_all_the_same(house: House) -> None:
    def task() -> str:
        with suppress(BaseException):
            gevent.sleep(PATIENT)
        return "done"

    assert error_of(house.run(task, timeout=50_000_000)).startswith("TimedOut")


def test_a_task_that_goes_on_after_its_timeout_is_told_again() -> None:
    house = House(Buraq(timeout_grace=0.02))
    told = 0

    def task() -> None:
        nonlocal told
        for _ in range(3):
            try:
                gevent.sleep(PATIENT)
            except gevent.Timeout:
                told += 1

    assert error_of(house.run(task, timeout=20_000_000)) == "TimedOut: the task ran over its timeout of 0.02s"
    assert told == 3
    house.slots.stop()
    house.slots.kill()


def test_a_task_that_turns_its_timeout_into_another_error_fails(house: House) -> None:
    def task() -> None:
        try:
            gevent.sleep(PATIENT)
        except BaseException as error:
            raise ValueError("something else") from error

    assert error_of(house.run(task, timeout=50_000_000)) == "ValueError: something else"


def test_a_timeout_of_the_task_s_own_is_not_taken_for_ours(house: House) -> None:
    def raises() -> None:
        with gevent.Timeout(0.02):
            gevent.sleep(PATIENT)

    def handles() -> None:
        with gevent.Timeout(0.02, False):
            gevent.sleep(PATIENT)

    assert error_of(house.run(raises, timeout=5_000_000_000)) == "Timeout: 0.02 seconds"
    assert house.run(handles, timeout=5_000_000_000) == Completed()


def test_a_task_within_its_timeout_completes_and_the_next_one_in_the_slot_is_left_alone(house: House) -> None:
    house.app.task(name="quick")(lambda: None)
    house.app.task(name="slow")(lambda: gevent.sleep(0.1))
    house.give("a", "quick", timeout=50_000_000)
    house.ends.next()
    house.give("b", "slow")

    assert house.next(1) == {"b": Completed()}


def test_a_traceback_of_a_timeout_says_where_the_task_was(house: House) -> None:
    def waiting_for_a_bank() -> None:
        gevent.sleep(PATIENT)

    outcome = house.run(waiting_for_a_bank, timeout=50_000_000, max_retries=0)

    assert isinstance(outcome, Dead)
    assert "waiting_for_a_bank" in outcome.traceback


def test_a_timeout_that_a_task_left_behind_costs_no_slot() -> None:
    house = House(Buraq(), concurrency=1)

    def careless() -> None:
        gevent.Timeout.start_new(0.01)

    house.app.task(name="careless")(careless)
    house.app.task(name="good")(lambda: None)
    house.give("a", "careless")
    house.next(1)
    gevent.sleep(0.05)  # it goes off in the slot, which waits for the next task

    house.give("b", "good")

    assert house.next(1) == {"b": Completed()}
    house.slots.kill()


def test_a_kill_that_comes_after_its_task_costs_no_slot() -> None:
    house = House(Buraq(), concurrency=1)
    slots: list[gevent.Greenlet] = []
    house.app.task(name="careless")(lambda: slots.append(gevent.getcurrent()))
    house.app.task(name="good")(lambda: None)
    house.give("a", "careless")
    house.next(1)
    slots[0].kill(block=False)
    gevent.idle()

    house.give("b", "good")

    assert house.next(1) == {"b": Completed()}
    house.slots.kill()


# -- neighbours


def test_neighbours_of_a_task_that_fails_in_any_way_are_unaffected(house: House) -> None:
    go = Event()
    house.app.task(name="good")(lambda: go.wait(PATIENT))
    for n in range(5):
        house.give(f"good{n}", "good")
    for error in (ValueError(), SystemExit(), KeyboardInterrupt(), gevent.GreenletExit()):
        house.run(raise_(error))

    go.set()

    assert house.next(5) == {f"good{n}": Completed() for n in range(5)}


def test_each_task_has_a_fresh_context(house: House) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")
    seen = []

    def task() -> None:
        seen.append(var.get())
        var.set("mine")
        gevent.idle()
        assert var.get() == "mine"

    house.slots.concurrency = 1
    for _ in range(3):
        assert house.run(task) == Completed()

    assert seen == ["unset"] * 3
    assert var.get() == "unset"


def test_current_task_is_the_task_that_runs(house: House) -> None:
    seen = {}

    def task(n: int) -> None:
        gevent.sleep(0.001 * (5 - n))
        seen[current_task().id] = (n, current_task().attempt)

    house.app.task(name="t")(task)
    for n in range(5):
        house.give(f"t{n}", payload={"n": n}, current_retries=n)
    house.next(5)

    assert seen == {f"t{n}": (n, n + 1) for n in range(5)}
    with pytest.raises(LookupError):
        current_task()


def test_lines_that_a_task_logs_say_whose_they_are(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(log_filter := TaskFilter())

    def task() -> None:
        logging.getLogger("users.own").warning("hello")

    house.run(task, current_retries=2)
    caplog.handler.removeFilter(log_filter)

    [record] = [record for record in caplog.records if record.name == "users.own"]
    assert (record.task_id, record.task_type, record.attempt) == ("f0", "f0", 3)  # type: ignore[attr-defined]
    assert record.worker_id == "w~00000001-0"  # type: ignore[attr-defined]


def test_a_task_runs_inside_what_the_app_wraps_it_in(house: House) -> None:
    steps = []

    @contextmanager
    def context() -> Iterator[None]:
        steps.append("in")
        yield
        steps.append("out")

    house.app.contexts.append(context)

    house.run(lambda: steps.append("run"))

    assert steps == ["in", "run", "out"]


def test_a_context_that_breaks_is_a_failed_attempt(house: House) -> None:
    house.app.contexts.append(lambda: 1 / 0)  # type: ignore[arg-type,return-value]

    assert error_of(house.run(lambda: None)).startswith("ZeroDivisionError")


# -- results


def test_what_a_task_returns_is_kept_where_it_asks_for_it(house: House) -> None:
    outcome = house.run(lambda: {"n": [1, "é/"]}, options={"keep_result": True})

    assert isinstance(outcome, Completed)
    assert ujson.loads(outcome.result or b"") == {"n": [1, "é/"]}
    assert outcome.ttl_ms == 3_600_000
    assert house.run(lambda: 1) == Completed()
    nothing = house.run(lambda: None, options={"keep_result": True})
    assert isinstance(nothing, Completed)
    assert nothing.result == b"null"


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("result", [object(), {1, 2}, float("nan"), b"\xff", "\ud800", endless()])
def test_a_result_that_is_not_json_is_not_kept_and_the_task_is_completed(house: House, result: object) -> None:
    assert house.run(lambda: result, options={"keep_result": True}) == Completed()
    assert house.panics == 0


# -- concurrency


class Gate:
    """A task that waits until it is let through, and knows how many of it run at once."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.most = 0
        self.open = Event()
        self.came = threading.Semaphore(0)

    def __call__(self) -> None:
        self.running.append(current_task().id)
        self.most = max(self.most, len(self.running))
        self.came.release()
        assert self.open.wait(PATIENT)
        gevent.idle()
        self.running.remove(current_task().id)


def test_no_more_of_a_type_run_than_its_concurrency_and_none_is_lost(house: House) -> None:
    gate = Gate()
    house.app.task(name="narrow", concurrency=2)(lambda: gate())
    for n in range(8):
        house.give(f"t{n}", "narrow")

    put_off = house.next(4)
    assert {outcome.charged for outcome in put_off.values() if isinstance(outcome, Retried)} == {False}
    assert len(gate.running) == 2
    assert house.slots.load == 2, "what is held occupies no slot"
    assert house.slots.waiting == 2
    gate.open.set()
    done = house.next(4)

    assert gate.most == 2
    assert set(done.values()) == {Completed()}
    assert put_off.keys() | done.keys() == {f"t{n}" for n in range(8)}
    assert house.slots.waiting == house.slots.load == 0


def test_a_type_at_its_limit_keeps_no_slot_from_others(house: House) -> None:
    gate = Gate()
    house.app.task(name="narrow", concurrency=1)(lambda: gate())
    house.app.task(name="wide")(lambda: None)
    for n in range(20):
        house.give(f"narrow{n}", "narrow")
    house.next(18)

    for n in range(10):
        house.give(f"wide{n}", "wide")

    assert house.next(10) == {f"wide{n}": Completed() for n in range(10)}
    gate.open.set()
    house.next(2)


def test_tasks_of_a_limited_type_that_fail_let_the_next_ones_in(house: House) -> None:
    def task() -> None:
        gevent.idle()
        raise SystemExit

    house.app.task(name="narrow", concurrency=1)(task)
    for n in range(2):
        house.give(f"t{n}", "narrow")

    assert {error_of(outcome) for outcome in house.next(2).values()} == {"SystemExit"}
    assert house.slots._running["narrow"] == 0


def test_what_is_held_is_handed_back_when_the_slots_stop(house: House) -> None:
    gate = Gate()
    house.app.task(name="narrow", concurrency=1)(lambda: gate())
    for n in range(2):
        house.give(f"t{n}", "narrow")
    assert gate.came.acquire(timeout=PATIENT)

    house.slots.stop()

    assert house.next(1) == {"t1": Released()}
    gate.open.set()
    assert house.next(1) == {"t0": Completed()}


# -- what runs in a child


class Nursery(House):
    """Slots with two processes for what computes, and a gate in place of the children."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.sent: list[str] = []
        super().__init__(Buraq(retry_backoff="0s"), run_in_child=self._run_in_child, cpu_processes=2)
        self.app.task(name="t")(lambda: None)
        for name in ("compute", "compute_too"):
            self.app.task(name=name, pool="process")(lambda: None)
        self.app.task(name="narrow", pool="process", concurrency=1)(lambda: None)

    def _run_in_child(self, delivery: Delivery, task: Task, function: object) -> Outcome:
        self.sent.append(task.id)
        running_task.set(task)
        self.gate()
        return Completed()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.slots.stop()
    nursery.slots.kill()
    assert nursery.ends.empty(), "no delivery ends twice"


def test_suspects_and_what_computes_run_in_children_and_all_else_here(nursery: Nursery) -> None:
    nursery.gate.open.set()
    nursery.give("plain")
    nursery.give("suspect", letter="s")
    nursery.give("computing", "compute")

    assert nursery.next(3) == dict.fromkeys(["plain", "suspect", "computing"], Completed())
    assert nursery.sent == ["suspect", "computing"]


def test_no_more_compute_at_once_than_there_are_processes_whatever_their_types(nursery: Nursery) -> None:
    for n in range(4):
        nursery.give(f"t{n}", "compute" if n % 2 else "compute_too")
    nursery.give("last", "compute")

    [(name, outcome)] = nursery.next(1).items()
    assert (name, outcome.charged) == ("last", False)  # type: ignore[union-attr]
    assert (nursery.slots.load, nursery.slots.waiting) == (2, 2)
    nursery.gate.open.set()
    assert nursery.next(4) == {f"t{n}": Completed() for n in range(4)}
    assert nursery.gate.most == 2
    assert nursery.slots.waiting == nursery.slots.load == 0


def test_a_type_that_computes_may_have_a_limit_of_its_own(nursery: Nursery) -> None:
    for n in range(2):
        nursery.give(f"t{n}", "narrow")
    assert nursery.gate.came.acquire(timeout=PATIENT)

    assert (nursery.slots.load, nursery.slots.waiting) == (1, 1)
    nursery.gate.open.set()
    nursery.next(2)
    assert nursery.gate.most == 1


def test_without_children_what_computes_runs_here(house: House) -> None:
    assert house.run(lambda: None, options={"pool": "process"}) == Completed()


def test_slots_grow_on_demand_up_to_the_concurrency(house: House) -> None:
    gate = Gate()
    house.app.task(name="t")(lambda: gate())
    assert len(house.slots._greenlets) == 0
    for n in range(3):
        house.give(f"t{n}")
    for _ in range(3):
        assert gate.came.acquire(timeout=PATIENT)
    assert (len(house.slots._greenlets), house.slots.free) == (3, 7)
    gate.open.set()
    house.next(3)

    house.give("t3")

    house.next(1)
    assert len(house.slots._greenlets) == 3, "they stay"


def test_tasks_that_wait_for_nothing_are_worked_off_without_a_switch_between_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "_SLICE", 60.0)  # a slow machine must not end it
    seen = []
    house.app.task(name="t")(lambda: seen.append(gevent.getcurrent()))
    for n in range(10):
        house.give(f"t{n}")

    assert list(house.next(10)) == [f"t{n}" for n in range(10)], "in their order"
    assert len(set(seen)) == 1


def test_long_tasks_that_wait_for_nothing_leave_turns_to_the_others(house: House) -> None:
    turns, done = [], []

    def compute() -> None:
        until = time.perf_counter() + 0.01
        while time.perf_counter() < until:
            pass
        done.append(until)

    def other() -> None:
        while True:
            turns.append(len(done))
            gevent.sleep(0)

    house.app.task(name="t")(compute)
    for n in range(4):
        house.give(f"t{n}")
    neighbour = gevent.spawn(other)

    house.next(4)

    neighbour.kill()
    assert {1, 2, 3} & set(turns), "turns between the tasks"


# -- what may not start


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("the lease lapsed and is back", {"epoch": 1}),
        ("the lease is not valid", {"until": 0.0}),
    ],
)
def test_what_was_fetched_and_has_not_started_is_handed_back(house: House, what: str, change: dict[str, Any]) -> None:
    house.app.task(name="t")(lambda: None)
    house.give("t1")
    vars(house.lease).update(change)

    assert house.next(1) == {"t1": Released()}
    assert house.started == []


def test_after_stop_nothing_starts(house: House) -> None:
    house.app.task(name="t")(lambda: None)
    house.give("t1")
    house.slots.stop()

    assert house.next(1) == {"t1": Released()}


def test_an_unknown_type_is_put_off_then_buried(house: House) -> None:
    house.give("t1", "nobody")
    [outcome] = house.next(1).values()
    assert isinstance(outcome, Retried)
    assert not outcome.charged

    house.give("t2", "nobody", put_back=4)
    [outcome] = house.next(1).values()
    assert isinstance(outcome, Dead)
    assert outcome.reason == "unknown_type"

    house.elsewhere = True
    house.give("t3", "nobody", put_back=2)
    [outcome] = house.next(1).values()
    assert isinstance(outcome, Retried)


BIG = b"1" * 4000  # digits; Python reads no more than 4300


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b'"t1"',
        b"1e999",
        b"{}",
        b'{"id":"t1"}',
        b'{"id":"","type":"t"}',
        b'{"id":1,"type":"t"}',
        b'{"id":"t1","type":null}',
        b'{"id":"t1","type":"t","payload":[]}',
        b'{"id":"t1","type":"t","payload":"x"}',
        b'{"id":"t1","type":"t","max_retries":"3"}',
        b'{"id":"t1","type":"t","max_retries":1.5}',
        b'{"id":"t1","type":"t","max_retries":true}',
        b'{"id":"t1","type":"t","current_retries":[]}',
        b'{"id":"t1","type":"t","timeout":"30s"}',
        b'{"id":"t1","type":"t","timeout":NaN}',
        b'{"id":"t1","type":"t","idempotency_key":7}',
        b'{"id":"t1","type":"t","priority":1}',
        b'{"id":"t1","type":"t","payload":' + b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"}",
        b'{"id":"\\ud800","type":"t"}',
        b'{"id":"t1","type":"\\udfff"}',
        b'{"id":"t1","type":"t","idempotency_key":"\\ud800"}',
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_an_entry_that_holds_no_task_is_dead_and_says_why(house: House, raw: bytes | None) -> None:
    house.app.task(name="t")(lambda: None)
    delivery = delivery_of(raw, b"other", b"field")
    house.slots.dispatch([delivery])
    ended, outcome = house.ends.next()

    assert ended is delivery
    assert isinstance(outcome, Dead)
    assert (outcome.reason, bool(outcome.error)) == ("undecodable", True)
    assert delivery.task is None
    assert outcome.error.encode(), "it can be sent"
    assert house.panics == 0


@pytest.mark.parametrize(
    "payload",
    [
        b'{"n":NaN,"i":-Infinity,"e":1e999}',
        b'{"n":' + BIG + b"}",
        b'{"s":"\\ud800"}',
        b'{"\\ud800":1}',
        b'{"n":' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"nul":"\\u0000"}',
    ],
    ids=["nan", "big", "surrogate", "surrogate-key", "deep", "nul"],
)
@pytest.mark.parametrize("task_type", ["unknown", "fails", "fails-for-good", "crowded"])
def test_a_payload_that_is_hard_to_write_again_never_breaks_a_slot(
    house: House, payload: bytes, task_type: str
) -> None:
    gate = Gate()
    house.app.task(name="fails")(lambda **payload: 1 / 0)
    house.app.task(name="fails-for-good", dont_retry_on=Exception)(lambda **payload: 1 / 0)
    house.app.task(name="crowded", concurrency=1)(lambda **payload: gate())
    if task_type == "crowded":
        house.give("a", "crowded")
        house.give("b", "crowded")
        assert gate.came.acquire(timeout=PATIENT)
    raw = b'{"id":"t1","type":"' + task_type.encode() + b'","max_retries":3,"payload":' + payload + b"}"
    house.slots.dispatch([delivery_of(raw, entry=b"99-0")])

    [outcome] = house.next(1).values()

    assert isinstance(outcome, Retried | Dead)
    assert house.panics == 0
    gate.open.set()
    if task_type == "crowded":
        house.next(2)


def test_retry_counts_that_no_machine_number_holds_are_judged(house: House) -> None:
    house.app.task(name="fails")(lambda: 1 / 0)
    raw = b'{"id":"t1","type":"fails","max_retries":' + BIG + b',"current_retries":-' + BIG + b"}"
    house.slots.dispatch([delivery_of(raw)])

    [outcome] = house.next(1).values()

    assert isinstance(outcome, Retried | Dead)
    assert house.panics == 0


# -- a slot breaks


def test_a_slot_that_breaks_hands_its_delivery_back_and_is_there_for_the_next(house: House) -> None:
    house.app.task(name="t")(lambda: None)
    started = house.slots._started
    house.slots._started = lambda delivery, slot: 1 / 0  # type: ignore[assignment,return-value]
    house.give("t1")
    assert house.next(1) == {"t1": Released()}
    house.slots._started = started

    house.give("t2")

    assert house.next(1) == {"t2": Completed()}
    assert house.panics == 1
    assert house.slots.load == house.slots.busy == 0


def test_an_outcome_that_cannot_be_handed_on_is_not_forgotten(house: House) -> None:
    house.app.task(name="t")(lambda: None)
    taken = house.slots._ended

    def once(delivery: Delivery, outcome: Outcome, slot: int) -> None:
        house.slots._ended = taken
        raise RuntimeError("the outcome cannot be written down")

    house.slots._ended = once
    house.give("t1")

    assert house.next(1) == {"t1": Released()}
    assert house.panics == 1
    assert house.slots.load == 0


# -- the end


def test_kill_hands_back_what_runs(house: House) -> None:
    house.app.task(name="t")(lambda: gevent.sleep(PATIENT))
    for n in range(3):
        house.give(f"t{n}")
    gevent.idle()
    house.slots.stop()

    began = time.monotonic()
    house.slots.kill(timeout=LONG)

    assert house.next(3) == {f"t{n}": Released() for n in range(3)}
    assert time.monotonic() - began < PATIENT, "it does not wait for slots that have nothing to do"
    assert all(greenlet.dead for greenlet in house.slots._greenlets)


def test_a_task_that_does_not_let_itself_be_killed_does_not_stop_the_others_from_being(house: House) -> None:
    over = Event()

    def stubborn() -> None:
        while not over.is_set():
            with suppress(BaseException):
                over.wait(PATIENT)

    house.app.task(name="stubborn")(stubborn)
    house.app.task(name="t")(lambda: gevent.sleep(PATIENT))
    house.give("stubborn", "stubborn")
    house.give("t1")
    gevent.idle()
    house.slots.stop()

    house.slots.kill(timeout=0.1)

    assert house.next(1) == {"t1": Released()}
    over.set()
    house.next(1)


# -- idempotency keys of tasks that came by a plain XADD


@pytest.fixture
def keyed(app: Buraq, redis: Redis) -> Iterator[House]:
    house = House(app)
    app.task(name="t")(lambda: None)
    yield house
    house.slots.stop()
    house.slots.kill()


def xadded(house: House, redis: Redis, task_id: str, key: str, *fields: bytes) -> Delivery:
    """Dispatch a task that is pending on the server."""
    raw = raw_task(task_id, idempotency_key=key)
    rest = {fields[n]: fields[n + 1] for n in range(0, len(fields), 2)}
    entry = redis.xadd("buraq_tasks", {"payload": raw, **rest})
    delivery = delivery_of(raw, *fields, entry=entry.encode())
    house.slots.dispatch([delivery])
    return delivery


@pytest.mark.parametrize("owner", [None, "t1", "1"], ids=["nobody's", "its own", "the original's"])
def test_a_task_whose_key_is_free_takes_it_and_runs(keyed: House, redis: Redis, owner: str | None) -> None:
    if owner:
        redis.set("idemp:k", owner)
    delivery = xadded(keyed, redis, "t1", "k")

    assert keyed.next(1) == {"t1": Completed()}
    assert redis.get("idemp:k") == "t1"
    assert delivery.claimed
    assert keyed.started == ["t1"]


def test_a_task_whose_key_belongs_to_another_is_dropped_without_a_start(keyed: House, redis: Redis) -> None:
    redis.set("idemp:k", "first")
    xadded(keyed, redis, "t1", "k")

    assert keyed.next(1) == {"t1": Duplicate()}
    assert keyed.started == []
    assert redis.xlen("buraq_tasks") == 0
    assert redis.get("idemp:k") == "first"


def test_a_task_that_claimed_its_key_at_enqueue_is_not_asked_again(keyed: House, redis: Redis) -> None:
    redis.set("idemp:k", "another")
    xadded(keyed, redis, "t1", "k", b"claimed", b"1")

    assert keyed.next(1) == {"t1": Completed()}
    assert redis.get("idemp:k") == "another"


def test_a_retry_of_a_task_that_took_its_key_at_run_keeps_it(keyed: House, redis: Redis) -> None:
    keyed.app.task(name="fails")(lambda: 1 / 0)
    raw = raw_task("t1", "fails", idempotency_key="k")
    entry = redis.xadd("buraq_tasks", {"payload": raw})
    delivery = delivery_of(raw, entry=entry.encode())
    keyed.slots.dispatch([delivery])

    [outcome] = keyed.next(1).values()

    assert isinstance(outcome, Retried)
    assert delivery.claimed, "the next delivery says so, and is not taken for a duplicate of itself"


def test_a_task_that_is_gone_when_its_key_is_asked_for_is_no_duplicate(keyed: House, redis: Redis) -> None:
    keyed.slots.dispatch([delivery_of(raw_task("t1", idempotency_key="k"), entry=b"5-0")])

    assert keyed.next(1) == {"t1": Released()}
    assert keyed.started == []
    assert redis.get("idemp:k") is None


def test_a_duplicate_whose_answer_was_lost_is_still_a_duplicate(redis: Redis, proxy: Proxy) -> None:
    redis.script_load(load("duplicate").source)
    house = House(Buraq(redis_url=proxy.url))
    house.app.task(name="t")(lambda: None)
    redis.set("idemp:k", "first")
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    cut = proxy.hit_next("cut_reply")
    xadded(house, redis, "t1", "k")

    assert house.next(1) == {"t1": Duplicate()}
    assert cut.hit.is_set()
    house.slots.kill()


def test_while_the_server_refuses_for_now_a_keyed_task_waits(keyed: House, redis: Redis) -> None:
    redis.set("idemp:k", "first")
    redis.xgroup_create("buraq_tasks", "buraq_workers", "0", mkstream=True)
    raw = raw_task("t1", idempotency_key="k")
    entry = redis.xadd("buraq_tasks", {"payload": raw})
    redis.config_set("min-replicas-to-write", 1)
    try:
        keyed.slots.dispatch([delivery_of(raw, entry=entry.encode())])
        gevent.sleep(0.15)
        assert keyed.started == []
    finally:
        redis.config_set("min-replicas-to-write", 0)

    assert keyed.next(1) == {"t1": Duplicate()}


def test_while_the_server_is_away_a_keyed_task_waits_and_starts_when_it_is_back(redis: Redis, proxy: Proxy) -> None:
    house = House(Buraq(redis_url=proxy.url))
    house.app.task(name="t")(lambda: None)
    proxy.refuse()
    xadded(house, redis, "t1", "k")
    gevent.sleep(0.15)
    assert house.started == []

    proxy.accept()

    assert house.next(1) == {"t1": Completed()}
    house.slots.kill()
