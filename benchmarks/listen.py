"""Many open event streams in one process, and how late events come out of them; the figures as JSON on the last line.

Not patched by gevent, and nothing but bare sockets: the clients share the machine with what they measure.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import socket
import time

import psutil
from redis import Redis

from benchmarks.harness import cpu, percentile
from benchmarks.loopback import connect, head

CHANNEL = "buraq_events"
HEARD = re.compile(rb'"at":(\d+)')
SAMPLE = 10  # one stream in so many has its events read; the others are only emptied


class Listeners:
    """All open streams, and what they heard."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._rests: dict[int, bytes] = {}  # of the streams that are read: the frame that has begun
        self._room = bytearray(1 << 18)
        self.lags: list[float] = []
        self.chunks = 0  # how often there was something to read
        self.ended = 0  # streams that the API closed

    def open(self, port: int, count: int) -> None:
        """Open streams, and return when each has had its first frame."""
        for number in range(count):
            sock = connect(port)
            sock.sendall(head("GET", "/api/stream"))
            seen = b""
            while b"ping" not in seen:
                more = sock.recv(4096)
                if not more or (not seen and b" 200 " not in more):
                    raise RuntimeError(f"no stream: {more!r}")
                seen += more
            sock.setblocking(False)
            self._sockets[sock.fileno()] = sock
            if number % SAMPLE == 0:
                self._rests[sock.fileno()] = b""
            self._poll.register(sock, select.EPOLLIN)

    @property
    def read(self) -> int:
        """How many streams have their events read."""
        return len(self._rests)

    def hear(self, until: float) -> None:
        """Take what comes until a moment of the monotonic clock."""
        while True:
            ready = self._poll.poll(max(0.0, until - time.monotonic()), 256)
            for number, _ in ready:
                self._take(number)
            if time.monotonic() >= until:
                return

    def _take(self, number: int) -> None:
        size = self._sockets[number].recv_into(self._room)
        self.chunks += 1
        if not size:
            self.ended += 1
            self._poll.unregister(number)
        elif number in self._rests:
            now = time.time()
            whole, _, self._rests[number] = (self._rests[number] + self._room[:size]).rpartition(b"\n\n")
            self.lags.extend(now - int(at) / 1e6 for at in HEARD.findall(whole))


def publish(client: Redis, number: int) -> None:
    """Publish one event as a worker does, stamped with its time."""
    event = {"type": "Completed", "task_id": f"{number:032x}", "worker_id": "host-1-1", "task_type": "noop"}
    client.publish(CHANNEL, json.dumps({**event, "at": int(time.time() * 1e6)}, separators=(",", ":")))


def streams(options: argparse.Namespace) -> dict[str, float]:
    """Hold streams open while events are published."""
    listeners = Listeners()
    listeners.open(options.port, options.clients)
    client = Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    api = psutil.Process(options.pid)
    api_used, used, begun = sum(api.cpu_times()[:2]), cpu(), time.monotonic()
    events = int(options.rate * options.seconds)
    for number in range(events):
        listeners.hear(begun + number / options.rate)
        publish(client, number)
    seconds = time.monotonic() - begun
    used, api_used = cpu() - used, sum(api.cpu_times()[:2]) - api_used
    chunks, due = listeners.chunks, events * listeners.read
    while len(listeners.lags) < due and time.monotonic() < begun + seconds + 10:
        listeners.hear(time.monotonic() + 0.1)
    return {
        "lag p50 ms": percentile(listeners.lags, 0.5) * 1e3,
        "lag p99 ms": percentile(listeners.lags, 0.99) * 1e3,
        "lag max ms": max(listeners.lags) * 1e3,
        "missed": due - len(listeners.lags),
        "streams ended": listeners.ended,
        "writes/s": chunks / seconds,
        "API CPU %": api_used / seconds * 100,
        "client CPU %": used / seconds * 100,
    }


def main() -> None:
    """Listen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--pid", type=int, default=os.getpid(), help="the API's, for its CPU")
    print(json.dumps(streams(parser.parse_args())))


if __name__ == "__main__":
    main()
