"""Log lines: their two forms, the task they belong to, and silence about what was just said."""

import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from contextvars import copy_context
from types import SimpleNamespace

import pytest

from buraq.log import (
    BuraqHandler,
    JsonFormatter,
    RateLimited,
    TextFormatter,
    configure,
)
from buraq.task import Task, running_task

TASK = {"task_id": "task-1", "task_type": "email", "attempt": 2, "worker_id": "host-ab-7"}
RUNNING = Task("task-1", "email", {}, current_retries=1, worker_id="host-ab-7")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    yield root
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("shop.mail")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def record(event: str, /, *args: object, name: str = "buraq.worker", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.WARNING, "file.py", 1, event, args, None)
    made.__dict__.update(extra)
    made.created = 1_795_287_120.1234567
    return made


# --- JSON


def test_a_json_line_has_time_level_logger_event_and_the_facts() -> None:
    line = JsonFormatter().format(record("buried %s", "task", task_id="t1", seconds=0.5, tags=["a"]))
    assert line.startswith('{"ts": "2026-11-21T')
    assert json.loads(line) == {
        "ts": "2026-11-21T18:52:00.123Z",
        "level": "warning",
        "logger": "buraq.worker",
        "event": "buried task",
        "task_id": "t1",
        "seconds": 0.5,
        "tags": ["a"],
    }


