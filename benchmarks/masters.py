"""The servers that a queue lies on, one or the masters of a cluster, and what each of them says of its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from redis import Redis

from benchmarks.harness import environment, fresh_server, server_cpu
from buraq.backend import Backend
from buraq.config import Config
from buraq.keys import DEFAULT_QUEUE, NORMAL

STEPS = ("evalsha", "xreadgroup")  # the commands that a task is made of: scripts, and the fetch


class Seen(NamedTuple):
    """What one server has done so far."""

    cpu: float  # seconds
    calls: Mapping[str, int]  # by command
    micros: Mapping[str, int]  # in the command, and in what its script called
    traffic: int  # bytes that it has received and sent

    def since(self, before: Seen) -> Seen:
        """Return what it has done since."""
        return Seen(
            self.cpu - before.cpu,
            {step: self.calls[step] - before.calls[step] for step in STEPS},
            {step: self.micros[step] - before.micros[step] for step in STEPS},
            self.traffic - before.traffic,
        )


class Masters:
    """The servers of a queue with `shards` shards."""

    def __init__(self, clients: list[Redis], settings: Mapping[str, str], place: Callable[[str], int]) -> None:
        """`place` says on which of them a key lies."""
        self.clients = clients
        self.settings = settings
        self._streams: list[list[str]] = [[] for _ in clients]
        for shard in Backend(Config.from_env(environment(clients[0], settings))).shards:
            stream = shard.names.queue(DEFAULT_QUEUE).streams[NORMAL]
            self._streams[place(stream)].append(stream)

    @property
    def shards(self) -> list[int]:
        """How many shards each has."""
        return [len(streams) for streams in self._streams]

    def waiting(self) -> int:
        """Return how many tasks there are, in one round trip to each server."""
        total = 0
        for client, streams in zip(self.clients, self._streams, strict=True):
            with client.pipeline(transaction=False) as asked:
                for stream in streams:
                    asked.xlen(stream)
                total += sum(asked.execute())
        return total

    def cpu(self) -> float:
        """Return the CPU seconds that all have used."""
        return sum(map(server_cpu, self.clients))

    def memory(self) -> int:
        """Return how many bytes the data of all take."""
        return sum(int(self._info(client, "memory")["used_memory_dataset"]) for client in self.clients)

    def connections(self) -> list[int]:
        """Return how many connections each has open."""
        return [int(self._info(client, "clients")["connected_clients"]) for client in self.clients]

    def seen(self) -> list[Seen]:
        """Return what each has done so far."""
        found = []
        for client in self.clients:
            said = self._info(client, "commandstats")
            of = {step: said.get(f"cmdstat_{step}", {"calls": 0, "usec": 0}) for step in STEPS}
            calls, micros = ({step: int(of[step][name]) for step in STEPS} for name in ("calls", "usec"))
            net = self._info(client, "stats")
            traffic = int(net["total_net_input_bytes"]) + int(net["total_net_output_bytes"])
            found.append(Seen(server_cpu(client), calls, micros, traffic))
        return found

    @staticmethod
    def _info(client: Redis, section: str) -> dict[str, Any]:
        return dict(client.info(section))  # type: ignore[arg-type]


@contextmanager
def masters(count: int, shards: int) -> Iterator[Masters]:
    """Start so many empty masters, without replicas and without persistence; 0 is one server that is no cluster."""
    if not count:
        with fresh_server() as client:
            yield Masters([client], {}, lambda key: 0)
        return
    from tests.clusters import Cluster

    # As in production: none is to be taken for dead, and the cluster with it, that has only stood still for a second.
    with Cluster(count, 0, aof=False, options=("--cluster-node-timeout", "15000")) as cluster:
        where = cluster.settings(STREAM_SHARDS=str(shards), REDIS_URL=cluster.nodes[0].own_url)
        clients = [node.client(decode_responses=True) for node in cluster.nodes]
        yield Masters(clients, where, lambda key: cluster.nodes.index(cluster.owner(key)))
