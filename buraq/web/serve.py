"""Runs the API under gunicorn: its settings, which gunicorn.conf.py shares, and gunicorn inside this process."""

from __future__ import annotations

import gc
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import gevent
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.ggevent import GeventWorker

from buraq import log, metrics
from buraq.app import Buraq
from buraq.config import Config
from buraq.errors import ConfigError
from buraq.values import Address
from buraq.web.application import create_app

CONNECTIONS = 4000  # of one process; streams may take three quarters of them

_log = logging.getLogger("buraq.web")


class OneLog(Logger):
    """Gunicorn's lines go where all others go, in the same format."""

    def setup(self, cfg: Any) -> None:
        """As gunicorn does it, then without handlers of its own unless a file was asked for."""
        super().setup(cfg)
        if cfg.errorlog == "-" and logging.getLogger().handlers:
            self.error_log.handlers.clear()
            self.error_log.propagate = True


class ApiWorker(GeventWorker):
    """gunicorn's gevent worker, but Ctrl-C ends it as SIGTERM does, and not by a traceback in the middle of a request;
    and connections take turns.
    """

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request. Then it is the others' turn: a client that asks again at once is read without a wait,
        and would be served for as long as its connection lives.
        """
        done = super().handle_request(listener_name, req, sock, addr)
        gevent.sleep(0)
        return done

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Take no more requests, end the streams, finish what is under way."""
        self.alive = False


def settings(config: Config, bind: Address | None = None) -> dict[str, Any]:
    """Return gunicorn's settings for the API. Sets up logging and the folder of the metrics: call it in the parent.

    The number of processes is gunicorn's own default, WEB_CONCURRENCY or 1.
    """
    log.configure(config.log_format, config.log_level)
    metrics.prepare_multiprocess()
    return {
        "bind": str(bind or config.api_port),
        "worker_class": "buraq.web.serve.ApiWorker",
        "limit_request_line": 8190,  # an id may have 512 characters, and each takes up to twelve in an address
        "worker_connections": CONNECTIONS,
        "graceful_timeout": max(1, int(config.shutdown_timeout)),
        "worker_tmp_dir": _memory_folder(),
        # One path for all programs of a user, and whoever connects there may stop them.
        "control_socket_disable": True,
        "logger_class": OneLog,
        "loglevel": config.log_level if config.log_level == "debug" else "warning",
        "proc_name": "buraq-api",
        "post_worker_init": lambda worker: settle_memory(),
        "when_ready": lambda arbiter: greet(config, arbiter),
        "child_exit": lambda arbiter, worker: metrics.forget_process(worker.pid),
    }


def settle_memory() -> None:
    """Take what is imported and made by now out of the collector's sight.

    A full collection would look at all of it again and again, and hold up an answer for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()


def _memory_folder() -> str | None:
    """Where workers show that they live: a disk that hangs must not look like a worker that hangs."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


def greet(config: Config, arbiter: Any) -> None:
    """Say where the API listens, and how open it is."""
    where = ", ".join(str(listener) for listener in arbiter.LISTENERS)
    _log.info("api started", extra={"listens": where, "processes": arbiter.num_workers, "redis": config.masked_url})
    if config.read_only:
        _log.info("READ_ONLY=true: no changes are taken")
    elif not config.api_key:
        _log.warning("API_KEY is not set: changes are taken from loopback only, and reading is open to everybody")


def _check_free(address: Address) -> None:
    """Raise `ConfigError` when the address cannot be listened on; gunicorn would try for five seconds first."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address.host, address.port))
        except OSError as error:
            raise ConfigError("API_PORT", str(address), f"it cannot be listened on: {error.strerror}") from None


class Application(BaseApplication):
    """The API as a gunicorn application without a command line and a configuration file."""

    def __init__(self, load: Callable[[], Flask], options: dict[str, Any]) -> None:
        self._load = load
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application. Runs in each worker process."""
        return self._load()


def serve(
    queue: Buraq | Callable[[], Buraq] | None, config: Config, bind: Address | None = None, **options: Any
) -> NoReturn:
    """Serve the API until this process is told to stop, then exit.

    A callable `queue` is called in each process, after the fork. `bind` wins over PORT and API_PORT, and `options`
    over the rest of gunicorn's settings. The process must be patched by gevent already.
    """

    def load() -> Flask:
        return create_app(queue() if callable(queue) else queue, config)

    _check_free(bind or config.api_port)
    Application(load, {**settings(config, bind), **options}).run()
    sys.exit(0)
