"""What stands behind a queue in one process: its settings, its server, one broker for each queue, and the producer."""

from __future__ import annotations

from functools import cached_property

import redis

from buraq.broker import Broker
from buraq.config import Config
from buraq.connection import Server
from buraq.errors import ConfigError
from buraq.keys import Names
from buraq.producer import Producer
from buraq.sentinels import followed


def _refuse_what_is_not_built(config: Config) -> None:
    """Raise `ConfigError` for a setting that would be ignored: half of one's tasks on another server than believed."""
    if config.redis_cluster:
        raise ConfigError("REDIS_CLUSTER", "true", "cluster mode is not built yet; name one server in REDIS_URL")


class Backend:
    """Settings and server. Nothing is connected before the first use."""

    def __init__(self, config: Config, client: redis.Redis | None = None) -> None:
        _refuse_what_is_not_built(config)
        self.config = config
        self.names = Names(config.stream_name, config.dlq_stream_name)
        self._client = client
        self._brokers: dict[str, Broker] = {}
        self._embedded: object = None  # a server that ends with this process

    @cached_property
    def server(self) -> Server:
        """The server that the queues live on."""
        if self._client is not None:
            return Server.from_client(self._client)
        url = self.config.redis_url
        if url.rstrip("/") == "embedded:":
            remedy = "a temporary server is a command's own; name a directory, embedded:///path, to share one"
            raise ConfigError("REDIS_URL", url, remedy)
        if url.startswith("embedded:"):
            from buraq.embedded import resolve  # a program that uses a server of its own pays for it, no other does

            # Started here, or found running: the command line and this program may share one.
            url, self._embedded = resolve(url)
        server = Server.from_url(url, self.config.redis_ssl_cert_reqs)
        if self.config.redis_sentinels:
            return followed(server, self.config)
        return server

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
