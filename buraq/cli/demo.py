"""`buraq demo`: a server, the API, a worker and mock tasks on this machine, until Ctrl-C; nothing stays behind."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import os
import time

import click

from buraq import log
from buraq.backend import Backend
from buraq.cli.children import Child, Signals, stop_signals
from buraq.cli.counts import Counts
from buraq.cli.failures import FAILED, USAGE, Failure
from buraq.cli.options import Parsed
from buraq.cli.ports import Ports
from buraq.cli.session import EMBEDDED, Session, check_concurrency, put, reached, resolved
from buraq.config import Config
from buraq.values import Address, duration, mask_url

READY = 30.0  # seconds that the API and the worker have to answer
API_GRACE = 8.0  # seconds that the API has to end
WORKER_GRACE = 10.0  # seconds above SHUTDOWN_TIMEOUT before the worker is killed
MOVES = 3  # how often a part that lost its port is started on another one

# What a demo is run with where the environment does not say otherwise: lively, and quick to stop.
DEMO_STREAM = "buraq_demo"
LIVELY = {"mock_task_interval": "250ms", "shutdown_timeout": "3s", "log_format": "text"}


@click.command()
@click.option(
    "--seconds", type=Parsed(duration(0.1), "duration"), metavar="N", help="End by itself after so many seconds."
)
@click.option("--no-api", is_flag=True, help="Leave the API out.")
@click.pass_obj
def demo(session: Session, seconds: float | None, no_api: bool) -> None:
    """See it run: a server, the API, a worker, made-up tasks.

    The server is REDIS_URL or REDIS_ADDR when one is set, else an embedded one that ends with the demo. All of it
    listens on 127.0.0.1, on ports 8080 and 2112 or the next free ones, unless API_PORT and METRICS_PORT say otherwise.

    \b
    Examples:
      buraq demo
      buraq demo --seconds 20
      MOCK_TASK_INTERVAL=20ms buraq demo           livelier
    """
    check_concurrency()
    given = session.config()
    config = session.config(**{k: v for k, v in LIVELY.items() if k not in given.explicit})
    if "redis_url" not in config.explicit:
        config = dataclasses.replace(config, redis_url=EMBEDDED, explicit=config.explicit | {"redis_url"})
    elif "stream_name" not in config.explicit:
        # On a server that others use the demo's worker would bury their tasks as of an unknown type.
        config = session.config(**{k: v for k, v in LIVELY.items() if k not in given.explicit}, stream_name=DEMO_STREAM)
    log.configure(config.log_format, config.log_level)
    embedded = config.redis_url.startswith("embedded:")
    with Ports() as ports, stop_signals() as signals:
        config = ports.choose(config, "metrics_port")
        if not no_api:
            config = ports.choose(config, "api_port")
        with resolved(config) as config:
            if signals.count:
                return
            with reached(Backend(config)):
                pass
            Demo(config, embedded, not no_api, ports, signals).run(seconds)


class Demo:
    """The demo's parts, started and stopped in their order: server, API and worker; worker, API, server."""

    def __init__(self, config: Config, embedded: bool, with_api: bool, ports: Ports, signals: Signals) -> None:
        self._config = config
        self._embedded = embedded
        self._with_api = with_api
        self._ports = ports
        self._signals = signals
        self._api: Child | None = None
        self._worker: Child | None = None
        self._moves = 0

    def run(self, seconds: float | None) -> None:
        """Start all parts, say where to look and what flows, and stop them. Raises `Failure` when one of them fails."""
        with Counts(self._config) as counts:
            try:
                self._start_worker()
                if self._with_api:
                    self._start_api()
                if self._ready():
                    self._say_where()
                    self._watch(counts, seconds)
            finally:
                self._stop(counts)

    # -- start

    def _start_worker(self) -> None:
        self._worker = Child("worker", ["worker"], self._environment())

    def _start_api(self) -> None:
        self._api = Child("API", ["api", "--bind", str(self._config.api_port)], self._environment())

    def _environment(self) -> dict[str, str]:
        """Return what the children read: the mock tasks instead of the user's own, on these ports."""
        config, env = self._config, dict(os.environ)
        env.pop("BURAQ_APP", None)
        for field in LIVELY:
            value = getattr(config, field)
            put(env, field, f"{value:g}s" if isinstance(value, float) else str(value))
        put(env, "redis_url", config.redis_url)
        put(env, "stream_name", config.stream_name)
        put(env, "api_port", str(config.api_port))
        put(env, "metrics_port", str(config.metrics_port))
        put(env, "enable_mock_tasks", "true")
        return env

    def _ready(self) -> bool:
        """Wait until all parts answer. Returns False when the demo is stopped before. Raises `Failure`."""
        deadline = time.monotonic() + READY
        waiting = {"metrics_port": "/readyz"} | ({"api_port": "/api/health"} if self._with_api else {})
        while waiting:
            for field, path in list(waiting.items()):
                child = self._worker if field == "metrics_port" else self._api
                address: Address = getattr(self._config, field)
                if child is not None and child.status is not None:
                    self._move(field, child)
                elif _answers(address, path):
                    del waiting[field]
                elif time.monotonic() > deadline:
                    raise Failure(f"no good answer at http://{address}{path} within {READY:g}s")
            if self._signals.wait(0.1 if waiting else 0.0):
                return False
        return True

    def _move(self, field: str, child: Child) -> None:
        """Start a part anew on another port when it has ended because somebody took the one that was free.

        Raises `Failure` when it must have ended for another reason.
        """
        self._moves += 1
        beaten = child.status == (USAGE if field == "metrics_port" else FAILED)
        if not beaten or field in self._config.explicit or self._moves > MOVES:
            self._refuse_ended()
        self._config = self._ports.choose(self._config, field)
        if field == "metrics_port":
            self._start_worker()
        else:
            self._start_api()

    def _refuse_ended(self) -> None:
        for child in (self._worker, self._api):
            if child is not None and child.status is not None:
                raise Failure(f"the {child.name} ended with status {child.status}; its last lines say why")

    # -- while it runs

    def _say_where(self) -> None:
        config = self._config
        api = f"http://{config.api_port}"
        server = "embedded, in memory" if self._embedded else mask_url(config.redis_url)
        lines = [("server", f"{server}; look at it with: buraq -u '{mask_url(config.redis_url)}' status")]
        if self._with_api:
            lines += [("dashboard", f"{api}/"), ("API", f"{api}/api/health"), ("events", f"curl -N {api}/api/stream")]
            if not config.api_key and not config.read_only:
                lines += [("replay", f"curl -X POST {api}/api/retry-dlq")]
        lines += [("metrics", f"http://{config.metrics_port}/metrics")]
        lines += [("stop", "Ctrl-C")]
        click.echo("\nBuraq runs. Where to look:")
        for name, text in lines:
            click.echo(f"  {click.style(f'{name:<9}', bold=True)} {text}")
        click.echo()

    def _watch(self, counts: Counts, seconds: float | None) -> None:
        """Say once a second what flows, until told to stop or the time is over. Raises `Failure`."""
        began = time.monotonic()
        end = began + seconds if seconds is not None else float("inf")
        tick = began
        while (now := time.monotonic()) < end:
            tick += 1.0
            if self._signals.wait(max(0.0, min(tick, end) - now)):
                return
            self._refuse_ended()
            click.echo(f"{time.monotonic() - began:4.0f}s  {counts.line()}")

    # -- stop

    def _stop(self, counts: Counts) -> None:
        asked = self._signals.count
        click.echo("\nStopping: worker, API, server." + (" Ctrl-C again hurries." if asked else ""))
        if self._worker is not None:
            self._worker.stop(self._config.shutdown_timeout + WORKER_GRACE, self._signals)
        summary = counts.line()
        if self._api is not None:
            self._api.stop(API_GRACE, self._signals)
        click.echo(f"In all: {summary}")


def _answers(address: Address, path: str) -> bool:
    with contextlib.closing(http.client.HTTPConnection(address.host, address.port, timeout=2.0)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
