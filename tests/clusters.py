"""A cluster of masters and replicas whose masters can be killed and whose slots can be moved, under load or by hand."""

import signal
from collections.abc import Iterator, Sequence
from typing import Any

from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from tests.fleets import Fleet, start_together
from tests.guarded import ADMIN, StrictServer
from tests.ports import free_port
from tests.security.rules import CLUSTER
from tests.servers import PATIENCE, eventually

SLOTS = 16_384
NODE_TIMEOUT_MS = 1000
GIVEN_UP_S = 6.0  # a failover by hand that has not been after five seconds will not be
SETTLE_S = 60.0  # a node that starts takes part after two seconds, and a dead master is replaced within about two


class Node(StrictServer):
    """One server of a cluster, with the users of docs/security.md."""

    def __init__(self, kind: str, *, aof: bool, options: Sequence[str]) -> None:
        self.bus = free_port()
        super().__init__(
            kind,
            aof=aof,
            options=(
                *("--cluster-enabled", "yes", "--cluster-port", str(self.bus)),
                *("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-replica-validity-factor", "0"),
                *("--repl-diskless-sync-delay", "0", *options),
            ),
            place=CLUSTER,
        )

    def ask(self, *words: object) -> Any:
        """Send one command to this very server and return its answer. Raises what it answers with, MOVED as well."""
        with self.client() as client:
            return client.execute_command(*words)

    @property
    def id(self) -> str:
        """What the cluster calls it; the same over restarts."""
        return str(self.ask("CLUSTER MYID"))

    @property
    def state(self) -> str:
        """`ok` when it serves."""
        return str(self.ask("CLUSTER INFO")["cluster_state"])

    def view(self) -> dict[str, dict[str, Any]]:
        """Return what it thinks of each node of the cluster, by the node's id."""
        return {facts["node_id"]: facts for facts in self.ask("CLUSTER NODES").values()}

    def owners(self) -> dict[int, str]:
        """Return which node it takes for the owner of each slot."""
        owned = {}
        for node, facts in self.view().items():
            for span in facts["slots"]:
                owned.update(dict.fromkeys(range(int(span[0]), int(span[-1]) + 1), node))
        return owned


class Move:
    """One slot on its way from one master to another, step by step.

    Between `open` and `close` the slot is in two places: the source serves the keys that it still has and answers ASK
    for the others, the target serves what comes with ASKING. A command with several keys that are not all in one of
    the two is answered TRYAGAIN by both.
    """

    def __init__(self, slot: int, source: Node, target: Node, masters: Sequence[Node]) -> None:
        self.slot, self.source, self.target = slot, source, target
        self._others = [node for node in masters if node not in (source, target)]

    def open(self) -> None:
        """Let the target import, and the source send away."""
        self.target.ask("CLUSTER SETSLOT", self.slot, "IMPORTING", self.source.id)
        self.source.ask("CLUSTER SETSLOT", self.slot, "MIGRATING", self.target.id)

    def carry(self, *keys: str) -> None:
        """Carry keys over, all in one step."""
        known = ("AUTH2", ADMIN, self.target.password_of(ADMIN))
        self.source.ask("MIGRATE", "127.0.0.1", self.target.port, "", 0, int(PATIENCE * 500), *known, "KEYS", *keys)

    def carry_all(self) -> None:
        """Carry over what is in the slot, a few keys at a time."""
        while keys := self.source.ask("CLUSTER GETKEYSINSLOT", self.slot, 10):
            self.carry(*keys)

    def close(self) -> None:
        """Give the slot to the target, and tell all masters."""
        for node in (self.target, self.source, *self._others):
            node.ask("CLUSTER SETSLOT", self.slot, "NODE", self.target.id)


