"""The events of a cluster: those of all shards, heard by one thread and kept in one ring."""

from __future__ import annotations

import select
import time
from collections.abc import Sequence
from typing import Any

from buraq.backend import Backend
from buraq.clusters import ShardServer
from buraq.connection import Server
from buraq.events import ANSWER_TIMEOUT, QUIET, RING_SIZE, TICK, Feed, Inbox, View
from buraq.lookup import NotHere

_MESSAGE, _ENDED = b"smessage", b"sunsubscribe"
_AT_ONCE = 200  # messages between two moments at which others may run


class ShardedFeed(Feed):
    """Hears the channel of each shard, on one connection to each node.

    Each shard's events come in order; those of different ones do not, and no two processes hear them in the same order.
    So whoever comes back after an event is told that some may be missing.
    """

    _command = "SSUBSCRIBE"

    def __init__(self, sources: Sequence[tuple[ShardServer, str]], size: int = RING_SIZE) -> None:
        super().__init__(sources[0][0], sources[0][1], size)
        self._sources = sources

    def _inbox(self, view: View, after: int | None) -> Inbox:
        if after is None:
            return super()._inbox(view, after)
        return Inbox(self, view, self.ring.later_than(after), after, gap=True)

    def _listen(self) -> None:
        """Subscribe at all nodes and take in messages until it is over. Raises when one connection breaks."""
        connections: dict[tuple[str, int], Any] = {}
        try:
            for server, channel in self._sources:
                node = server.cluster.owner(server.slot)
                if node not in connections:
                    connections[node] = server.connection(ANSWER_TIMEOUT)
                connections[node].send_command(self._command, channel)
                connections[node].read_response()
            with self.news:
                if self._broken:
                    self.ring.append(None)
                self._live = True
                self.news.notify_all()
            self._take_in_all(list(connections.values()))
        finally:
            for connection in connections.values():
                connection.disconnect()

    def _take_in_all(self, connections: list[Any]) -> None:
        ready = select.poll()
        by_file = {connection._sock.fileno(): connection for connection in connections}
        for file in by_file:
            ready.register(file, select.POLLIN)
        heard_at = dict.fromkeys(by_file, time.monotonic())
        asked: set[int] = set()
        # Where there may be more: no poll tells of what a connection has read ahead, here or when it subscribed.
        begun = set(by_file)
        while not self._done():
            for file in begun | {file for file, _ in ready.poll(0 if begun else TICK * 1000)}:
                heard_at[file] = time.monotonic()
                asked.discard(file)
                if self._take_in_what_is_there(by_file[file]):
                    begun.add(file)
                else:
                    begun.discard(file)
            for file, connection in by_file.items():
                silent = time.monotonic() - heard_at[file]
                if silent > QUIET + ANSWER_TIMEOUT:
                    raise TimeoutError("a node of the cluster is silent")
                if silent > QUIET and file not in asked:
                    connection.send_command("PING")
                    asked.add(file)
            # Where messages come faster than they are read, no read ever waits, and no greenlet would run.
            time.sleep(0)

    def _take_in_what_is_there(self, connection: Any) -> bool:
        """Take messages in. Returns whether there may be more: after so many others may run before."""
        taken = 0
        messages: list[bytes] = []
        while taken < _AT_ONCE and connection.can_read(0):
            reply = connection.read_response(timeout=ANSWER_TIMEOUT)
            if reply[0] == _ENDED:
                raise NotHere("a shard has moved to another node")
            if reply[0] == _MESSAGE:
                messages.append(reply[2])
            taken += 1
        with self.news:
            if not self._closed:
                for raw in messages:
                    self.ring.append(raw)
                self.news.notify_all()
        return taken == _AT_ONCE


def feed_of(backend: Backend) -> Feed:
    """Return the events of a backend as one process hears them."""
    sources: list[tuple[Server, str]] = [(shard.server, shard.channel) for shard in backend.shards]
    of_shards = [(server, channel) for server, channel in sources if isinstance(server, ShardServer)]
    return ShardedFeed(of_shards) if of_shards else Feed(*sources[0])
