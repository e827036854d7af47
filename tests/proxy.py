"""A TCP proxy between a client and a server that does what networks do: it cuts, resets, stalls, slows, refuses, and
delivers what was sent long after the sender gave up.
"""

import contextlib
import random
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import gevent
import hiredis
from gevent.event import Event
from gevent.server import StreamServer

from tests.servers import Server

Fault = Literal["cut_reply", "cut_request", "reset", "stall", "slow", "ghost"]
When = Callable[[bytes], bool]
_NO_FIN = struct.pack("ii", 1, 0)  # SO_LINGER: whose connection is closed gets an RST


def script(request: bytes) -> bool:
    """Whether a request runs a script."""
    return b"EVALSHA" in request


@dataclass
class Rule:
    """Which requests a fault hits. `hit` is set when it has hit one."""

    fault: Fault
    when: When
    share: float = 1.0
    left: int | None = None  # how many more; None for no end
    seconds: float = 0.0
    hit: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)  # ends a stall


class Proxy:
    """Forwards a port of its own on loopback to a server. The same seed hits the same requests.

    A request is all commands that a client sent in one go. `cut_reply`: the server executes it, the client loses the
    connection instead of the reply. `reset`: the same, by an RST, as of a machine that was started again.
    `cut_request`: the server never sees it. `stall`: the reply is held until `heal`. `slow`: it is held for some
    seconds. `ghost`: the client loses the connection, the server gets the request when `release_ghosts` says so.
    `counts` has how many of each, and of connections and requests.
    """

    def __init__(self, server: Server, *, seed: int = 0) -> None:
        self.counts: Counter[str] = Counter()
        self.server = server
        self._random = random.Random(seed)
        self._rules: list[Rule] = []
        self._wires: set[_Wire] = set()
        self._ghosts: list[tuple[socket.socket, bytes, int]] = []
        self._listener = StreamServer(("127.0.0.1", 0), self._serve)
        self._listener.start()
        self.port: int = self._listener.server_port

    @property
    def url(self) -> str:
        """The server's own URL, by way of this."""
        return self.server.url.replace(f":{self.server.port}/", f":{self.port}/")

    def hit(self, fault: Fault, when: When = script, *, share: float = 1.0, seconds: float = 0.0) -> Rule:
        """Hit each request that `when` picks, or a random share of them, until `heal`."""
        self._rules.append(Rule(fault, when, share=share, seconds=seconds))
        return self._rules[-1]

    def hit_next(self, fault: Fault, when: When = script, *, times: int = 1, seconds: float = 0.0) -> Rule:
        """Hit the next `times` requests that `when` picks."""
        self._rules.append(Rule(fault, when, left=times, seconds=seconds))
        return self._rules[-1]

    def heal(self) -> None:
        """Do no more harm, and deliver the replies that are held."""
        rules, self._rules = self._rules, []
        for rule in rules:
            rule.over.set()

    def refuse(self) -> None:
        """Refuse new connections and cut the old ones, as a server that is not running does."""
        self._listener.stop()
        self.cut_all()

    def accept(self) -> None:
        """Take connections again, at the same port."""
        self._listener = StreamServer(("127.0.0.1", self.port), self._serve)
        self._listener.start()

    def turn_to(self, server: Server) -> None:
        """Forward to another server from now on, as an address does after a failover, and cut all connections."""
        self.server = server
        self.cut_all()

    def cut_all(self) -> None:
        """Cut every connection now."""
        for wire in list(self._wires):
            wire.close()

    def release_ghosts(self) -> list[Any]:
        """Deliver the requests that were held back, oldest first; return what the server says to each command."""
        replies: list[Any] = []
        while self._ghosts:
            upstream, request, expected = self._ghosts.pop(0)
            reader = hiredis.Reader()
            upstream.sendall(request)
            while expected:
                reader.feed(upstream.recv(1 << 16))
                while (reply := reader.gets()) is not False:
                    replies.append(reply)
                    expected -= 1
            upstream.close()
        return replies

    def stop(self) -> None:
        """Close everything."""
        self.heal()
        self._listener.stop()
        self.cut_all()
        for upstream, _, _ in self._ghosts:
            upstream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _serve(self, client: socket.socket, address: object) -> None:
        self.counts["connections"] += 1
        try:
            upstream = socket.create_connection(("127.0.0.1", self.server.port))
        except OSError:
            client.close()
            return
        wire = _Wire(self, client, upstream)
        self._wires.add(wire)
        try:
            gevent.joinall([gevent.spawn(wire.requests), gevent.spawn(wire.replies)])
        finally:
            self._wires.discard(wire)

    def _rule_for(self, request: bytes) -> Rule | None:
        for rule in self._rules:
            if rule.left != 0 and rule.when(request) and self._random.random() < rule.share:
                if rule.left is not None:
                    rule.left -= 1
                self.counts[rule.fault] += 1
                return rule
        return None


class _Wire:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, upstream: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream: socket.socket | None = upstream
        self._asked: deque[tuple[int, Rule | None]] = deque()  # replies to come, and what to do with them

    def close(self) -> None:
        for end in (self._client, self._upstream):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes the other greenlet, which close() alone would not
                end.close()

    def reset(self) -> None:
        """Close it so that the client gets an RST."""
        with contextlib.suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_FIN)
        self._client.close()  # without the shutdown that would send a FIN before

    def requests(self) -> None:
        """Forward what the client says, request by request."""
        try:
            reader, request, commands = hiredis.Reader(), b"", 0
            while self._upstream is not None and (chunk := self._client.recv(1 << 16)):
                reader.feed(chunk)
                request += chunk
                while reader.gets() is not False:
                    commands += 1
                if not reader.has_data():
                    self._forward(request, commands)
                    request, commands = b"", 0
        except OSError:
            pass
        finally:
            self.close()

    def _forward(self, request: bytes, commands: int) -> None:
        assert self._upstream is not None
        self._proxy.counts["requests"] += 1
        rule = self._proxy._rule_for(request)
        if rule is not None and rule.fault in ("cut_request", "ghost"):
            if rule.fault == "ghost":
                # The server's end stays open: to it the sender is merely slow.
                self._proxy._ghosts.append((self._upstream.dup(), request, commands))
                self._upstream.close()
                self._upstream = None
            self.close()
            rule.hit.set()
            return
        self._asked.append((commands, rule))
        self._upstream.sendall(request)

    def replies(self) -> None:
        """Forward what the server says, each reply when it is complete, or not at all."""
        upstream = self._upstream
        assert upstream is not None
        try:
            reader, reply, missing = hiredis.Reader(), b"", 0
            rule: Rule | None = None
            while chunk := upstream.recv(1 << 16):
                reader.feed(chunk)
                reply += chunk
                while reader.gets() is not False:
                    if not missing and self._asked:
                        missing, rule = self._asked.popleft()
                    missing -= 1
                if missing <= 0 and not reader.has_data():
                    if not self._deliver(reply, rule):
                        break
                    reply, missing, rule = b"", 0, None
        except OSError:
            pass
        finally:
            if self._upstream is not None:
                self.close()

    def _deliver(self, reply: bytes, rule: Rule | None) -> bool:
        if rule is not None:
            rule.hit.set()
            if rule.fault == "cut_reply":
                return False
            if rule.fault == "reset":
                self.reset()
                return False
            if rule.fault == "stall":
                rule.over.wait()
            elif rule.fault == "slow":
                gevent.sleep(rule.seconds)
        self._client.sendall(reply)
        return True
