"""`buraq dlq`: the dead letters, listed, shown, given another life, deleted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click

from buraq.cli.failures import FAILED, NOT_FOUND, USAGE, Failure
from buraq.cli.options import QUEUE, json_option
from buraq.cli.output import counted, moment, print_json, print_table, say_broken
from buraq.cli.selection import Found, Selection, choosing, selecting
from buraq.cli.session import Session
from buraq.deadletters import PAGE, DeadLetter, DeadLetters, Replayed
from buraq.log import harmless


@click.group()
def dlq() -> None:
    """Look at dead letters, replay them, purge them.

    \b
    Examples:
      buraq dlq list --type charge_payment
      buraq dlq show 019a8f…                       with its traceback
      buraq dlq replay 019a8f…
      buraq dlq replay --all --type charge_payment
      buraq dlq purge --all --reason undecodable --yes
    """


@dlq.command("list")
@selecting(50)
@json_option
@click.pass_obj
def list_(session: Session, selection: Selection, as_json: bool) -> None:
    """List dead letters, oldest first."""
    limit = selection.limit
    assert limit is not None  # it has a default
    with session.queue() as app:
        # One more tells whether that was all.
        found = list(replace(selection, limit=limit + 1).find(app.backend))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json([_as_json(*one) for one in found])
    elif not found:
        click.echo("No dead letters that can be read." if selection.broken else "No dead letters.")
    else:
        _print(found)
        if more:
            click.echo(f"\nThere are more: --limit {limit * 10} shows up to so many.")
    _refuse_missing([], selection)


def _print(found: list[Found]) -> None:
    print_table(
        ("ID", "TYPE", "QUEUE", "REASON", "DIED", "ERROR"),
        [
            (
                letter.task.id if letter.task else letter.entry,
                letter.task.type if letter.task else "",
                name,
                letter.reason,
                moment(letter.died_at_ms),
                letter.error,
            )
            for name, letter in found
        ],
    )


@dlq.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--queue", type=QUEUE, metavar="NAME", help="Look in one queue.  [default: all]")
@json_option
@click.pass_obj
def show(session: Session, ids: tuple[str, ...], queue: str | None, as_json: bool) -> None:
    """Show all that is known of dead letters. ID is a task's id, or an entry's."""
    selection = Selection(queue, None, None, None)
    with session.queue() as app:
        found, missing = selection.get(app.backend, ids)
    if as_json:
        print_json([_as_json(*one) for one in found])
    else:
        for number, (name, letter) in enumerate(found):
            click.echo(("\n" if number else "") + _in_full(name, letter))
    _refuse_missing(missing, selection)


@dlq.command()
@choosing(yes="Do not ask.")
@click.pass_context
def replay(
    ctx: click.Context, ids: tuple[str, ...], everything: bool, selection: Selection, yes: bool, as_json: bool
) -> None:
    """Put dead letters back into their queues, with their ids and no retries used.

    Without a terminal to ask on, --all needs no --yes.
    """
    _refuse_unclear(ctx, ids, everything, selection)
    session: Session = ctx.obj
    with session.queue() as app:
        backend = app.backend
        found, missing = selection.get(backend, ids)
        total = len(found)
        if everything:
            total = selection.count(backend)
            _ask(f"Replay {counted(total, 'dead letter')}?", yes or not _can_ask())
        done = Replayed(0, 0, 0)
        for name, page in _pages(selection.find(backend) if everything else iter(found), total, "Replaying"):
            one = DeadLetters(backend, name).replay(page)
            done = Replayed(*(a + b for a, b in zip(done, one, strict=True)))
    if as_json:
        print_json({**done._asdict(), "missing": missing})
    else:
        click.echo(f"Replayed {counted(done.replayed, 'dead letter')}.")
        if done.unreadable:
            click.echo(f"{done.unreadable:,} cannot be read and stay: buraq dlq list --reason undecodable", err=True)
        if done.owned:
            click.echo(f"{done.owned:,} stay: another task has their idempotency key now", err=True)
    _refuse_missing(missing, selection)
    if ids and (done.unreadable or done.owned):
        ctx.exit(FAILED)


@dlq.command()
@choosing(yes="Do not ask. Needed by --all where there is no terminal.")
@click.pass_context
def purge(
    ctx: click.Context, ids: tuple[str, ...], everything: bool, selection: Selection, yes: bool, as_json: bool
) -> None:
    """Delete dead letters for good."""
    _refuse_unclear(ctx, ids, everything, selection)
    session: Session = ctx.obj
    with session.queue() as app:
        backend = app.backend
        found, missing = selection.get(backend, ids)
        total = len(found)
        if everything:
            total = selection.count(backend)
            if total and not yes and not _can_ask():
                raise Failure(f"--all would delete {counted(total, 'dead letter')} for good: add --yes", USAGE)
            _ask(f"Delete {counted(total, 'dead letter')} for good?", yes or not total)
        deleted = sum(
            DeadLetters(backend, name).purge(page)
            for name, page in _pages(selection.find(backend) if everything else iter(found), total, "Deleting")
        )
    if as_json:
        print_json({"purged": deleted, "missing": missing})
    else:
        click.echo(f"Deleted {counted(deleted, 'dead letter')}.")
    _refuse_missing(missing, selection)


def _refuse_unclear(ctx: click.Context, ids: tuple[str, ...], everything: bool, selection: Selection) -> None:
    if ids and everything:
        raise click.UsageError("ids and --all were both given: use one of them", ctx)
    if not ids and not everything:
        raise click.UsageError("say which: ids, or --all, with --queue, --type, --reason or --limit to narrow it", ctx)
    if ids and (selection.type or selection.reason or selection.limit):
        raise click.UsageError("--type, --reason and --limit narrow --all, and ids need no narrowing", ctx)


def _refuse_missing(missing: list[str], selection: Selection) -> None:
    """End with what is missing, and what could not be looked at: then nothing is said not to be there."""
    names, broken = ", ".join(missing), selection.broken
    say_broken(broken)
    if missing and broken:
        raise Failure(f"not among the dead letters that can be read: {names}", FAILED)
    if missing:
        raise Failure(f"not among the dead letters: {names}. `buraq dlq list` shows those that are", NOT_FOUND)
    if broken:
        click.get_current_context().exit(FAILED)


def _can_ask() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(question: str, sure: bool) -> None:
    if not sure and not click.confirm(question, err=True):
        raise click.Abort


def _pages(found: Iterator[Found], total: int, doing: str) -> Iterator[tuple[str, list[DeadLetter]]]:
    """Yield dead letters in pages of one queue each, with a progress bar on a terminal."""
    if not (sys.stderr.isatty() and total > PAGE):
        yield from _by_queue(found)
        return
    with click.progressbar(length=total, label=doing, file=sys.stderr) as bar:
        for name, page in _by_queue(found):
            yield name, page
            bar.update(len(page))


def _by_queue(found: Iterator[Found]) -> Iterator[tuple[str, list[DeadLetter]]]:
    name = ""
    page: list[DeadLetter] = []
    for queue, letter in found:
        if page and (queue != name or len(page) == PAGE):
            yield name, page
            page = []
        name = queue
        page.append(letter)
    if page:
        yield name, page


def _as_json(queue: str, letter: DeadLetter) -> dict[str, Any]:
    task = letter.task
    shown: dict[str, Any] = {
        "id": task.id if task else None,
        "entry": letter.entry,
        "queue": queue,
        "type": task.type if task else None,
        "reason": letter.reason,
        "died_at": moment(letter.died_at_ms),
        "error": letter.error,
        "deaths": letter.deaths,
        "traceback": letter.traceback,
    }
    if task is None:
        return {**shown, "raw": letter.raw.decode(errors="replace")}
    return {**shown, "attempts": task.attempt, "max_retries": task.max_retries, "task": task.members}


def _in_full(queue: str, letter: DeadLetter) -> str:
    task = letter.task
    facts: list[tuple[str, object]] = [("entry", letter.entry), ("queue", queue)]
    if task is not None:
        retries = counted(task.max_retries, "retry").replace("retrys", "retries")
        facts = [("id", task.id), ("type", task.type), *facts, ("created", task.created_at)]
        facts += [("attempt", f"{task.attempt} ({retries} allowed)")]
    facts += [("died", moment(letter.died_at_ms)), ("reason", letter.reason), ("error", letter.error)]
    facts += [("deaths", letter.deaths)] if letter.deaths else []
    lines = [f"{name:<8} {harmless(str(value))}" for name, value in facts]
    if task is None:
        lines += ["", harmless(letter.raw.decode(errors="replace"))]
    else:
        lines += [f"payload  {harmless(json.dumps(task.payload, ensure_ascii=False))}"]
    if letter.traceback:
        lines += ["", *(harmless(line) for line in letter.traceback.splitlines())]
    return "\n".join(lines)
