"""A cluster: which node serves which slot, and the shards that spread a queue over the nodes.

A shard is to the rest of Buraq what a server is: all its keys lie in one slot, and its connections are opened to
whichever node serves that slot by then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry

from buraq.config import Config
from buraq.connection import Link, Server, SharedLink, Unreachable
from buraq.lookup import open_to
from buraq.permissions import explained
from buraq.values import host_and_port

_EACH = 0.5  # seconds that one node has for its answer
_AGAIN = 0.1  # seconds between two questions, however many connections are in doubt
_BANDS = 256  # into which the slots are cut, so that shards lie evenly among them

Node = tuple[str, int]  # host and port


def tag_of(stream_name: str, shard: int) -> str:
    """Return the hash tag of a shard: `<STREAM_NAME>:<shard>`, with a suffix that brings it where it should lie.

    Nodes serve slots in long rows. So shards are put where they halve the gaps between those before them: any number
    of them is spread evenly over any number of nodes, and those that are there stay where they are. The more there are,
    the smaller are the gaps, and the nearer to its place each of them has to be; that costs 40 ms for 256.
    """
    row = int(f"{shard % _BANDS:08b}"[::-1], 2)
    first = row * SLOTS // _BANDS
    half_a_gap = SLOTS >> (shard % _BANDS).bit_length() + 1
    beyond = first + max(SLOTS // _BANDS, min(SLOTS // 32, half_a_gap))
    tag = f"{stream_name}:{shard}"
    suffix = 0
    while not first <= key_slot(tag.encode()) < beyond:
        suffix += 1
        tag = f"{stream_name}:{shard}.{suffix}"
    return tag


class Cluster:
    """Which node serves which slot, as one of the nodes said; asked again when somebody was sent elsewhere."""

    def __init__(self, nodes: Sequence[Node], kind: type[Any], options: dict[str, Any]) -> None:
        """`kind` and `options` make the redis-py connections to the nodes."""
        self._configured = tuple(nodes)
        self._kind = kind
        self.options = options
        self._options = {**options, "protocol": 2, "retry": Retry(NoBackoff(), 0), "decode_responses": True}
        self._rows: list[tuple[int, int, Node]] = []  # first slot, last slot, and the master of both
        self._nodes: tuple[Node, ...] = self._configured  # to be asked, in this order
        self._in_doubt = True
        self._asked_at = 0.0
        self._links: dict[tuple[str, Node], SharedLink] = {}

    def __str__(self) -> str:
        return f"the cluster of {','.join(f'{host}:{port}' for host, port in self._configured)}"

    def owner(self, slot: int, seconds: float = 2.0) -> Node:
        """Return the node that serves a slot, after `seconds` at most. Raises a redis-py `ConnectionError`."""
        if not self._rows or (self._in_doubt and time.monotonic() - self._asked_at > _AGAIN):
            self._asked_at = time.monotonic()
            self._in_doubt = False
            self._look(seconds)
        for first, last, node in self._rows:
            if first <= slot <= last:
                return node
        self._in_doubt = True
        raise RedisConnectionError(f"no node of {self} serves slot {slot}")

    def doubt(self) -> None:
        """Take note that the nodes may serve other slots by now."""
        self._in_doubt = True

    def _look(self, seconds: float) -> None:
        """Ask one node after the other, another one first each time: what one says may be old."""
        until = time.monotonic() + seconds
        troubles: list[str] = []
        for node in self._nodes:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                rows = list(self._ask(node, min(_EACH, left)))
            except (RedisError, OSError) as error:
                troubles.append(str(explained(error, ("CLUSTER", "SLOTS"))))
                continue
            if rows:
                known = dict.fromkeys((*(owner for _, _, owner in rows), *self._configured))
                self._rows = rows
                self._nodes = (*(one for one in known if one != node), node)
                return
            troubles.append(f"{node[0]}:{node[1]} knows of no slots")
        self._in_doubt = True
        self._nodes = (*self._nodes[1:], self._nodes[0])
        raise RedisConnectionError(f"no node of {self} answers: {'; '.join(troubles)}")

    def _ask(self, node: Node, seconds: float) -> Iterator[tuple[int, int, Node]]:
        connection = open_to(self._kind, node, seconds, **self._options)
        try:
            connection.send_command("CLUSTER", "SLOTS")
            for first, last, master, *_ in connection.read_response():
                # A node that does not know its own name means: where you have asked.
                yield first, last, (master[0] or node[0], int(master[1]))
        finally:
            connection.disconnect()

    def link(self, purpose: str, slot: int) -> SharedLink:
        """Return the link to the node that serves a slot which all shards there have in common for a purpose."""
        node = self.owner(slot)
        link = self._links.get((purpose, node))
        if link is None:
            options = {**self.options, "host": node[0], "port": node[1]}
            link = self._links[purpose, node] = SharedLink(Server(self._kind, options))
        return link

    def forget(self) -> None:
        """Drop the links, which are still the parent's after a fork."""
        self._links = {}

    def close(self, purpose: str) -> None:
        """Close the links of a purpose."""
        for (known, _), link in list(self._links.items()):
            if known == purpose:
                link.close()


class Owner:
    """The node that serves one slot, for connections that look it up."""

    def __init__(self, cluster: Cluster, slot: int) -> None:
        self._cluster = cluster
        self._slot = slot
        self.doubt = cluster.doubt

    def __str__(self) -> str:
        return str(self._cluster)

    def locate(self, seconds: float) -> Node:
        """Return where it is."""
        return self._cluster.owner(self._slot, seconds)

    def confirm(self, connection: Any) -> None:
        """Take it as it is: a node that does not serve the slot says so by itself."""


class ShardServer(Server):
    """The node that one shard lies on, whichever that is."""

    def __init__(self, kind: type[Any], options: dict[str, Any], cluster: Cluster, tag: str) -> None:
        self.cluster = cluster
        self.slot = key_slot(tag.encode())
        super().__init__(kind, options, Owner(cluster, self.slot))

    def shared_link(self, purpose: str) -> SharedLink:
        """Return a link that this shard has in common with those on the same node."""
        return NodeLink(self, purpose)

    def forget(self) -> None:
        """Drop connections inherited by a fork."""
        super().forget()
        self.cluster.forget()


class NodeLink(SharedLink):
    """A shared link to the node that a shard lies on at the moment of each use."""

    def __init__(self, server: ShardServer, purpose: str) -> None:
        super().__init__(server)  # its own connection is never opened
        self._cluster = server.cluster
        self._slot = server.slot
        self._purpose = purpose

    def once(self, ask: Callable[[Link], Any]) -> Any:
        """Do something with the connection to the node when it is its turn."""
        try:
            return self._cluster.link(self._purpose, self._slot).once(ask)
        except Unreachable:
            self._cluster.doubt()
            raise

    def close(self) -> None:
        """Close the connections to all nodes."""
        self._cluster.close(self._purpose)


def cluster_of(server: Server, config: Config) -> Cluster:
    """Return the cluster of REDIS_ADDRS. How to connect to its nodes is said by REDIS_URL; where they are is not."""
    options = {key: value for key, value in server.options.items() if key not in ("host", "port", "path")}
    found = [host_and_port(node) for node in config.redis_addrs]
    nodes = [(node[0], node[1] or 6379) for node in found if node is not None]
    return Cluster(nodes, server.kind, options)
