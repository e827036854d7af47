"""Three sentinels that watch a primary with two replicas, and replace it within about three seconds."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from redis import Redis
from redis.sentinel import Sentinel as SentinelClient

from tests.fleets import Fleet, start_together
from tests.replicas import QUICK
from tests.servers import CLIENT, Server, eventually

NAME = "buraq"
DOWN_AFTER_MS = 500
# How often sentinels look, and tell each other; unless told, once in one to ten seconds. No shorter than this, because
# during a failover a replica is asked once a second, whatever the periods: none is promoted that was asked more than
# three INFO or five PING periods ago, and one that says it is a primary is made a replica again by whoever has not
# heard, for four PUBLISH periods, that it was promoted.
PERIODS = {"INFO-PERIOD": 500, "PING-PERIOD": 400, "PUBLISH-PERIOD": 600, "ASK-PERIOD": 100}
# A sentinel that has stood still for two seconds, as on a machine that did, trusts nothing that it sees for so long
# after it: for thirty seconds unless told.
PERIODS["TILT-PERIOD"] = 1000
FAILOVER_S = 60.0


class Sentinel(Server):
    """One sentinel: the program of the servers, told to watch one."""

    def __init__(self, kind: str, primary: Server, quorum: int) -> None:
        super().__init__(kind)
        self.conf.write_text(
            f"dir {self.home}\nbind 127.0.0.1\nport {self.port}\nunixsocket {self.socket}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {primary.port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {NAME} 2000\n"
            f"sentinel parallel-syncs {NAME} 2\n"
        )

    def command(self) -> list[str | Path]:
        return [self.binary, self.conf, "--sentinel"]

    def ready(self) -> Self:
        super().ready()
        with self.client() as client:
            client.execute_command("SENTINEL DEBUG", *(part for pair in PERIODS.items() for part in pair))
        return self

    def names(self) -> int:
        """Return the port of the server that it takes for the primary."""
        with self.client() as client:
            return int(client.sentinel_get_master_addr_by_name(NAME)[1])

    def sees(self) -> tuple[int, int, str]:
        """Return how many replicas and other sentinels it knows, and what is wrong with the primary."""
        with self.client() as client:
            facts = client.sentinel_master(NAME)
        return facts["num-slaves"], facts["num-other-sentinels"], facts["flags"]


class Sentinels(Fleet):
    """Sentinels over a primary and its replicas.

    A server that was killed and started again comes back as what its sentinels had made of it.
    """

    def __init__(
        self,
        sentinels: int = 3,
        replicas: int = 2,
        *,
        kind: str = "valkey",
        aof: bool = True,
        options: Sequence[str] = (),
    ) -> None:
        self.data = [Server(kind, aof=aof, options=(*QUICK, *options)) for _ in range(1 + replicas)]
        self.sentinels = [Sentinel(kind, self.data[0], sentinels // 2 + 1) for _ in range(sentinels)]
        super().__init__([*self.data, *self.sentinels])

    @property
    def name(self) -> str:
        """What the sentinels call the primary."""
        return NAME

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where the sentinels are."""
        return [("127.0.0.1", sentinel.port) for sentinel in self.sentinels]

    def client(self) -> Redis:
        """Return a client of whatever is the primary, as redis-py makes it."""
        asked = SentinelClient(self.addresses, sentinel_kwargs=CLIENT, **CLIENT)
        return asked.master_for(NAME)

    def bring_up(self) -> None:
        start_together(self.data)
        primary, *replicas = self.data
        for replica in replicas:
            with replica.client() as client:
                client.replicaof("127.0.0.1", primary.port)
                client.config_rewrite()
        start_together(self.sentinels)
        self.agree()

    @property
    def primary(self) -> Server:
        """The server that all sentinels name. Raises AssertionError while they do not agree."""
        named = {sentinel.names() for sentinel in self.sentinels if sentinel.awake}
        assert len(named) == 1, f"the sentinels name {named}"
        [server] = [server for server in self.data if server.port in named]
        return server

    def agree(self) -> Server:
        """Wait until the sentinels name one primary, and all else that is awake follows it; return it."""
        return eventually(self._agreed, FAILOVER_S)

    def _agreed(self) -> Server:
        primary = self.primary
        sentinels = [sentinel for sentinel in self.sentinels if sentinel.awake]
        for sentinel in sentinels:
            assert sentinel.sees() == (len(self.data) - 1, len(self.sentinels) - 1, "master")
        for server in self.data:
            if not server.awake:
                continue
            with server.client() as client:
                facts = client.info("replication")
            following = facts.get("master_port"), facts.get("master_link_status")
            assert following == ((None, None) if server is primary else (primary.port, "up"))
        return primary

    def fail_over(self) -> Server:
        """Kill the primary, wait until the sentinels have replaced it, and return the new one."""
        old = self.primary
        old.kill()
        return self.replaced(old)

    def demote(self) -> Server:
        """Have another server take over from a primary that lives, and return the new one."""
        old = self.primary
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL FAILOVER", NAME)
        return self.replaced(old)

    def restart(self, number: int = signal.SIGKILL) -> Server:
        """End all servers and sentinels by a signal, start them with what their files have kept, and return the primary
        on which they agree.
        """
        for server in self.servers:
            server.stop(number)
        start_together(self.data)
        start_together(self.sentinels)
        return self.agree()

    def replaced(self, old: Server) -> Server:
        """Wait until the sentinels agree on another primary than the old one; return it."""
        eventually(lambda: self.primary is not old, FAILOVER_S)
        return self.agree()
