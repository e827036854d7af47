"""The command `buraq`, with its global options and all its commands."""

from __future__ import annotations

import os

import click

from buraq.cli.api import api
from buraq.cli.bench import bench
from buraq.cli.demo import demo
from buraq.cli.dlq import dlq
from buraq.cli.enqueue import enqueue
from buraq.cli.failures import Commands
from buraq.cli.options import setting_option
from buraq.cli.session import Session
from buraq.cli.status import config, status, workers
from buraq.cli.tidy import tidy
from buraq.cli.worker import worker
from buraq.version import __version__


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@setting_option(
    "-u",
    "--url",
    setting="redis_url",
    metavar="URL",
    help="Server: redis://, rediss://, unix:// or embedded:///path.",
)
@setting_option(
    "-A", "--app", "target", setting="app", metavar="TARGET", help="Your queue: its settings and task types hold."
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def buraq(ctx: click.Context, url: str | None, target: str | None) -> None:
    """A task queue with greenlets, on Redis or Valkey Streams.

    \b
    Examples:
      buraq demo                                   see it run, without a server
      buraq worker shop.tasks:queue                run tasks
      buraq enqueue email_notification '{"user_id": 123}'
      buraq status                                 what waits, runs, died

    Every setting is an environment variable; `buraq config` lists them.

    Exit codes: 0 done, 1 failed, 2 usage, 3 Redis unreachable, 4 not found.
    """
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    ctx.obj = Session(url, target)


for command in (worker, api, demo, enqueue, dlq, workers, status, tidy, config, bench):
    buraq.add_command(command)
