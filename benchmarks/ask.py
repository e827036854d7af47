"""The API's clients in the benchmarks: many that ask, each again and again; their figures as JSON on the last line."""

# ruff: noqa: E402
from gevent import monkey

monkey.patch_all()

import argparse
import json
import os
import time

import gevent

from benchmarks.harness import percentile
from benchmarks.loopback import connect, head

AN_ADDRESS = 50  # requests of one address, below what the API takes from it in two seconds


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


def main() -> None:
    """Ask."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/api/health")
    print(json.dumps(requests(parser.parse_args())))


if __name__ == "__main__":
    main()
