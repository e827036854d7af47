"""A read that waits at a server for what happens to it there.

What it is told, on Valkey 9.1 and Redis 7.0 (tests/integration/test_replicas.py, test_sentinels.py, test_clusters.py):

| what happens                              | the blocked read                            | the next one there       |
|-------------------------------------------|---------------------------------------------|--------------------------|
| its server is killed                      | the connection is closed                    | connection refused       |
| its server stands still and is replaced   | nothing meanwhile; then as demoted, and for | as demoted               |
|                                           | a second it may be served what will be lost |                          |
| REPLICAOF makes its server a replica      | UNBLOCKED                                   | READONLY                 |
| sentinels make its server a replica       | the connection is closed                    | READONLY                 |
| a failover in a cluster demotes its server| MOVED; on Redis 7 UNBLOCKED                 | MOVED                    |
| min-replicas-to-write is not met          | it stays                                    | NOREPLICAS               |
| most masters of its cluster are gone      | CLUSTERDOWN                                 | CLUSTERDOWN              |
| its slot begins to move                   | it stays, and is served                     | served while all its     |
|                                           |                                             | keys are there           |
| its only stream is carried over           | ASK; on Redis 7 UNBLOCKED                   | ASK; at the target MOVED |
|                                           |                                             | unless with ASKING       |
| one of its streams is carried over        | TRYAGAIN; on Redis 7 UNBLOCKED              | TRYAGAIN, at both        |
| its slot has moved                        | with ASKING at the target: it stays         | MOVED                    |
| its slot moves in one step (CLUSTER       | MOVED                                       | MOVED                    |
| MIGRATESLOTS, Valkey 9)                   |                                             |                          |

As long as a slot moves key by key, a script or a read that names a key which does not exist, beside one that does, is
refused with TRYAGAIN even before any key has moved, and at the target until the move is over.
"""

import gevent
from gevent.event import AsyncResult
from redis.exceptions import RedisError

from tests.servers import PATIENCE, Server, eventually

GROUP = "g"
BLOCK_S = 2 * PATIENCE


class BlockedRead:
    """An XREADGROUP that blocks, on a connection of its own: made once the server has it blocked.

    `answer` returns what came, or raises what the server said instead. With `asking` it is sent as after an ASK.
    """

    def __init__(self, server: Server, *streams: str, asking: bool = False) -> None:
        self._client = server.client(single_connection_client=True, socket_timeout=2 * BLOCK_S)
        self._streams, self._asking = streams, asking
        number = self._client.client_id()
        self._answer = AsyncResult()
        gevent.spawn(self._read)
        with server.client() as looking:
            eventually(lambda: self._answer.ready() or "b" in looking.client_list(client_id=[number])[0]["flags"])
        assert not self._answer.ready(), f"it was answered at once: {self._answer.value or self._answer.exception}"

    def answer(self, timeout: float = PATIENCE) -> list[str]:
        """Return the ids of the entries that it got. Raises what it was told instead."""
        [[_, entries]] = self._answer.get(timeout=timeout)
        return [entry for entry, _ in entries]

    def _read(self) -> None:
        words = ("XREADGROUP", "GROUP", GROUP, "reader", "BLOCK", int(BLOCK_S * 1000), "STREAMS", *self._streams)
        try:
            if self._asking:
                self._client.execute_command("ASKING")
            self._answer.set(self._client.execute_command(*words, *(">" for _ in self._streams)))
        except RedisError as error:
            self._answer.set_exception(error)
