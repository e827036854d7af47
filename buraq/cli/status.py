"""`buraq status`, `buraq workers` and `buraq config`: what is there, read and printed."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import click

from buraq.backend import Backend
from buraq.cli.options import json_option
from buraq.cli.output import age, counted, moment, print_json, print_table, say_broken
from buraq.cli.session import Session
from buraq.config import SETTINGS
from buraq.inspector import Broken, Inspector, QueueCounts, WorkerProcess
from buraq.target import load


@click.command()
@json_option
@click.pass_obj
def status(session: Session, as_json: bool) -> None:
    """Show the server, the queues and the worker processes.

    \b
    Examples:
      buraq status
      buraq status --json | jq '.queues[] | select(.dead > 0)'
    """
    with session.queue() as app:
        inspector = Inspector(app.backend)
        server = _server(app.backend)
        broken: Broken = {}
        queues = [inspector.counts(name, broken) for name in inspector.queues(broken)]
        processes = inspector.workers(broken)
    if as_json:
        print_json(
            {
                "server": server,
                "queues": [asdict(counts) | _broken_of(broken, counts.queue) for counts in queues],
                "workers": [_facts(process) for process in processes],
            }
        )
        return
    click.echo(f"{server['url']} · {server['name']} {server['version']} · {server['stream_name']}\n")
    print_table(
        ("QUEUE", "WAITING", "OLDEST", "RUNNING", "SCHEDULED", "DEAD"),
        [_row(counts, set(broken.get(counts.queue, {}).values())) for counts in queues],
    )
    click.echo()
    _print_workers(processes)
    dead = sum(counts.dead for counts in queues)
    if dead:
        click.echo(f"\n{counted(dead, 'dead letter')}: buraq dlq list")
    say_broken(broken)


@click.command()
@json_option
@click.pass_obj
def workers(session: Session, as_json: bool) -> None:
    """List the worker processes, with those lost in the last minutes."""
    broken: Broken = {}
    with session.queue() as app:
        processes = Inspector(app.backend).workers(broken)
    if as_json:
        print_json([_facts(process) for process in processes])
    else:
        _print_workers(processes)
    say_broken(broken)


@click.command()
@json_option
@click.pass_obj
def config(session: Session, as_json: bool) -> None:
    """Show the settings in force, secrets masked. With --app or BURAQ_APP, that queue's."""
    settings = session.config()
    if settings.app:
        settings = load(settings.app).config
    shown = settings.masked()
    if as_json:
        print_json(shown)
        return
    rows = []
    for known in SETTINGS:
        value = shown[known.field]
        text = ",".join(map(str, value)) if isinstance(value, list) else _written(value)
        rows.append((next(iter(known.variables)), text, "set" if known.field in settings.explicit else "default"))
    print_table(("VARIABLE", "VALUE", "FROM"), rows)


def _written(value: object) -> object:
    """Return a value as it is written in a variable."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else value


def _row(q: QueueCounts, unread: set[str]) -> tuple[object, ...]:
    """Return a line of the table of queues, with `?` for what could not be read."""
    lines = ("?", "?", "?") if "waiting" in unread else (q.waiting, age(q.oldest) if q.waiting else "", q.running)
    scheduled, dead = ("?" if what in unread else getattr(q, what) for what in ("scheduled", "dead"))
    return q.queue, *lines, scheduled, dead


def _broken_of(broken: Broken, queue: str) -> dict[str, list[str]]:
    return {"broken": sorted(broken[queue])} if queue in broken else {}


def _print_workers(processes: list[WorkerProcess]) -> None:
    if not processes:
        click.echo("No worker process. Start one: buraq worker module:queue")
        return
    now = time.time()
    rows = []
    for process in processes:
        said = process.facts
        started = said.get("started_ms", "")
        rows.append(
            (
                process.id,
                process.status,
                f"{process.in_flight}/{said.get('slots', '?')}",
                f"{said.get('cpu', '?')}%",
                f"{said.get('memory_mb', '?')} MB",
                age(max(0.0, now - int(started) / 1000)) if started.isdecimal() else "",
                ",".join(process.queues),
            )
        )
    print_table(("WORKER", "STATUS", "BUSY", "CPU", "MEMORY", "UP", "QUEUES"), rows)


def _facts(process: WorkerProcess) -> dict[str, Any]:
    """Return a worker process as JSON has it, with numbers as numbers."""
    said: dict[str, Any] = dict(process.facts)
    for name in ("pid", "slots", "started_ms"):
        if str(said.get(name, "")).isdecimal():
            said[name] = int(said[name])
    for name in ("cpu", "memory_mb"):
        if name in said:
            said[name] = float(said[name])
    if isinstance(started := said.pop("started_ms", None), int):
        said["started_at"] = moment(started)
    of_server = {"status": process.status, "in_flight": process.in_flight, "queues": list(process.queues)}
    return {**said, "id": process.id, **of_server}


def _server(backend: Backend) -> dict[str, str]:
    """Return what the server says of itself; a user that may not ask gets its address alone."""
    [reply] = backend.server.shared.commands([("INFO", "server")])
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    valkey = "valkey_version" in said
    return {
        "url": backend.config.masked_url,
        "name": "Valkey" if valkey else "Redis",
        "version": said.get("valkey_version" if valkey else "redis_version", "(unknown)"),
        "stream_name": backend.config.stream_name,
    }
