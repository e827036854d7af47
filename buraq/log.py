"""Log lines for people and machines, on nothing but the standard library.

Inside a task every line, the user's own too, says which task that is.
"""

import json
import logging
import math
import re
import sys
import time
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from buraq.task import running_task

# Whatever a record holds beside these came in by `extra=`.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class TaskFilter(logging.Filter):
    """Adds the fields of the running task to each record; what the record says itself stays."""

    def filter(self, record: logging.LogRecord) -> bool:
        task = running_task.get(None)
        if task is not None:
            told = record.__dict__
            told.setdefault("task_id", task.id)
            told.setdefault("task_type", task.type)
            told.setdefault("attempt", task.attempt)
            told.setdefault("worker_id", task.worker_id)
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts, level, logger, event`, the facts, and `exc`, the traceback.

    A fact that has the name of one of these gets a `_` behind its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        taken = {*line, "exc"}
        line |= {f"{key}_" if key in taken else key: fact for key, fact in facts(record).items()}
        if trace := traceback_of(self, record):
            line["exc"] = trace
        try:
            return json.dumps(line, default=printable, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            # Infinity, a loop, a key that is no text: a fact that JSON cannot hold is no reason to
            # lose the line.
            return json.dumps({key: plain(fact) for key, fact in line.items()})


class TextFormatter(logging.Formatter):
    """A line for people: time, level, event, then the facts as `key=value`, then the traceback."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created)
        time_of_day = moment.isoformat(sep=" ", timespec="milliseconds")
        tail = facts(record)
        if record.name != "buraq" and not record.name.startswith("buraq."):
            tail = {"logger": record.name} | tail
        line = f"{time_of_day} {record.levelname.lower():<8} {record.getMessage()}"
        line += "".join(f" {key}={quoted(fact)}" for key, fact in tail.items())
        trace = traceback_of(self, record)
        return harmless(f"{line}\n{trace}" if trace else line)


def facts(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in STANDARD}


def traceback_of(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info and record.exc_info[0]:
        parts.append(formatter.formatException(record.exc_info))
    elif record.exc_text:
        parts.append(record.exc_text)
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def plain(fact: object) -> str | int | float | None:
    if fact is None or isinstance(fact, str | int):
        return fact
    return fact if isinstance(fact, float) and math.isfinite(fact) else printable(fact)


def printable(value: object) -> str:
    try:
        return str(value)
    except Exception:  # a user's __str__
        return f"<{type(value).__name__}>"


def harmless(text: str) -> str:
    """Show control characters, and indent what follows a line break.

    What a task logs may come from its users: it must neither pass for a log line of its own nor
    give orders to the terminal.
    """
    text = CONTROL.sub(lambda match: repr(match[0])[1:-1], text.replace("\r\n", "\n"))
    return text.replace("\n", "\n    ").encode("utf-8", "backslashreplace").decode()


def quoted(fact: object) -> str:
    text = printable(fact)
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text, ensure_ascii=False)


class BuraqHandler(logging.StreamHandler[TextIO]):
    """The one handler that `configure` puts on the root logger, and may take away again."""


def configure(format: str | None = None, level: str = "info", stream: TextIO | None = None) -> logging.Handler:
    """Write the log of this process to `stream` (standard error), and return the handler.

    `format` is `text`, `json`, or None for text on a terminal and else JSON. Sets the level of the
    root logger. May be called again: it replaces its own handler and leaves all others. Raises
    ValueError for an unknown format or level, and changes nothing then.
    """
    stream = sys.stderr if stream is None else stream
    if format is None:
        format = "text" if stream.isatty() else "json"
    formatters: dict[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}
    if format not in formatters:
        raise ValueError(f"unknown log format {format!r}: it is text or json")
    root = logging.getLogger()
    root.setLevel(level.upper())
    handler = BuraqHandler(stream)
    handler.setFormatter(formatters[format]())
    # On the handler, not on a logger: a logger's filters do not see the records of its children.
    handler.addFilter(TaskFilter())
    for old in [old for old in root.handlers if isinstance(old, BuraqHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    return handler


def written(record: logging.LogRecord) -> str:
    """Return a record as `configure` has it written, for where no handler may be called: it takes no lock."""
    ours = (handler for handler in logging.getLogger().handlers if isinstance(handler, BuraqHandler))
    handler = next(ours, None)
    formatter = handler.formatter if handler is not None else None
    return (formatter or TextFormatter()).format(record)


class RateLimited:
    """A logger for what goes wrong again and again: says the same at most once in `seconds`.

    Two lines are the same when level, event and `key` are; the facts may differ. The line that is
    written after a silence says in `suppressed` how many were left out. Any thread may use it.
    """

    def __init__(
        self,
        logger: logging.Logger,
        seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._said: dict[Hashable, tuple[float, int]] = {}  # line → when, how many left out since

    def log(
        self,
        level: int,
        event: str,
        *,
        key: Hashable = None,
        extra: Mapping[str, object] | None = None,
        exc_info: Any = None,
    ) -> bool:
        """Log `event`, unless it was just logged. Returns whether it was."""
        if not self._logger.isEnabledFor(level):
            return False
        # Without a lock: two threads at once may say a thing twice, which is better than a log
        # call that waits.
        line, now = (level, event, key), self._clock()
        said_at, suppressed = self._said.get(line, (None, 0))
        if said_at is not None and now - said_at < self._seconds:
            self._said[line] = (said_at, suppressed + 1)
            return False
        self._forget(now)
        self._said[line] = (now, 0)
        told = dict(extra or {}) | ({"suppressed": suppressed} if suppressed else {})
        self._logger.log(level, event, extra=told, exc_info=exc_info)
        return True

    def warning(self, event: str, **options: Any) -> bool:
        """As `log`, at the level of warnings."""
        return self.log(logging.WARNING, event, **options)

    def error(self, event: str, **options: Any) -> bool:
        """As `log`, at the level of errors."""
        return self.log(logging.ERROR, event, **options)

    def _forget(self, now: float) -> None:
        """Keep a key that varies without end from filling the memory."""
        if len(self._said) < 1_000:
            return
        for line, (said_at, _) in list(self._said.items()):
            if now - said_at >= self._seconds:
                self._said.pop(line, None)
