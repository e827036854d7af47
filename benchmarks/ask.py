"""The API's clients in the benchmarks: many that ask, or many that listen; their figures as JSON on the last line.

They come from many addresses of the loopback net, because the API limits the rate of each.
"""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import argparse
import itertools
import json
import os
import re
import time
from collections.abc import Iterator

import gevent
import psutil
from gevent import socket
from gevent.pool import Pool
from redis import Redis

from benchmarks.harness import cpu, percentile

AN_ADDRESS = 50  # requests of one address, below what the API takes from it in two seconds
CHANNEL = "buraq_events"
HEARD = re.compile(rb'"at":(\d+)')
SAMPLE = 10  # one stream in so many has its events read; the others are only emptied, so that the clients keep up


def addresses() -> Iterator[str]:
    """Return one loopback address after the other."""
    for number in itertools.count(256):
        yield f"127.{1 + (number >> 16) % 250}.{(number >> 8) & 255}.{1 + number % 254}"


_addresses = addresses()


def connect(port: int) -> socket.socket:
    """Connect from an address that nobody has used for a while."""
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(next(_addresses), 0))


def head(method: str, path: str, key: str) -> bytes:
    """Write a request without a body."""
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{bearer}Content-Length: 0\r\n\r\n".encode()


def read_answer(file: object) -> int:
    """Read an answer to its end and return its status."""
    status = int(file.readline().split()[1])  # type: ignore[attr-defined]
    length = 0
    while (line := file.readline().strip()) != b"":  # type: ignore[attr-defined]
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    file.read(length)  # type: ignore[attr-defined]
    return status


def ask(port: int, request: bytes, until: float, waits: list[float]) -> None:
    """Ask again and again, on a new connection from a new address every so often."""
    while time.monotonic() < until:
        with connect(port) as sock, sock.makefile("rb") as file:
            for _ in range(AN_ADDRESS):
                begun = time.monotonic()
                if begun >= until:
                    return
                sock.sendall(request)
                status = read_answer(file)
                if status != 200:
                    raise RuntimeError(f"the API answered {status}")
                waits.append(time.monotonic() - begun)


def requests(options: argparse.Namespace) -> dict[str, float]:
    """Ask for some seconds."""
    waits: list[float] = []
    request = head(options.method, options.path, os.environ.get("API_KEY", ""))
    begun = time.monotonic()
    askers = [gevent.spawn(ask, options.port, request, begun + options.seconds, waits) for _ in range(options.clients)]
    gevent.joinall(askers, raise_error=True)
    seconds = time.monotonic() - begun
    return {
        "requests/s": len(waits) / seconds,
        "p50 ms": percentile(waits, 0.5) * 1e3,
        "p99 ms": percentile(waits, 0.99) * 1e3,
        "requests": len(waits),
    }


class Listeners:
    """All open streams, and what they heard."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._sockets: list[socket.socket] = []
        self.lags: list[float] = []
        self.ended = 0  # streams that the API closed

    def open(self, count: int) -> None:
        """Open streams, some at a time, and return when each has its first frame."""
        pool = Pool(50)
        for _ in range(count):
            pool.spawn(self._open)
        pool.join(raise_error=True)
        for number, sock in enumerate(self._sockets):
            gevent.spawn(self._listen if number % SAMPLE == 0 else self._empty, sock)

    def _open(self) -> None:
        sock = connect(self._port)
        sock.sendall(head("GET", "/api/stream", ""))
        seen = b""
        while b"ping" not in seen:
            more = sock.recv(4096)
            if not more or (not seen and b" 200 " not in more):
                raise RuntimeError(f"no stream: {more!r}")
            seen += more
        sock.settimeout(None)
        self._sockets.append(sock)

    def _listen(self, sock: socket.socket) -> None:
        rest = b""
        while chunk := sock.recv(65536):
            now = time.time()
            whole, _, rest = (rest + chunk).rpartition(b"\n\n")
            self.lags.extend(now - int(at) / 1e6 for at in HEARD.findall(whole))
        self.ended += 1

    def _empty(self, sock: socket.socket) -> None:
        room = bytearray(65536)
        while sock.recv_into(room):
            pass
        self.ended += 1


def streams(options: argparse.Namespace) -> dict[str, float]:
    """Hold streams open, and publish events as a worker does, stamped with their time."""
    listeners = Listeners(options.port)
    listeners.open(options.clients)
    client = Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    api = psutil.Process(options.pid)
    api_used, used, begun = sum(api.cpu_times()[:2]), cpu(), time.monotonic()
    events = int(options.rate * options.seconds)
    for number in range(events):
        gevent.sleep(max(0.0, begun + number / options.rate - time.monotonic()))
        event = {"type": "Completed", "task_id": f"{number:032x}", "worker_id": "host-1-1", "task_type": "noop"}
        client.publish(CHANNEL, json.dumps({**event, "at": int(time.time() * 1e6)}, separators=(",", ":")))
    seconds = time.monotonic() - begun
    used, api_used = cpu() - used, sum(api.cpu_times()[:2]) - api_used
    due = events * -(-options.clients // SAMPLE)
    while len(listeners.lags) < due and time.monotonic() < begun + seconds + 10:
        gevent.sleep(0.1)
    return {
        "lag p50 ms": percentile(listeners.lags, 0.5) * 1e3,
        "lag p99 ms": percentile(listeners.lags, 0.99) * 1e3,
        "lag max ms": max(listeners.lags) * 1e3,
        "missed": due - len(listeners.lags),
        "streams ended": listeners.ended,
        "API CPU %": api_used / seconds * 100,
        "client CPU %": used / seconds * 100,
    }


def main() -> None:
    """Ask, or listen."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["requests", "streams"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/api/health")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--pid", type=int, default=os.getpid(), help="the API's, for its CPU")
    options = parser.parse_args()
    figures = requests(options) if options.what == "requests" else streams(options)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
