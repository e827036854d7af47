"""What stands behind a queue in one process: its settings, its server, one broker for each queue, and the producer."""

from __future__ import annotations

from functools import cached_property

import redis

from buraq.broker import Broker
from buraq.config import Config
from buraq.connection import Server
from buraq.keys import Names
from buraq.producer import Producer


class Backend:
    """Settings and server. Nothing is connected before the first use."""

    def __init__(self, config: Config, client: redis.Redis | None = None) -> None:
        self.config = config
        self.names = Names(config.stream_name, config.dlq_stream_name)
        self._client = client
        self._brokers: dict[str, Broker] = {}

    @cached_property
    def server(self) -> Server:
        """The server that the queues live on."""
        if self._client is not None:
            return Server.from_client(self._client)
        return Server.from_url(self.config.redis_url, self.config.redis_ssl_cert_reqs)

    @cached_property
    def producer(self) -> Producer:
        """The one producer of this process."""
        return Producer(self.server, self.names.queues, self.config.enqueue_timeout, self.config.durability)

    def broker(self, queue: str) -> Broker:
        """Return the transitions of a queue."""
        broker = self._brokers.get(queue)
        if broker is None:
            keys = self.names.queue(queue)
            broker = self._brokers[queue] = Broker(keys, self.config.group_name, self.config.events_channel)
        return broker
