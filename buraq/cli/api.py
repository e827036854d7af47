"""`buraq api`: serves the HTTP API."""

from __future__ import annotations

from typing import Any

import click

from buraq import log
from buraq.cli.options import Parsed, setting_option
from buraq.cli.session import Session, resolved
from buraq.values import Address, parse_address


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
    log.configure(config.log_format, config.log_level)
    options: dict[str, Any] = {} if workers is None else {"workers": workers}
    with resolved(config) as config:
        # Here, because they import Flask and gunicorn, which most commands do not need.
        from buraq.target import load
        from buraq.web.serve import serve

        name = config.app
        serve((lambda: load(name)) if name else None, config, where, **options)
