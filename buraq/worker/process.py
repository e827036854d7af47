"""A worker process as a gunicorn worker: gunicorn forks it, watches its pulse and replaces it; the rest is ours."""

from __future__ import annotations

import faulthandler
import gc
import logging
import math
import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import gevent
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.workers.ggevent import GeventWorker
from redis.exceptions import ResponseError

from buraq.app import Buraq
from buraq.connection import Unreachable
from buraq.errors import ConfigError
from buraq.inspector import Broken, Inspector
from buraq.metrics import TaskMetrics
from buraq.target import TargetError, load
from buraq.worker.banner import Banner
from buraq.worker.board import RELIEVED
from buraq.worker.burst import Burst
from buraq.worker.facts import memory_bytes
from buraq.worker.limits import Limits
from buraq.worker.mock import MockProducer, register
from buraq.worker.rights import not_permitted
from buraq.worker.sandbox import Origin
from buraq.worker.worker import Worker

if TYPE_CHECKING:
    from buraq.worker.group import Group

log = logging.getLogger(__name__)

BROKEN = 70  # exit code of a process that ends because one of its loops broke
_EXIT_LEAST, _EXIT_MOST = 2.5, 10.0  # seconds in which a process that has stopped has to end; less than the arbiter's
_BREATH = 1.0  # seconds that a broken process waits, so that a fault that comes back at once is no fork storm


