"""What stands behind a queue in one process: its settings, and its shards, each with a server, brokers and a producer.

On one server, with sentinels too, there is one shard: all of it. In a cluster there are STREAM_SHARDS of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cached_property

import redis

from buraq.broker import Broker, Item, Verdict
from buraq.clusters import Cluster, ShardServer, cluster_of, tag_of
from buraq.config import Config
from buraq.connection import Server
from buraq.errors import ConfigError
from buraq.keys import Names
from buraq.producer import ROUND, Producer
from buraq.sentinels import followed


class Shard:
    """A part of all queues that lies on one server: the whole of them, or one slot of a cluster."""

    def __init__(self, backend: Backend, names: Names) -> None:
        self.number = names.shard
        self.names = names
        self.config = backend.config
        self.channel = f"{names.base}:{self.config.events_channel}" if names.tag else self.config.events_channel
        self._backend = backend
        self._brokers: dict[str, Broker] = {}

    @cached_property
    def server(self) -> Server:
        """The server that it lies on."""
        return self._backend.server_of(self.names)

    @cached_property
    def producer(self) -> Producer:
        """The one producer of this process for it."""
        return Producer(self.server, self.names.queues, self.config.enqueue_timeout, self.config.durability)

    def broker(self, queue: str) -> Broker:
        """Return the transitions of a queue."""
        broker = self._brokers.get(queue)
        if broker is None:
            keys = self.names.queue(queue)
            broker = Broker(keys, self.config.group_name, self.channel, bool(self.names.tag))
            self._brokers[queue] = broker
        return broker


class Backend:
    """Settings and server. Nothing is connected before the first use."""

    def __init__(self, config: Config, client: redis.Redis | None = None) -> None:
        self.config = config
        self._client = client
        self._embedded: object = None  # a server that ends with this process
        names = Names(config.stream_name, config.dlq_stream_name)
        if config.redis_cluster and client is not None:
            raise ConfigError("REDIS_CLUSTER", "true", "a client= is one server's; name the nodes in REDIS_ADDRS")
        if config.redis_cluster:
            shards = [names.of_shard(n, tag_of(config.stream_name, n)) for n in range(config.stream_shards)]
            self.shards = tuple(Shard(self, names) for names in shards)
        else:
            self.shards = (Shard(self, names),)
        # Of the only shard; in a cluster of the first, for what is not a queue's.
        self.names = self.shards[0].names
        self.broker = self.shards[0].broker

    def shard_of(self, key: str) -> Shard:
        """Return the shard for a task with this idempotency key or, without one, with this id."""
        if len(self.shards) == 1:
            return self.shards[0]
        return self.shards[zlib.crc32(key.encode()) % len(self.shards)]

    @property
    def server(self) -> Server:
        """The server that the queues live on; in a cluster the one of the first shard."""
        return self.shards[0].server

    @property
    def producer(self) -> Producer:
        """The one producer of this process; in a cluster the one of the first shard."""
        return self.shards[0].producer

    def send(self, queue: str, items: Sequence[Item]) -> dict[int, Verdict]:
        """Send items of one queue, each to its shard; return the verdicts on those that were not simply accepted.

        Raises as `Producer.send` does; what was sent before that is accepted.
        """
        places: dict[Shard, list[int]] = {}
        for n, item in enumerate(items):
            places.setdefault(self.shard_of(item.owner or item.id), []).append(n)
        verdicts: dict[int, Verdict] = {}
        for shard, numbers in places.items():
            for start in range(0, len(numbers), ROUND):
                chunk = numbers[start : start + ROUND]
                said = shard.producer.send(shard.broker(queue), [items[n] for n in chunk])
                verdicts.update((chunk[n], verdict) for n, verdict in (said or {}).items())
        return verdicts

    def server_of(self, names: Names) -> Server:
        """Return the server that keys of these names lie on."""
        if names.tag:
            return ShardServer(self._server.kind, self._cluster.options, self._cluster, names.tag)
        return self._server

    @cached_property
    def _cluster(self) -> Cluster:
        return cluster_of(self._server, self.config)

    @cached_property
    def _server(self) -> Server:
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

    def close(self) -> None:
        """Close the shared connections."""
        for shard in self.shards:
            shard.server.shared.close()
