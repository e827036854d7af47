"""What one API process answers: requests a second, how long each waits, and how late events reach many open streams."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPConnection

import psutil
from redis import Redis

from benchmarks.harness import ROOT, fresh_server, in_child, repeat, report, server_cpu, url_of
from benchmarks.lists import Reader, calls, filled
from buraq.embedded.watcher import free_port

KEY = "benchmark"
READY_S = 60.0
MANY = 500  # streams from which on their memory shows in that of the process
Run = Callable[[], dict[str, float]]


@contextmanager
def serving(client: Redis, connections: int, **settings: str) -> Iterator[tuple[int, psutil.Process]]:
    """Run the API as `gunicorn wsgi:app` does; return its port, and the process that answers."""
    port = free_port()
    environment = {**os.environ, "REDIS_URL": url_of(client), "API_KEY": KEY, "LOG_LEVEL": "error", **settings}
    command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", f"127.0.0.1:{port}"]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--worker-connections", str(connections)], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + READY_S
            while not answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    raise RuntimeError(f"the API did not start:\n{log.read().decode(errors='replace')}")
                time.sleep(0.05)
            [worker] = psutil.Process(process.pid).children()
            yield port, worker
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def answers(port: int) -> bool:
    """Whether the API is healthy."""
    with suppress(OSError):
        connection = HTTPConnection("127.0.0.1", port, timeout=2)
        connection.request("GET", "/api/health")
        return connection.getresponse().status == 200
    return False


def seconds_of(worker: psutil.Process) -> float:
    """Return the CPU seconds of a process."""
    times = worker.cpu_times()
    return float(times.user + times.system)


def requests(method: str, path: str, options: argparse.Namespace) -> dict[str, float]:
    """One run of requests."""
    with fresh_server() as client, serving(client, 1000) as (port, worker):
        before, used = server_cpu(client), seconds_of(worker)
        os.environ["API_KEY"] = KEY
        figures = in_child(
            *("ask", client, "--port", port, "--method", method, "--path", path),
            *("--clients", options.clients, "--seconds", options.seconds),
        )
        count = figures.pop("requests")
        figures["API µs/request"] = (seconds_of(worker) - used) / count * 1e6
        figures["server µs/request"] = (server_cpu(client) - before) / count * 1e6
    return figures


def replay(letters: int) -> dict[str, float]:
    """One run of a replay of many dead letters, in one request."""
    with fresh_server() as client, serving(client, 1000) as (port, _):
        with client.pipeline(transaction=False) as pipe:
            for number in range(letters):
                task = {"id": f"t{number}", "type": "noop", "payload": {"user_id": number}, "max_retries": 3}
                payload = json.dumps(
                    {**task, "created_at": "2026-11-21T00:00:00Z", "current_retries": 3, "error": "no"}
                )
                pipe.xadd("buraq_tasks_dlq", {"payload": payload, "reason": "max_retries", "died_at": "0"})
            pipe.execute()
        before, begun = server_cpu(client), time.monotonic()
        connection = HTTPConnection("127.0.0.1", port, timeout=120)
        connection.request("POST", "/api/retry-dlq", headers={"Authorization": f"Bearer {KEY}"})
        answer = json.loads(connection.getresponse().read())
        seconds = time.monotonic() - begun
        if answer.get("retried") != letters:
            raise RuntimeError(f"{letters} dead letters, and the API answered {answer}")
        return {"replayed/s": letters / seconds, "server µs/task": (server_cpu(client) - before) / letters * 1e6}


def streams(count: int, options: argparse.Namespace) -> dict[str, float]:
    """One run of events to open streams."""
    connections = count * 4 // 3 + 100  # streams may take three quarters
    with fresh_server() as client, serving(client, connections) as (port, worker):
        in_child("listen", client, "--port", port, "--clients", 10, "--seconds", 0.2)  # what comes once
        idle = worker.memory_info().rss
        figures = in_child(
            *("listen", client, "--port", port, "--clients", count),
            *("--rate", options.rate, "--seconds", options.seconds, "--pid", worker.pid),
        )
        if count >= MANY:
            # What they took stays with the process for a while after they have gone, so this is the most they took.
            figures["KB/stream"] = (worker.memory_info().rss - idle) / count / 1e3
    return figures


def lists(options: argparse.Namespace) -> None:
    """Ask for each list while very much is there. The server is filled once: reading changes nothing."""
    with (
        filled(options.waiting, options.dead, options.completed) as client,
        serving(client, 1000, TRUSTED_PROXIES="1") as (port, _),
    ):
        reader = Reader(port)
        client.config_resetstat()
        cases = [
            repeat(name, partial(reader.times, path, options.asked), options.runs)
            for name, path in calls(reader).items()
        ]
        commands: dict[str, dict[str, int]] = client.info("commandstats")  # type: ignore[assignment]
    report("api-lists", cases, vars(options), keep=not options.quick)
    print("\nCommands of the server:", ", ".join(sorted(name.removeprefix("cmdstat_") for name in commands)))


def main() -> None:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--letters", type=int, default=10_000)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 100, 2000])
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument(
        "--only", choices=["requests", "replay", "streams", "lists"], nargs="+", help="some of the tables"
    )
    parser.add_argument("--waiting", type=int, default=1_000_000, help="tasks that wait, of the lists")
    parser.add_argument("--dead", type=int, default=100_000, help="dead letters, of the lists")
    parser.add_argument("--completed", type=int, default=20_000, help="tasks that have ended, of the lists")
    parser.add_argument("--asked", type=int, default=200, help="times that each list is asked for in a run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny, to see that it works; writes no results")
    options = parser.parse_args()
    if options.quick:
        options.clients, options.seconds, options.letters, options.streams, options.runs = 5, 0.5, 100, [30], 1
        options.waiting, options.dead, options.completed, options.asked = 1000, 100, 100, 3
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each stream is a file, here and there
    warm_up = 0 if options.quick else 1
    replaying = f"POST /api/retry-dlq, {options.letters:,} dead letters"
    tables: dict[str, dict[str, Run]] = {
        "requests": {
            "GET /api/health": lambda: requests("GET", "/api/health", options),
            "POST /api/retry-dlq, no dead letter": lambda: requests("POST", "/api/retry-dlq", options),
        },
        "replay": {replaying: lambda: replay(options.letters)},
        "streams": {
            f"/api/stream, {count:,} streams, {options.rate:g} events/s": partial(streams, count, options)
            for count in options.streams
        },
    }
    for name in options.only or (*tables, "lists"):
        if name == "lists":
            lists(options)
            continue
        cases = [repeat(case, run, options.runs, warm_up) for case, run in tables[name].items()]
        report(f"api-{name}", cases, vars(options), keep=not options.quick)


if __name__ == "__main__":
    main()
