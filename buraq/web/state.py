"""What the API keeps for each queue in one process: whether the server answers, the events, the limits, the gauges."""

from __future__ import annotations

import threading
import time
from functools import cached_property

from redis.exceptions import RedisError

from buraq.backend import Backend
from buraq.connection import Link, Server, Unreachable
from buraq.inspector import Inspector
from buraq.metrics import QueueCollector
from buraq.redaction import Redaction
from buraq.sharded_events import feed_of
from buraq.web.limits import RateLimit
from buraq.web.streams import Streams
from buraq.web.v1.call import dumps
from buraq.web.v1.queues import overview

PROBE_TIMEOUT = 0.8  # seconds to connect, and again to answer
DEADLINE = 1.8  # seconds after which no answer is a no: health has two
FRESH = 0.25  # seconds for which an answer holds


class Probe:
    """Asks whether the server answers, on a connection of its own, so that nothing else that hangs can hold it.

    A thread asks: looking up a host name cannot be told to hurry. Callers that come together share one question.
    """

    def __init__(self, server: Server, whole: bool = False) -> None:
        """`whole`: it is a node of a cluster, and says whether the cluster works."""
        self._whole = whole
        self._link: Link = server.link(PROBE_TIMEOUT)
        self._news = threading.Condition()
        self._asking = False
        self._asked = 0  # how often an answer came
        self._answered_at = float("-inf")
        self._up = False

    def up(self, fresh: float = FRESH) -> bool:
        """Whether the server answered within the last `fresh` seconds, or does now. Takes DEADLINE at most."""
        with self._news:
            if time.monotonic() - self._answered_at < fresh:
                return self._up
            if not self._asking:
                self._asking = True
                threading.Thread(target=self._ask, name="buraq-probe", daemon=True).start()
            before = self._asked
            return self._news.wait_for(lambda: self._asked > before, DEADLINE) and self._up

    def _ask(self) -> None:
        up = False
        try:
            if self._whole:
                up = b"cluster_state:ok" in self._link.command("CLUSTER", "INFO")
            else:
                up = self._link.command("PING") in (b"PONG", "PONG", True)
        except (RedisError, *Unreachable):
            self._link.close()  # an error reply, like NOAUTH or LOADING, leaves it open
        finally:
            with self._news:
                self._up, self._answered_at = up, time.monotonic()
                self._asked += 1
                self._asking = False
                self._news.notify_all()


class ApiState:
    """Nothing in it connects, starts a thread or is bound to this process before it is used."""

    def __init__(self, backend: Backend) -> None:
        self.probe = Probe(backend.server, whole=len(backend.shards) > 1)
        self.inspector = Inspector(backend)
        self.streams = Streams(feed_of(backend), lambda: dumps(overview(backend, self.inspector)))
        self.redaction = Redaction(backend.config.redact_keys)
        self.rate_limit = RateLimit(backend.server, backend.names.limits)

    @cached_property
    def gauges(self) -> QueueCollector:
        """What `/metrics` reads from the server."""
        return QueueCollector(self.inspector, up=self.probe.up)


_states: dict[Backend, ApiState] = {}  # a program has a handful of backends, for as long as it runs
_lock = threading.Lock()


def state_of(backend: Backend) -> ApiState:
    """Return the state of a queue's API: one in each process, however often the blueprint is registered."""
    with _lock:
        state = _states.get(backend)
        if state is None:
            state = _states[backend] = ApiState(backend)
        return state
