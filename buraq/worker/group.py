"""A group of worker processes under one arbiter: what `buraq worker` runs."""

from __future__ import annotations

import codecs
import errno
import logging
import os
import socket
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import gevent
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from buraq import metrics
from buraq.config import Config
from buraq.errors import ConfigError
from buraq.scripts import load
from buraq.values import Address
from buraq.worker.arbiter import GroupArbiter
from buraq.worker.board import RELIEVED, Board
from buraq.worker.deputy import Deputy
from buraq.worker.farewells import Farewells
from buraq.worker.probes import Probes

log = logging.getLogger(__name__)

ARBITER_GRACE = 3.0  # seconds more than SHUTDOWN_TIMEOUT before the arbiter kills: handing back takes a moment
_PORTS_TRIED = 50
EXIT_CODES: dict[object, int] = {
    None: 0,
    0: 0,
    4: 2,
}  # gunicorn's to ours: 4 is a target that cannot be loaded, a usage error


@dataclass(frozen=True)
class GroupOptions:
    """What to run: `target` names the user's queue (None: the mock tasks), `queues` empty means all that exist."""

    config: Config
    target: str | None = None
    queues: tuple[str, ...] = ()
    processes: int = 1
    concurrency: int = 1000
    burst: bool = False
    cpu_processes: int = 1


class PropagatingLogger(Logger):
    """Lets gunicorn's warnings go where all log lines go."""

    def setup(self, cfg: Any) -> None:
        """Add no handlers of its own."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.setLevel(logging.WARNING)
        self.error_log.propagate = True

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Leave out what a target that cannot be loaded has said better."""
        if not (args and args[-1] == Group.target_error) and "App failed to load." not in args:
            super().error(msg, *args, **kwargs)


class Group(BaseApplication):
    """The gunicorn application: its settings, and what its worker processes need of their parent."""

    target_error = 4  # exit code of a worker process that gunicorn takes for the application's fault: it ends the group

    def __init__(self, options: GroupOptions, listener: socket.socket) -> None:
        self.options = options
        self.board = Board()
        self.farewells = Farewells(options.config)
        self.deputy = Deputy(self.board, Probes(self.board, options.config, counting=False))
        self.address = listener.getsockname()
        self._listener = listener.detach()  # its descriptor: the settings are read again at each SIGHUP
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up; the user's own gunicorn settings are for their web server, not for this."""
        config = self.options.config
        settings: dict[str, Any] = {
            "bind": [f"fd://{self._listener}"],
            "workers": self.options.processes,
            "worker_class": "buraq.worker.process.ConsumerWorker",
            "worker_connections": 100,
            # For so long a reload would wait until the old processes are gone, and hear no signal to stop meanwhile.
            # The stop has a grace of its own.
            "graceful_timeout": 0,
            # One long CPU task must not have the process killed, with all its neighbours, before MAX_BLOCKED.
            "timeout": int(config.max_blocked) + 15,
            "keepalive": 1,
            "control_socket_disable": True,  # two masters of one user would share its path
            "logger_class": PropagatingLogger,
            "loglevel": "warning",
            "proc_name": "buraq worker",
            "child_exit": lambda arbiter, worker: worker_gone(self, worker),
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI app of the metrics port."""
        return Probes(self.board, self.options.config)


def listen(config: Config) -> socket.socket:
    """Open the metrics port. At its default it moves to the next free one; chosen by hand and taken, it is an error."""
    address = config.metrics_port
    chosen = "metrics_port" in config.explicit
    for port in range(address.port, address.port + (1 if chosen else _PORTS_TRIED)):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address.host, port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                raise ConfigError("METRICS_PORT", str(address), f"it cannot be listened on: {error.strerror}") from None
            continue
        if port != address.port:
            log.warning("metrics port taken, moved", extra={"wanted": address.port, "port": port})
        return listener
    raise ConfigError("METRICS_PORT", str(Address(address.host, address.port)), "the port is taken; choose another")


def worker_gone(group: Group, worker: Any) -> None:
    """Tidy up after a worker process that has ended; one that did not leave by itself loses its lease at once."""
    row = worker.row
    state = row.read()
    worker.burst_done, worker.gave_up = state.done, state.gave_up
    worker.relieved = state.relief == RELIEVED
    row.clear()
    metrics.forget_process(worker.pid)
    if state.name:
        group.farewells.end_lease(state.name)


def import_all() -> None:
    """Import what a worker process would import when its loops and its lease thread first connect, all at once.

    The lock of a module that is being imported is a greenlet's as well, and a thread and a greenlet that want the same
    one may wait for each other for ever: the process lives then, and never gets a lease.
    """
    # To ask for these two imports them.
    gevent.config.resolver, gevent.config.threadpool  # noqa: B018
    codecs.lookup("idna")
    codecs.lookup("ascii")
    for script in files("buraq").joinpath("lua").iterdir():
        if script.is_file():
            load(script.name.removesuffix(".lua"))


def run(options: GroupOptions) -> int:
    """Run a group of worker processes until it is stopped. Returns the exit code.

    Raises `ConfigError` when the metrics port was chosen by hand and cannot be listened on.
    """
    metrics.prepare_multiprocess()
    import_all()
    arbiter = os.getpid()
    group = Group(options, listen(options.config))
    running = GroupArbiter(group, options.burst, options.config.shutdown_timeout + ARBITER_GRACE)
    try:
        running.run()
    except SystemExit as end:
        if os.getpid() != arbiter:  # a worker process, on its way out through here
            raise
        code = EXIT_CODES.get(end.code, 1)
        # Workers that had to be killed did not stop cleanly, and a burst that gave up is not done.
        return code or int(running.killed or running.gave_up)
    return 0
