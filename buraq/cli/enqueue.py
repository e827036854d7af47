"""`buraq enqueue`: hands one task to the server."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from buraq.cli.options import DURATION, MOMENT, QUEUE, TIMEOUT, json_option
from buraq.cli.output import print_json
from buraq.cli.session import Session
from buraq.errors import BuraqError, TaskNotRegistered


@click.command()
@click.argument("task_type", metavar="TYPE")
@click.argument("payload", metavar="[JSON]", default="{}")
@click.option("--queue", type=QUEUE, metavar="NAME", help="Queue; else the task type's own, or the default one.")
@click.option("--delay", type=DURATION, metavar="10s", help="Run it that much later.")
@click.option("--at", type=MOMENT, metavar="ISO", help="Run it at that time, with its time zone.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Place in line.")
@click.option("--id", "id_", metavar="ID", help="Its id; while a task of that id exists, it is not added again.")
@click.option("--idempotency-key", metavar="KEY", help="Added once in 24 hours, whatever its id.")
@click.option("--group", metavar="NAME", help="In a cluster, tasks of one group lie on one shard.")
@click.option("--max-retries", type=click.IntRange(0), metavar="N", help="Retries after the first attempt.")
@click.option("--timeout", type=TIMEOUT, metavar="30s", help="How long an attempt may run.")
@json_option
@click.pass_context
def enqueue(
    ctx: click.Context, /, task_type: str, payload: str, id_: str | None, as_json: bool, **options: Any
) -> None:
    """Enqueue a task of TYPE and print its id.

    JSON is an object: the arguments of the task function by name. `-` reads it from standard input. With --app or
    BURAQ_APP the task function's own options hold, and its signature is checked.

    \b
    Examples:
      buraq enqueue email_notification '{"user_id": 123, "template": "welcome"}'
      buraq enqueue report --delay 10m --priority low
      cat order.json | buraq enqueue charge - --idempotency-key order-17
    """
    members = _object(payload, ctx)
    if options["delay"] is not None and options["at"] is not None:
        raise click.UsageError("--delay and --at were both given: a task can wait for one time only", ctx)
    session: Session = ctx.obj
    with session.queue() as app:
        if app.registry and task_type not in app.registry:
            click.echo(f"Warning: {TaskNotRegistered(task_type, app.registry)}", err=True)
        try:
            handle = app.enqueue(task_type, members, id=id_, **options)
        except BuraqError:
            raise
        except (TypeError, ValueError) as error:  # the task function cannot be called like that, or an option is wrong
            raise click.UsageError(str(error), ctx) from error
    if as_json:
        print_json({"id": handle.id, "type": handle.type, "queue": handle.queue, "created": handle.created})
        return
    click.echo(handle.id)
    if not handle.created:
        click.echo("It was there before: same id, or same idempotency key. Nothing was added.", err=True)


def _object(text: str, ctx: click.Context) -> dict[str, Any]:
    """Read the payload. Raises a usage error that says where it is wrong."""
    where = "JSON"
    if text == "-":
        text, where = sys.stdin.read(), "standard input"
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if text.strip() else ""
        near = f"\n  {line}\n  {' ' * (error.colno - 1)}^" if line and len(line) < 200 else ""
        place = f"line {error.lineno}, column {error.colno}"
        raise click.UsageError(f"{where} is no JSON at {place}: {error.msg}{near}", ctx) from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{where} cannot be read: {error}", ctx) from None
    if not isinstance(value, dict):
        raise click.UsageError(
            f"{where} is {_kind(value)}: a payload is an object, arguments by name, as in '{{\"user_id\": 123}}'", ctx
        )
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a finite number: send a finite number or null")


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null")
