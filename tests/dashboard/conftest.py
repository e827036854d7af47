"""The dashboard as a user has it: a Chromium, a server, the API and workers, all of them real."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Chromium, Tab
from tests.servers import PATIENCE, Server, eventually
from tests.web.clients import ROOT, ApiProcess
from tests.web.workplace import Workplace


@pytest.fixture(scope="package")
def chromium() -> Iterator[Chromium]:
    """The browser, for all tests here: it takes two seconds to start. Its event loop ends with the last of them."""
    try:
        made = Chromium()
    except FileNotFoundError as missing:
        # As in tests/conftest.py: in CI everything is installed.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(missing))
    with made as started:
        yield started


@pytest.fixture
def open_tab(chromium: Chromium, start_api: Callable[..., ApiProcess]) -> Iterator[Callable[..., Tab]]:
    """Open a tab on a site: `open_tab(url)`. In the end none may have said or asked what it should not.

    It asks for `start_api`, so that the tabs are closed before their API is.
    """
    tabs: list[Tab] = []

    def open(site: str, **options: Any) -> Tab:
        tabs.append(Tab(chromium, site, **options))
        return tabs[-1]

    yield open
    for tab in tabs:
        tab.close()
    assert [text for tab in tabs for text in tab.complaints] == []


@pytest.fixture
def start_api(tmp_path: Path, server: Server, redis: Redis) -> Iterator[Callable[..., ApiProcess]]:
    """Start `gunicorn wsgi:app` on the session's server: `start_api(READ_ONLY="true")`."""
    started: list[ApiProcess] = []

    def start(*arguments: str, ready: str = "/api/health", cwd: Path = ROOT, **env: str) -> ApiProcess:
        log = tmp_path / f"api-{len(started)}.log"
        settings = {"REDIS_URL": server.url_of("api"), **env}
        started.append(ApiProcess(log, *(arguments or ("wsgi:app",)), cwd=cwd, **settings))
        return started[-1].wait(ready)

    yield start
    for api in started:
        api.remove()


class Worker:
    """`buraq worker` with the tasks of workshop.py, in a session of its own."""

    def __init__(self, log: Path, **env: str) -> None:
        command = [sys.executable, "-m", "buraq", "worker", "tests.dashboard.workshop:queue", "--concurrency", "5"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                command, env={**os.environ, **env}, cwd=ROOT, stdout=out, stderr=out, start_new_session=True
            )
        eventually(lambda: "consuming" in log.read_text())

    def children(self) -> list[int]:
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def kill(self) -> None:
        """End all of it as a power cut would."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)


@pytest.fixture
def start_worker(tmp_path: Path, server: Server, redis: Redis) -> Iterator[Callable[..., Worker]]:
    """Start a worker on the session's server: `start_worker(LEASE_TTL="2s")`."""
    started: list[Worker] = []

    def start(**env: str) -> Worker:
        log = tmp_path / f"worker-{len(started)}.log"
        settings = {"REDIS_URL": server.url_of("worker"), "TOWN_URL": server.own_url, "SHUTDOWN_TIMEOUT": "1s", **env}
        started.append(Worker(log, **settings))
        return started[-1]

    yield start
    for worker in started:
        worker.kill()


@pytest.fixture
def queue(server: Server, redis: Redis) -> Buraq:
    """What enqueues."""
    return Buraq(redis_url=server.url)


@pytest.fixture
def workplace(queue: Buraq, redis: Redis) -> Workplace:
    """A worker process without a process, and tasks in every state, in two queues."""
    work = Workplace(queue, redis, "w~00000001")
    work.lease("default", "mail", queues="default,mail", slots=10, in_flight=1, hub_lag_ms=0.4, cpu=12.5, memory_mb=48)
    for number in range(6):
        queue.enqueue("charge", {"order": number}, id=f"charge-{number}")
    work.complete(2)
    work.fail()
    work.bury(2, error="ConnectionError: the bank does not answer")
    queue.enqueue("welcome", {"user": 1, "password": "hush"}, id="welcome-1", queue="mail")
    queue.enqueue("welcome", {"user": 2}, id="welcome-2", queue="mail")
    work.bury(queue="mail")
    for number in range(3):
        queue.enqueue("report", {"number": number}, id=f"report-{number}", delay=3600 + number)
    work.fetch(1)
    for number in range(4):
        queue.enqueue("charge", {"order": 10 + number}, id=f"later-{number}", priority="high")
    return work