def test_a_json_line_carries_the_traceback_in_one_line(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    try:
        raise RuntimeError("first line\nsecond line")
    except RuntimeError:
        logger.exception("it broke")
    assert stream.getvalue().count("\n") == 1
    [line] = lines(stream)
    assert line["event"] == "it broke"
    assert str(line["exc"]).startswith("Traceback")
    assert str(line["exc"]).endswith("RuntimeError: first line\nsecond line")


def test_no_traceback_no_exc() -> None:
    made = record("fine")
    made.exc_info = (None, None, None)
    assert "exc" not in json.loads(JsonFormatter().format(made))


def test_a_fact_does_not_hide_what_every_line_has() -> None:
    line = json.loads(JsonFormatter().format(record("said", event="mine", level=3, exc="none", ts=1)))
    assert (line["event"], line["level"]) == ("said", "warning")
    assert (line["event_"], line["level_"], line["exc_"], line["ts_"]) == ("mine", 3, "none", 1)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def looped() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("fact", "held"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({"deep": float("inf")}, "{'deep': inf}"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (looped(), "[[...]]"),
        (Unprintable(), "<Unprintable>"),
        (ValueError("why"), "why"),
        (b"\xff", "b'\\xff'"),
        ("\ud800", "\ud800"),
        ("\u2028", "\u2028"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fact_that_json_cannot_hold_does_not_lose_the_line(fact: object, held: object) -> None:
    line = JsonFormatter().format(record("said", fact=fact, seconds=0.5, count=1))
    assert line.isascii()
    assert "NaN" not in line
    loaded = json.loads(line)
    assert (loaded["fact"], loaded["seconds"], loaded["count"]) == (held, 0.5, 1)


# --- Text


def test_a_text_line_has_time_level_event_and_a_tail_of_facts() -> None:
    line = TextFormatter().format(record("redis unreachable", seconds=5, error="no route", empty=""))
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.123 warning  redis unreachable "
        r'seconds=5 error="no route" empty=""',
        line,
    )


def test_a_text_line_names_the_logger_when_it_is_not_ours() -> None:
    assert TextFormatter().format(record("hi", name="shop", n=1)).endswith("hi logger=shop n=1")
    assert "logger=" not in TextFormatter().format(record("hi", name="buraq"))


def test_a_text_line_is_followed_by_its_traceback(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("text", "info", stream)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logger.exception("it broke")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("error    it broke logger=shop.mail")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    RuntimeError: broken"


def test_no_text_can_pass_for_another_line_or_command_the_terminal() -> None:
    forged = "hi\n2026-11-21 18:52:00.123 info     all is well\r\nreally\x1b[2J\x9b"
    first, *rest = TextFormatter().format(record("%s", forged, fact="a\nb\x1b\x9b")).split("\n")
    assert first.endswith("warning  hi")
    assert len(rest) == 2
    assert all(line.startswith("    ") for line in rest)
    assert rest[0] == "    2026-11-21 18:52:00.123 info     all is well"
    assert rest[1] == r'    really\x1b[2J\x9b fact="a\nb\u001b\x9b"'


def test_a_text_line_can_be_encoded_and_is_readable() -> None:
    line = TextFormatter().format(record("grüße", who="Zoë M", odd="\ud800", broken=Unprintable()))
    assert 'grüße who="Zoë M" odd=\\ud800 broken=<Unprintable>' in line
    line.encode()


# --- The running task


def test_every_line_inside_a_task_says_which_task(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)

    def run() -> None:
        running_task.set(RUNNING)
        logger.info("from the task function", extra={"order": 7})
        logging.getLogger("library.of.somebody").warning("from a library")

    copy_context().run(run)
    logger.info("outside")
    inside, library, outside = lines(stream)
    assert TASK.items() <= inside.items()
    assert inside["order"] == 7
    assert TASK.items() <= library.items()
    assert not TASK.keys() & outside.keys()


def test_what_a_record_says_itself_is_kept(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)

    def run() -> None:
        running_task.set(RUNNING)
        logger.info("enqueued", extra={"task_id": "another"})

    copy_context().run(run)
    [line] = lines(stream)
    assert (line["task_id"], line["worker_id"]) == ("another", "host-ab-7")


def test_another_thread_is_in_no_task(logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    token = running_task.set(RUNNING)
    thread = threading.Thread(target=logger.info, args=("lease renewed",))
    thread.start()
    thread.join()
    running_task.reset(token)
    [line] = lines(stream)
    assert "task_id" not in line


# --- configure


def test_configuring_again_replaces_our_handler_and_no_other(root: logging.Logger) -> None:
    others = root.handlers[:]
    theirs = logging.NullHandler()
    root.addHandler(theirs)
    first, second = io.StringIO(), io.StringIO()
    configure("text", "info", first)
    handler = configure("json", "debug", second)
    assert [one for one in root.handlers if isinstance(one, BuraqHandler)] == [handler]
    assert [one for one in root.handlers if one is not handler] == [*others, theirs]
    logging.getLogger("shop").debug("once")
    assert first.getvalue() == ""
    assert [line["event"] for line in lines(second)] == ["once"]


def test_the_level_holds_for_all_loggers(root: logging.Logger, logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("json", "warning", stream)
    logger.info("quiet")
    logger.warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]
    assert root.level == logging.WARNING


def test_without_a_format_a_terminal_gets_text_and_all_else_json(logger: logging.Logger) -> None:
    for stream, formatter in ((Terminal(), TextFormatter), (io.StringIO(), JsonFormatter)):
        assert type(configure(None, "info", stream).formatter) is formatter


def test_lines_go_to_the_standard_error_of_the_moment(
    capsys: pytest.CaptureFixture[str], logger: logging.Logger
) -> None:
    configure()
    logger.info("hello")
    printed = capsys.readouterr()
    assert (printed.out, json.loads(printed.err)["event"]) == ("", "hello")


@pytest.mark.parametrize(("format", "level"), [("xml", "info"), ("json", "loud")])
def test_an_unknown_format_or_level_changes_nothing(root: logging.Logger, format: str, level: str) -> None:
    before = root.level, root.handlers[:]
    with pytest.raises(ValueError, match=f"(?i){format}|{level}"):
        configure(format, level, io.StringIO())
    assert (root.level, root.handlers[:]) == before


# --- Saying things once


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=100.0)


@pytest.fixture
def quiet(clock: SimpleNamespace, logger: logging.Logger) -> RateLimited:
    return RateLimited(logger, seconds=5, clock=lambda: clock.now)


def test_the_same_is_said_once_in_its_time(quiet: RateLimited, clock: SimpleNamespace) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    said = []
    for clock.now in (100, 101, 104.9, 105, 106, 200):
        said.append(quiet.warning("redis unreachable", extra={"at": clock.now}))
    assert said == [True, False, False, True, False, True]
    assert [(line["at"], line.get("suppressed")) for line in lines(stream)] == [
        (100, None),
        (105, 2),
        (200, 1),
    ]


def test_another_event_level_or_key_is_not_the_same(quiet: RateLimited) -> None:
    configure("json", "info", io.StringIO())
    assert quiet.warning("redis unreachable")
    assert quiet.error("redis unreachable")
    assert quiet.warning("redis unreachable", key="refused")
    assert quiet.warning("redis is full")
    assert not quiet.warning("redis unreachable", key="refused")


def test_a_line_below_the_level_does_not_count_as_said(quiet: RateLimited, root: logging.Logger) -> None:
    configure("json", "error", io.StringIO())
    assert not quiet.warning("redis unreachable")
    root.setLevel(logging.WARNING)
    assert quiet.warning("redis unreachable")


def test_the_traceback_comes_along(quiet: RateLimited) -> None:
    stream = io.StringIO()
    configure("json", "info", stream)
    try:
        raise ConnectionError("refused")
    except ConnectionError as error:
        quiet.error("redis unreachable", exc_info=error)
    [line] = lines(stream)
    assert "ConnectionError: refused" in str(line["exc"])


def test_keys_without_end_do_not_fill_the_memory(quiet: RateLimited, clock: SimpleNamespace) -> None:
    configure("json", "critical", io.StringIO())
    for n in range(10_000):
        clock.now = 100.0 + n * 0.01
        quiet.log(logging.CRITICAL, "odd", key=n)
    assert len(quiet._said) <= 1_000
