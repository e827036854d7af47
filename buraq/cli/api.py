"""`buraq api`: serves the HTTP API."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from buraq.backend import Backend
from buraq.cli.failures import USAGE
from buraq.cli.options import Parsed, setting_option
from buraq.cli.session import Session, check_concurrency, resolved
from buraq.config import Config
from buraq.errors import ConfigError
from buraq.target import TargetError, load
from buraq.values import Address, parse_address

if TYPE_CHECKING:
    from flask import Flask

APP_LOAD_ERROR = 4  # gunicorn's exit code for an application that cannot be loaded


@click.command()
@click.argument("target", required=False)
@setting_option("-b", "--bind", setting="api_port", metavar="HOST:PORT", help="Where to listen.")
@click.option("--host", help="Host of --bind alone.")
@click.option("-p", "--port", type=click.IntRange(0, 65_535), help="Port of --bind alone.")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Processes.  [env var: WEB_CONCURRENCY; default: 1]",
)
@setting_option("--log-level", setting="log_level", metavar="LEVEL", help="debug, info, warning or error.")
@setting_option("--log-format", setting="log_format", metavar="FORMAT", help="text or json.")
@click.pass_context
def api(
    ctx: click.Context,
    target: str | None,
    bind: Address | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    log_level: str | None,
    log_format: str | None,
) -> None:
    """Serve the HTTP API until stopped.

    With a TARGET, as `buraq worker` takes it, that queue's settings hold. Without one, the environment's do.

    \b
    Examples:
      buraq api --port 8080
      buraq api shop:create_app --host 127.0.0.1 --workers 2
      curl http://localhost:8080/api/health
    """
    check_concurrency()
    session: Session = ctx.obj
    if target:
        session.target = target
    if bind is not None and (host is not None or port is not None):
        raise click.UsageError("--bind has both host and port: leave --host and --port out", ctx)
    config = session.config(log_level=log_level, log_format=log_format)
    where = bind or config.api_port
    if host is not None or port is not None:
        written = f"{host if host is not None else where.host}:{where.port if port is None else port}"
        where = Parsed(parse_address, "address").convert(written, None, ctx)
    options: dict[str, Any] = {} if workers is None else {"workers": workers}
    with resolved(config) as config:
        # Here, because it imports Flask and gunicorn, which most commands do not need.
        from buraq.web.serve import serve

        if config.app is None:
            Backend(config)  # what is wrong with REDIS_URL is said here, once, and not by each process
            serve(None, config, where, **options)
        _serve_target(session, config.app, config, where, options)


def _serve_target(session: Session, target: str, config: Config, where: Address, options: dict[str, Any]) -> NoReturn:
    """Serve the API of a target. What its own code says of stream names and the like holds, so `config` does not."""
    from gunicorn.errors import AppImportError

    from buraq.web import create_app
    from buraq.web.serve import Application, settings

    def load_app() -> Flask:
        try:
            return create_app(session.use_url(load(target), config))
        except (ConfigError, TargetError) as error:
            raise AppImportError(f"Error: {error}") from error  # gunicorn prints it and does not try again

    parent = os.getpid()
    try:
        Application(load_app, {**settings(config, where), **options}).run()
    except SystemExit as end:
        if os.getpid() == parent and end.code == APP_LOAD_ERROR:
            sys.exit(USAGE)
        raise
    sys.exit(0)
