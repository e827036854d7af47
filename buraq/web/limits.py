"""How many requests one address may make: counted on Redis for all processes together, here while Redis is away."""

from __future__ import annotations

import logging
import time
from functools import cached_property

import redis
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from buraq.connection import Server, Unreachable
from buraq.log import RateLimited

REQUESTS, SECONDS = 200, 2
SCOPE = "api"

ANSWER_TIMEOUT = 0.3  # seconds; a request waits for this before it is answered
CONNECTIONS = 4
PAUSE = 1.0  # seconds between two attempts to reach Redis when it is away

_log = RateLimited(logging.getLogger(__name__))


class RateLimit:
    """At most REQUESTS in any SECONDS from one address, over all views and processes together.

    Built on `limits`, which Flask-Limiter is built on too. Not a `Limiter` itself: two of them in one app share its
    RATELIMIT_… settings, so ours would follow the limits that a user meant for the rest of the app.
    """

    def __init__(self, server: Server, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self._item = RateLimitItemPerSecond(REQUESTS, SECONDS)
        self._retry_at = 0.0

    def allows(self, address: str) -> bool:
        """Count a request, and say whether it is within the limit. Never raises for Redis."""
        if time.monotonic() >= self._retry_at:
            try:
                return self._shared.hit(self._item, SCOPE, address or "unknown")
            except (RedisError, *Unreachable) as error:
                self._retry_at = time.monotonic() + PAUSE
                _log.warning("rate limit is per process", extra={"error": str(error)})
        return self._own.hit(self._item, SCOPE, address or "unknown")

    @cached_property
    def _shared(self) -> MovingWindowRateLimiter:
        pool = self._server.client(ANSWER_TIMEOUT).connection_pool
        # Few: small plans allow twenty connections in all, and a burst would open one for each request.
        few = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
            max_connections=CONNECTIONS,
            timeout=ANSWER_TIMEOUT,
            connection_class=pool.connection_class,
            **pool.connection_kwargs,
        )
        return MovingWindowRateLimiter(RedisStorage("redis://", connection_pool=few, key_prefix=self._prefix))

    @cached_property
    def _own(self) -> MovingWindowRateLimiter:
        return MovingWindowRateLimiter(MemoryStorage())