def tend_garbage() -> None:
    """Have the cyclic collector look less often: tasks are freed by their reference counts, and it costs time.

    What is there at the start stays, and is not looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class ConsumerWorker(GeventWorker):
    """Runs a `Worker`, and serves the metrics port."""

    app: Group
    queue: Buraq

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = self.app.board.free_row()
        self.burst_done = self.gave_up = self.relieved = False  # set in the arbiter when the process has ended
        self.hurry = False
        self._asked = Event()
        self._stop_at: float | None = None  # when it was told to stop
        self.broken = False

    def finished(self) -> bool:
        """Whether the burst of this process is over. Asked by the arbiter when it has ended."""
        return self.burst_done

    # -- signals: set flags, nothing else; they run inside the hub or inside a task

    def init_signals(self) -> None:
        """SIGTERM drains, SIGQUIT hurries. SIGINT and SIGHUP are the arbiter's alone: one Ctrl-C, and the end of a
        terminal, reach the whole group, and by itself a process would die of the latter in the middle of its tasks.
        """
        super().init_signals()
        # Handlers, because SIG_IGN would be inherited by the programs that tasks start.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop."""
        self._begin_stop()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop, and hand back at once what still runs."""
        self.hurry = True
        self._begin_stop()

    def _begin_stop(self) -> None:
        if self._stop_at is None:
            self._stop_at = time.monotonic()
            self.alive = False
            gevent.spawn(self._asked.set)

    def handle_abort(self, sig: int, frame: Any) -> None:
        """gunicorn's timeout: the hub has been blocked past MAX_BLOCKED. A SystemExit would only hit the task at
        hand.
        """
        os._exit(1)

    def notify(self) -> None:
        """Show the arbiter that the hub turns; when the arbiter has died, drain and leave."""
        self.tmp.notify()
        if self.ppid != os.getppid() and self._stop_at is None:
            log.warning("the arbiter is gone: draining")
            self._begin_stop()

    # -- life

    def load_wsgi(self) -> None:
        """Load the user's queue. What is wrong with it ends the whole group."""
        super().load_wsgi()
        options = self.app.options
        try:
            self.queue = load(options.target) if options.target else Buraq(options.config)
            self.queue.backend.server  # noqa: B018  reads the settings, which may be wrong in the user's own code
        except (ConfigError, TargetError) as error:
            self._give_up(error)
        if options.config.enable_mock_tasks:
            register(self.queue)

    def run(self) -> None:
        """Serve the metrics port and run the worker until told to stop; then drain."""
        servers = [self._serve(sock) for sock in self.sockets]
        options = self.app.options
        worker = Worker(
            self.queue,
            queues=options.queues,
            concurrency=options.concurrency,
            burst=options.burst,
            row=self.row,
            metrics=TaskMetrics(known=self.queue.registry),
            on_death=self._loop_broke,
            origin=Origin(options.target),
            cpu_processes=options.cpu_processes,
        )
        if "BURAQ_FAIL_POINTS" in os.environ:  # in tests of faults, nowhere else
            from buraq.worker import failpoints

            failpoints.arm(worker, os.environ[failpoints.VARIABLE])
        self.queue.on_enqueued = worker.metrics.enqueued
        self.row.claim(os.getpid(), worker.name)
        tend_garbage()
        limits = Limits(options.config, lambda: worker.worked)
        burst = Burst(worker, options.config.shutdown_timeout)
        worker.start()
        place = self.row.read().place
        helpers: list[Any] = [gevent.spawn(Banner(worker, self.app).show, full=place == 0)]
        if options.config.enable_mock_tasks and place == 0 and not options.burst:
            helpers.append(gevent.spawn(MockProducer(self.queue).run))
        while self.alive:
            self.notify()
            self._asked.wait(0.05 if options.burst else 0.2 if limits.set else 1.0)
            if burst.over() or worker.denied or self._has_done_enough(worker, limits):
                self.alive = False
        denied = worker.denied
        self._stop(worker, burst, helpers)
        for server in servers:
            server.stop(timeout=0.2)
        if denied:
            self._give_up(not_permitted(worker.app.config.masked_url, denied))
        sys.exit(BROKEN if self.broken else 0)

    def _give_up(self, error: ConfigError | TargetError) -> NoReturn:
        """End the whole group: what is wrong here would be wrong in the next process too."""
        print(f"Error: {error}", file=sys.stderr, flush=True)
        self.row.clear()  # what tells it from a process that was at work
        sys.exit(self.app.target_error)

    def _has_done_enough(self, worker: Worker, limits: Limits) -> bool:
        """Ask for a successor when a limit is reached. Returns whether it consumes: until then there is work to do."""
        state = self.row.read()
        if not state.limit and (limit := limits.reached()):
            taken = {"tasks": worker.worked, "memory_mb": round(memory_bytes() / 1e6, 1)}
            log.info("limit reached", extra={"worker": worker.name, "reached": limit, **taken})
            self.row.reach(limit)
        return state.relief == RELIEVED

    def _must_end(self) -> bool:
        """Whether what still runs is to be handed back: nobody waits for a process that has only been relieved."""
        told = self._stop_at is not None and time.monotonic() - self._stop_at > self.app.options.config.shutdown_timeout
        return self.hurry or self.broken or told

    def _stop(self, worker: Worker, burst: Burst, helpers: list[Any]) -> None:
        done = (worker.done or burst.gave_up) and not self.row.read().relief  # else its successor goes on
        self.row.retire()
        gevent.killall(helpers, block=False)
        if done and burst.gave_up:
            burst.say()
        if not done:
            reached = {"reached": limit} if (limit := self.row.read().limit) else {}
            log.info("stopping", extra={"worker": worker.name, "running": worker.slots.busy, **reached})
        handed = worker.stop(math.inf, hurry=self._must_end, tick=self.notify)
        if worker.left:
            self.row.leave()
        if done:
            self.row.finish(burst.gave_up)
            self._say_what_is_left()
        log.info("stopped", extra={"worker": worker.name, "handed_back": handed})
        # All is settled. What holds the process up from here on, as an atexit hook may, is shown and cut off.
        grace = self.app.options.config.shutdown_timeout
        with suppress(RuntimeError, OSError, ValueError):
            # The descriptor, for what sys.stderr is by now is the user's business, and may have none.
            faulthandler.dump_traceback_later(min(_EXIT_MOST, max(_EXIT_LEAST, grace)), exit=True, file=2)

    def _say_what_is_left(self) -> None:
        """A burst leaves what is due later; retries may be among that."""
        inspector = Inspector(self.queue.backend)
        with suppress(ResponseError, *Unreachable):
            broken: Broken = {}  # of a queue that cannot be read nothing is known
            scheduled = sum(inspector.counts(queue, broken).scheduled for queue in inspector.queues(broken))
            if scheduled:
                log.warning("worked off; tasks that are due later stay scheduled", extra={"scheduled": scheduled})

    def _serve(self, sock: Any) -> StreamServer:
        sock.setblocking(1)
        sock.set_inheritable(False)  # as gunicorn has made it: the port is none of a child's
        server = StreamServer(sock, handle=lambda client, address: self.handle(sock, client, address), spawn=Pool(100))
        server.max_accept = 1
        server.start()
        return server

    def _loop_broke(self, loop: str) -> None:
        """A process with a dead loop hands back what it has and is replaced."""
        self.broken = True
        gevent.spawn_later(_BREATH, self._begin_stop)
        # Should even that fail, the process must not stay behind, half alive.
        gevent.spawn_later(_BREATH + 10.0, os._exit, BROKEN)
