"""Which dead letters a command is about: its options, and what they select."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from itertools import islice
from typing import Any

import click

from buraq.backend import Backend
from buraq.cli.options import QUEUE, json_option
from buraq.deadletters import DeadLetter, DeadLetters
from buraq.inspector import Broken, Inspector

Found = tuple[str, DeadLetter]  # a dead letter, and the queue whose it is


@dataclass(frozen=True)
class Selection:
    """Which dead letters a command is about. `queue` None means those of all queues, `limit` None all of them."""

    queue: str | None
    type: str | None
    reason: str | None
    limit: int | None
    broken: Broken = field(default_factory=dict)  # the keys that what it found does without

    @property
    def narrow(self) -> bool:
        """Whether it leaves out any."""
        return any(value is not None for value in (self.queue, self.type, self.reason, self.limit))

    @property
    def lacking(self) -> Broken | None:
        """Where to note such a key; None where one queue is asked for: what it holds is not to be guessed."""
        return self.broken if self.queue is None else None

    def queues(self, backend: Backend) -> list[str]:
        """Return the queues to look in."""
        return [self.queue] if self.queue else Inspector(backend).queues(self.broken)

    def find(self, backend: Backend) -> Iterator[Found]:
        """Go through the dead letters that are meant, oldest first in each queue."""
        found = (
            (queue, letter)
            for queue in self.queues(backend)
            for letter in DeadLetters(backend, queue).all(self.lacking)
            if (self.type is None or (letter.task is not None and letter.task.type == self.type))
            and (self.reason is None or letter.reason == self.reason)
        )
        return islice(found, self.limit)

    def count(self, backend: Backend) -> int:
        """Return how many there are."""
        if self.type is None and self.reason is None:
            there = sum(DeadLetters(backend, queue).count(self.lacking) for queue in self.queues(backend))
            return there if self.limit is None else min(there, self.limit)
        return sum(1 for _ in self.find(backend))

    def get(self, backend: Backend, ids: tuple[str, ...]) -> tuple[list[Found], list[str]]:
        """Return the dead letters of these task or entry ids, and the ids that none has."""
        found: list[Found] = []
        missing: list[str] = []
        for one in ids:
            looked = ((queue, DeadLetters(backend, queue).get(one, self.lacking)) for queue in self.queues(backend))
            here = [(queue, letter) for queue, letter in looked if letter is not None]
            found += here
            if not here:
                missing.append(one)
        return found, missing


def selecting(limit: int | None) -> Callable[[Any], Any]:
    """Add the options that select dead letters, with a limit to begin with; the command gets them as `selection`."""
    options = (
        click.option("--queue", type=QUEUE, metavar="NAME", help="Those of one queue.  [default: all]"),
        click.option("--type", "type_", metavar="TYPE", help="Those of one task type."),
        click.option("--reason", metavar="WORD", help="Those that died of exhausted, rejected, undecodable, …"),
        click.option(
            "--limit",
            type=click.IntRange(1),
            default=limit,
            show_default=limit is not None,
            metavar="N",
            help="At most so many, the oldest first.",
        ),
    )

    def add(command: Any) -> Any:
        @wraps(command)
        def selected(
            *args: Any, queue: str | None, type_: str | None, reason: str | None, limit: int | None, **others: Any
        ) -> Any:
            return command(*args, selection=Selection(queue, type_, reason, limit), **others)

        for option in reversed(options):
            selected = option(selected)
        return selected

    return add


def choosing(yes: str) -> Callable[[Any], Any]:
    """Add what says which dead letters are to be changed, by ids or by --all; `yes` is the help of --yes."""

    def add(command: Any) -> Any:
        for option in (
            json_option,
            click.option("-y", "--yes", is_flag=True, help=yes),
            selecting(None),
            click.option("--all", "everything", is_flag=True, help="All that the other options select."),
            click.argument("ids", nargs=-1, metavar="[ID...]"),
        ):
            command = option(command)
        return command

    return add
