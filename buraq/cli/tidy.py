"""`buraq tidy`: deletes what the Go original has acked and left in the streams."""

from __future__ import annotations

import sys

import click

from buraq.cli.failures import FAILED, USAGE, Failure
from buraq.cli.options import json_option
from buraq.cli.output import counted, print_json, say_broken
from buraq.cli.session import Session
from buraq.inspector import Broken, Inspector
from buraq.legacy import Leftovers


@click.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def tidy(session: Session, yes: bool, as_json: bool) -> None:
    """Delete entries that were acked and never deleted.

    The Go original leaves them. They take memory, count as waiting, and would run again if the group were lost.
    What waits or runs is not touched.

    \b
    Examples:
      buraq tidy
      buraq tidy --yes
    """
    with session.queue() as app:
        broken: Broken = {}
        found = {queue: Leftovers(app.backend, queue) for queue in Inspector(app.backend).queues(broken)}
        total = sum(sum(leftovers.count(broken).values()) for leftovers in found.values())
        if total and not yes:
            if not sys.stdin.isatty():
                raise Failure(f"it would delete {counted(total, 'leftover')}: add --yes", USAGE)
            click.confirm(f"Delete {counted(total, 'leftover')} for good?", abort=True)
        deleted = sum(leftovers.delete(broken) for leftovers in found.values()) if total else 0
    if as_json:
        print_json({"deleted": deleted})
    else:
        click.echo(f"Deleted {counted(deleted, 'leftover')}.")
    say_broken(broken)
    if broken:
        click.get_current_context().exit(FAILED)
