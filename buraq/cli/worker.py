"""`buraq worker`: runs tasks, in a group of worker processes."""

from __future__ import annotations

import sys

import click

from buraq import log
from buraq.cli.options import QUEUES, setting_option
from buraq.cli.reload import reload_on_change
from buraq.cli.session import Session, check_concurrency, resolved

NO_TARGET = """it does not know whose tasks to run. Say it in one of three ways:
  buraq worker module:queue       the Buraq named queue in module.py, or a Flask app, or a function that makes one
  BURAQ_APP=module:queue          the same, as a variable
  ENABLE_MOCK_TASKS=true          made-up tasks, to see it run"""


@click.command()
@click.argument("target", required=False)
@click.option("-q", "--queues", type=QUEUES, default=(), metavar="A,B", help="Queues to take tasks from; else all.")
@setting_option("-w", "--processes", setting="worker_processes", metavar="N", help="Worker processes.")
@setting_option("-c", "--concurrency", setting="worker_count", metavar="N", help="Slots of each process.")
@setting_option("--max-tasks", setting="max_tasks", metavar="N", help="Replace a process that has run N tasks.")
@setting_option(
    "--max-memory", setting="max_memory_mb", metavar="MB", help="Replace a process that takes MB megabytes."
)
@setting_option("--cpu-processes", setting="cpu_processes", metavar="N", help="Child processes of each for CPU work.")
@click.option("--burst", is_flag=True, help="Work off what there is, then exit.")
@click.option("--reload", is_flag=True, help="Start again, after draining, when a .py file changes.")
@click.option(
    "--reload-dir",
    "folders",
    type=click.Path(exists=True, file_okay=False),
    multiple=True,
    help="Folder to watch; may be repeated.  [default: .]",
)
@setting_option("--log-level", setting="log_level", metavar="LEVEL", help="debug, info, warning or error.")
@setting_option("--log-format", setting="log_format", metavar="FORMAT", help="text or json.")
@click.pass_context
def worker(
    ctx: click.Context,
    target: str | None,
    queues: tuple[str, ...],
    processes: int | None,
    concurrency: int | None,
    max_tasks: int | None,
    max_memory: int | None,
    cpu_processes: int | None,
    burst: bool,
    reload: bool,
    folders: tuple[str, ...],
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Run tasks until stopped.

    TARGET is module, module:queue or module:factory: a Buraq, a Flask app that one has joined, or a function that
    returns either. The current folder is importable. Without it, BURAQ_APP is used.

    SIGTERM and Ctrl-C drain: what runs may finish for SHUTDOWN_TIMEOUT, the rest is handed back. A second one hands
    back at once.

    \b
    Examples:
      buraq worker shop.tasks:queue
      buraq worker shop:create_app --queues mail,default --processes 2
      buraq worker shop.tasks --burst              as in a cron job
      buraq worker shop.tasks --reload             while you write it
      buraq worker shop.tasks --max-memory 800     when a library leaks
    """
    check_concurrency()
    session: Session = ctx.obj
    if target:
        session.target = target
    config = session.config(
        worker_processes=processes,
        worker_count=concurrency,
        max_tasks=max_tasks,
        max_memory_mb=max_memory,
        cpu_processes=cpu_processes,
        log_level=log_level,
        log_format=log_format,
    )
    if not config.app and not config.enable_mock_tasks:
        raise click.UsageError(NO_TARGET, ctx)
    if reload and burst:
        raise click.UsageError("--burst ends by itself and --reload never does: use one of them", ctx)
    if folders and not reload:
        raise click.UsageError("--reload-dir says what --reload watches: add --reload", ctx)
    log.configure(config.log_format, config.log_level)
    with resolved(config) as config:
        if reload:
            arguments = ["worker", *([config.app] if config.app else [])]
            arguments += ["--queues", ",".join(queues)] if queues else []
            arguments += ["--processes", str(config.worker_processes), "--concurrency", str(config.worker_count)]
            arguments += ["--max-tasks", str(config.max_tasks), "--max-memory", str(config.max_memory_mb)]
            arguments += ["--cpu-processes", str(config.cpu_processes)]
            arguments += ["--log-level", config.log_level, "--log-format", config.log_format or _format()]
            sys.exit(reload_on_change(arguments, folders or (".",), config.shutdown_timeout))
        # Here, because it imports gunicorn, which no other command needs.
        from buraq.worker.group import GroupOptions, run

        sys.exit(
            run(
                GroupOptions(
                    target=config.app,
                    queues=queues,
                    processes=config.worker_processes,
                    concurrency=config.worker_count,
                    burst=burst,
                    cpu_processes=config.cpu_processes,
                    config=config,
                )
            )
        )


def _format() -> str:
    return "text" if sys.stderr.isatty() else "json"
