"""A primary with replicas: links that freeze, writes that wait for replicas, promotion by hand."""

from collections.abc import Sequence

import gevent
from gevent import socket
from gevent.event import Event
from gevent.server import StreamServer

from tests.fleets import Fleet
from tests.guarded import StrictServer
from tests.servers import Server, eventually

# A replica is there within a tenth of a second, and a frozen one is noticed within a second or two.
QUICK = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


class Link:
    """What a replica hears its primary through: bytes both ways, until it is frozen.

    What was sent into a frozen link arrives when it is thawed, and never when it is cut: a replica that is merely
    stopped has all of that in its socket, reads it once it goes on, and lags behind nothing.
    """

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._flows = Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._listener = StreamServer(("127.0.0.1", 0), self._serve)
        self._listener.start()
        self.port: int = self._listener.server_port

    def freeze(self) -> None:
        """Carry nothing more, with the connection open."""
        self._flows.clear()

    def thaw(self) -> None:
        """Carry what was held, and go on."""
        self._flows.set()

    def cut(self) -> None:
        """Drop the connection with what is held in it. A new one is carried, unless the link is frozen."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            one.close()

    def close(self) -> None:
        self._listener.stop()
        self.cut()
        self._flows.set()

    def _serve(self, near: socket.socket, address: object) -> None:
        self._flows.wait()
        try:
            far = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:
            near.close()
            return
        self._sockets += [near, far]
        gevent.joinall([gevent.spawn(self._carry, near, far), gevent.spawn(self._carry, far, near)])

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        except OSError:
            pass  # cut, or one end has gone
        finally:
            source.close()
            sink.close()


class Replica(StrictServer):
    """A server that follows a primary through a link of its own."""

    link: Link

    def follow(self, primary: Server) -> None:
        """Become a replica of a server, and stay one over a restart."""
        self.link = Link(primary.port)
        with self.client() as client:
            client.replicaof("127.0.0.1", self.link.port)
            client.config_rewrite()

    @property
    def offset(self) -> int:
        """How much of its primary's stream of writes it has, in bytes."""
        with self.client() as client:
            replication = client.info("replication")
        assert replication["master_link_status"] == "up"
        return int(replication["slave_repl_offset"])

    def promote(self) -> None:
        """Make it a primary of its own, with what it has."""
        with self.client() as client:
            client.replicaof("NO", "ONE")
            client.config_rewrite()

    def remove(self) -> None:
        super().remove()
        if hasattr(self, "link"):
            self.link.close()


class Replicated(Fleet):
    """A primary and its replicas.

    With `min_replicas` the primary refuses to write when fewer than that many were heard of within `max_lag` seconds.
    """

    def __init__(
        self,
        replicas: int = 1,
        *,
        kind: str = "valkey",
        aof: bool = False,
        min_replicas: int = 0,
        max_lag: int = 1,
        options: Sequence[str] = (),
    ) -> None:
        guard = ("--min-replicas-to-write", str(min_replicas), "--min-replicas-max-lag", str(max_lag))
        self.primary = StrictServer(kind, aof=aof, options=(*QUICK, *guard, *options))
        self.replicas = [Replica(kind, aof=aof, options=(*QUICK, *options)) for _ in range(replicas)]
        super().__init__([self.primary, *self.replicas])

    def bring_up(self) -> None:
        super().bring_up()
        for replica in self.replicas:
            replica.follow(self.primary)
        self.caught_up()

    def caught_up(self) -> None:
        """Wait until each replica has all that the primary has written."""
        with self.primary.client() as client:

            def all_are() -> bool:
                written = int(client.info("replication")["master_repl_offset"])
                return all(replica.offset >= written for replica in self.replicas)

            eventually(all_are)

    def freeze(self) -> None:
        """Let nothing of what is written from now on reach a replica."""
        for replica in self.replicas:
            replica.link.freeze()

    def thaw(self) -> None:
        for replica in self.replicas:
            replica.link.thaw()

    def fail_over(self) -> Replica:
        """Kill the primary and promote the first replica with what has reached it; return that one."""
        self.primary.kill()
        first, *others = self.replicas
        first.link.cut()
        first.promote()
        for replica in others:
            replica.link.close()
            replica.follow(first)
        return first