class Cluster(Fleet):
    """Masters with their replicas, each on loopback. The slots are spread evenly over the masters."""

    def __init__(
        self,
        masters: int = 3,
        replicas: int = 1,
        *,
        kind: str = "valkey",
        aof: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        self._masters, self._replicas = masters, replicas
        self.nodes = [Node(kind, aof=aof, options=options) for _ in range(masters * (1 + replicas))]
        super().__init__(self.nodes)

    @property
    def addresses(self) -> list[str]:
        """Where the nodes are, as `REDIS_ADDRS` names them."""
        return [f"127.0.0.1:{node.port}" for node in self.nodes]

    def settings(self, user: str = StrictServer.USER, **more: str) -> dict[str, str]:
        """Return the environment of a program that uses it as one of the users."""
        there = {"REDIS_CLUSTER": "true", "REDIS_ADDRS": ",".join(self.addresses)}
        return {**there, "REDIS_URL": self.nodes[0].url_of(user), **more}

    def client(self, **options: Any) -> RedisCluster:
        """Return redis-py's client of the whole, which follows redirections. It is the caller's to close."""
        nodes = [ClusterNode("127.0.0.1", node.port) for node in self.running()]
        known = {"username": ADMIN, "password": self.nodes[0].password_of(ADMIN)}
        return RedisCluster(startup_nodes=nodes, **{"protocol": 2, "decode_responses": True, **known, **options})

    def bring_up(self) -> None:
        super().bring_up()
        # Everybody meets everybody: gossip would take seconds.
        for place, node in enumerate(self.nodes):
            for other in self.nodes[place + 1 :]:
                node.ask("CLUSTER MEET", "127.0.0.1", other.port, other.bus)
        masters, replicas = self.nodes[: self._masters], self.nodes[self._masters :]
        for place, node in enumerate(masters):
            first, beyond = place * SLOTS // len(masters), (place + 1) * SLOTS // len(masters)
            node.ask("CLUSTER ADDSLOTSRANGE", first, beyond - 1)
        names = {node.id for node in self.nodes}
        eventually(lambda: all(node.view().keys() == names for node in self.nodes))
        for place, node in enumerate(replicas):
            node.ask("CLUSTER REPLICATE", masters[place % len(masters)].id)
        self.settle()

    def running(self) -> list[Node]:
        """Return the nodes that run and are not paused, whatever the cluster thinks of them."""
        return [node for node in self.nodes if node.awake]

    def masters(self) -> list[Node]:
        """Return the nodes that run and are masters."""
        return [node for node in self.running() if "master" in node.view()[node.id]["flags"]]

    def replicas_of(self, master: Node) -> list[Node]:
        """Return the nodes that run and follow a master."""
        return [node for node in self.running() if node.view()[node.id]["master_id"] == master.id]

    def owner(self, key: str | int) -> Node:
        """Return the master that serves a key, or a slot, as the nodes that run agree."""
        slot = key if isinstance(key, int) else key_slot(key.encode())
        owners = {node.owners()[slot] for node in self.running()}
        assert len(owners) == 1, f"the nodes name {owners}"
        return self._called(owners.pop())

    def settle(self) -> None:
        """Wait until all nodes that run serve, agree who has which slot, and follow their masters."""
        eventually(lambda: all(self._settled()), SETTLE_S, every=0.05)

    def _settled(self) -> Iterator[bool]:
        nodes = self.running()
        ids = {node.id for node in nodes}
        agreed = nodes[0].owners()
        yield len(agreed) == SLOTS and set(agreed.values()) <= ids
        for node in nodes:
            yield node.state == "ok" and node.owners() == agreed
            if node.id not in agreed.values():
                yield node.ask("INFO", "replication").get("master_link_status") == "up"

    def fail_over(self, master: Node) -> Node:
        """Kill a master, wait until a replica of it is the master, and return that one."""
        name = master.id
        slot = next(slot for slot, owner in master.owners().items() if owner == name)
        master.kill()
        return self.replaced(slot)

    def replaced(self, key: str | int) -> Node:
        """Wait until a key, or a slot, whose master was killed or paused has another one; return that one."""
        self.settle()
        return self.owner(key)

    def demote(self, master: Node) -> Node:
        """Have a replica take over from a master that lives and loses nothing; return the new master."""
        [replica, *_] = self.replicas_of(master)
        # A busy cluster may give one up that was asked for, and Redis 7 may take one back that was done.
        eventually(lambda: self._takes_over(replica), 3 * SETTLE_S)
        return replica

    def _takes_over(self, replica: Node) -> bool:
        def leads() -> bool:
            return "master" in replica.view()[replica.id]["flags"]

        if not leads():
            replica.ask("CLUSTER FAILOVER")
        eventually(leads, GIVEN_UP_S)
        self.settle()
        return leads()

    def moving(self, key: str | int, target: Node) -> Move:
        """Return the move of a slot, or of the slot of a key, to another master; nothing is done yet."""
        slot = key if isinstance(key, int) else key_slot(key.encode())
        return Move(slot, self.owner(slot), target, self.masters())

    def move(self, key: str | int, target: Node) -> None:
        """Move a slot, or the slot of a key, to another master."""
        move = self.moving(key, target)
        move.open()
        move.carry_all()
        move.close()
        self.settle()

    def migrate(self, key: str | int, target: Node) -> None:
        """Move a slot, or the slot of a key, in one step, as Valkey 9 can and Redis 7 cannot."""
        move = self.moving(key, target)
        # A busy cluster may give up a migration that takes it too long.
        eventually(lambda: self._has_migrated(move), SETTLE_S, every=0.1)
        self.settle()

    def _has_migrated(self, move: Move) -> bool:
        """Say whether a slot is where it shall be, and else ask for it; as long as it is under way that is refused."""
        if self.owner(move.slot) is move.target:
            return True
        move.source.ask("CLUSTER MIGRATESLOTS", "SLOTSRANGE", move.slot, move.slot, "NODE", move.target.id)
        return False

    def restart(self, number: int = signal.SIGKILL) -> None:
        """End all nodes by a signal, start them with what their files have kept, and wait until they serve."""
        for node in self.nodes:
            node.stop(number)
        start_together(self.nodes)
        self.settle()

    def _called(self, name: str) -> Node:
        [node] = [node for node in self.running() if node.id == name]
        return node
