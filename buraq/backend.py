"""What stands behind a queue in one process: its settings, and its shards, each with a server, brokers and a producer.

On one server, with sentinels too, there is one shard: all of it. In a cluster there are STREAM_SHARDS of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import redis
from redis.exceptions import RedisError

from buraq.broker import Broker, Item, Verdict
from buraq.clusters import Cluster, ShardServer, cluster_of, tag_of
from buraq.config import Config
from buraq.connection import Server, SharedLink
from buraq.errors import ConfigError, QueueUnavailable
from buraq.keys import Names, QueueKeys
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

    @property
    def history(self) -> int:
        """How many records of each kind are kept here of a queue: its part of HISTORY_LENGTH."""
        return -(-self.config.history_length // len(self._backend.shards))

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
            keys, config = self.names.queue(queue), self.config
            sharded = bool(self.names.tag)
            broker = Broker(keys, config.group_name, self.channel, self.history, sharded, config.enable_priority)
            # The first one counts, for threads that came at once too. Tasks are sent together by broker: with two of a
            # queue two calls of a batch would have one memo, and the second be answered with the first one's reply.
            broker = self._brokers.setdefault(queue, broker)
        return broker


class Part(NamedTuple):
    """What a shard holds of a queue: on one server all of it."""

    shard: Shard
    keys: QueueKeys

    @property
    def link(self) -> SharedLink:
        """The connection to where it lies."""
        return self.shard.server.shared


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
        if client is None and not config.redis_url.startswith("embedded:"):
            self._server = self._at(config.redis_url)  # here, so that a wrong option in it stops the start
        # Of the only shard; in a cluster of the first, for what is not a queue's.
        self.names = self.shards[0].names
        self.broker = self.shards[0].broker

    def shard_of(self, key: str) -> Shard:
        """Return the shard for a task whose place this is: its idempotency key, or else its group, or else its id."""
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

    def likely_first(self, task_id: str) -> list[Shard]:
        """Return all shards, first the one on which a task is that has neither idempotency key nor group."""
        number = self.shard_of(task_id).number
        return [self.shards[number], *self.shards[:number], *self.shards[number + 1 :]]

    def parts(self, queues: Iterable[str]) -> dict[str, Part]:
        """Return the parts of queues, each by a name: that of the queue, in a cluster `<shard>/<queue>`."""
        if len(self.shards) == 1:
            return {queue: Part(self.shards[0], self.names.queue(queue)) for queue in queues}
        parts = (Part(shard, shard.names.queue(queue)) for queue in queues for shard in self.shards)
        return {f"{part.shard.number}/{part.keys.name}": part for part in parts}

    def chunks(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Cut items of one queue into what `send` takes at once: in a cluster all, which it cuts by shard."""
        size = ROUND if len(self.shards) == 1 else max(1, len(items))
        for start in range(0, len(items), size):
            yield items[start : start + size]

    def send(self, queue: str, items: Sequence[Item]) -> dict[int, Verdict] | None:
        """Send a chunk of items of one queue, each to its shard; return as `Producer.send` does.

        Raises as that does. In a cluster `QueueUnavailable` names what was not sent as well: all others are accepted.
        """
        if len(self.shards) == 1:
            shard = self.shards[0]
            return shard.producer.send(shard.broker(queue), items)
        verdicts: dict[int, Verdict] = {}
        chunks = list(self._by_shard(items))
        for at, (shard, numbers) in enumerate(chunks):
            try:
                said = shard.producer.send(shard.broker(queue), [items[n] for n in numbers])
            except QueueUnavailable as error:
                # Their order says nothing to the caller: it does not know which shard was asked when.
                left = sorted(n for _, others in chunks[at:] for n in others)
                raise QueueUnavailable([items[n].id for n in left], error.seconds, error.reason) from error
            verdicts.update((numbers[n], verdict) for n, verdict in (said or {}).items())
        return verdicts

    def _by_shard(self, items: Sequence[Item]) -> Iterator[tuple[Shard, list[int]]]:
        """Yield what travels together: a shard, and the numbers of items that it gets."""
        places: dict[Shard, list[int]] = {}
        for n, item in enumerate(items):
            places.setdefault(self.shard_of(item.place), []).append(n)
        for shard, numbers in places.items():
            for start in range(0, len(numbers), ROUND):
                yield shard, numbers[start : start + ROUND]

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
        return self._at(url)

    def _at(self, url: str) -> Server:
        """Return the server at a URL of redis-py; nothing is connected yet."""
        try:
            server = Server.from_url(url, self.config.redis_ssl_cert_reqs)
        except (TypeError, ValueError, RedisError) as error:
            remedy = f"what stands behind the ? is for redis-py: {str(error).rpartition('() ')[2]}"
            raise ConfigError("REDIS_URL", self.config.masked_url, remedy) from None
        return followed(server, self.config) if self.config.redis_sentinels else server

    def close(self) -> None:
        """Close the shared connections."""
        for shard in self.shards:
            shard.server.shared.close()
