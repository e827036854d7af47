"""Fixtures for all tests: a real server, one that may be broken, and patience with processes."""

from gevent import monkey

monkey.patch_all()

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests import servers
from tests.fleets import Fleet
from tests.guarded import StrictServer
from tests.servers import KINDS, RUN, Server
from tests.sweeper import sweep

# What tests and the processes they start make by tempfile goes here, and tells whose they are.
# pytest's own directories stay where they are looked for after a failure.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
TEMPORARY = Path(tempfile.mkdtemp(prefix="bq-"))
tempfile.tempdir = os.environ["TMPDIR"] = str(TEMPORARY)
sweep(TEMPORARY)
os.environ[RUN] = uuid.uuid4().hex
# Unless told, an enqueue waits a third of a second for an answer, thrice. A machine may stand still for longer.
os.environ.setdefault("ENQUEUE_TIMEOUT", "10s")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "each_server: runs on Valkey and, where redis-server is installed, on Redis")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("each_server"):
        metafunc.parametrize("server", KINDS, indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tests log halves of surrogate pairs; a report that holds one cannot be sent from a process of the tests."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_unconfigure() -> None:
    shutil.rmtree(TEMPORARY, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def no_process_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run if a process that it started outlives it."""
    yield
    directories = TEMPORARY, tmp_path_factory.getbasetemp()
    servers.eventually(lambda: _none(servers.processes_of_this_run(directories)))


def _none(processes: list[str]) -> bool:
    assert processes == []
    return True


@pytest.fixture(scope="session")
def running_servers() -> Iterator[Callable[[str], StrictServer]]:
    """Return the session's server of a kind, started when first asked for."""
    started: dict[str, StrictServer] = {}

    def of_kind(kind: str) -> StrictServer:
        if kind not in started:
            started[kind] = _made(StrictServer, kind).start()
        return started[kind]

    yield of_kind
    for server in started.values():
        server.remove()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest, running_servers: Callable[[str], StrictServer]) -> StrictServer:
    """The session's server, a Valkey without AOF. Not to be stopped: see `fresh_server`.

    Who connects to its `url` has no more rights than docs/security.md says that Buraq needs, `client()` has all.
    Under the mark `each_server` a test runs once on Valkey and once on Redis.
    """
    return running_servers(getattr(request, "param", "valkey"))


@pytest.fixture
def redis(server: StrictServer) -> Iterator[Redis]:
    """A client of the session's server, which is empty. In the end the server must have refused Buraq nothing."""
    client = server.client()
    client.flushall()
    client.acl_log_reset()
    # A subscription of the test before ends within a second. While somebody listens more is published, and other calls
    # are made, than when nobody does.
    servers.eventually(lambda: not client.pubsub_channels())
    yield client
    denied = server.denied()
    client.close()
    assert denied == []


@pytest.fixture
def fresh() -> Iterator[Callable[..., Any]]:
    """Start whatever of tests/ is one or more servers, for a test to break: `fresh(Cluster, masters=3)`.

    In the end those that run must have refused Buraq nothing.
    """
    with contextlib.ExitStack() as started:
        yield lambda make, *args, **options: _entered(started, _made(make, *args, **options))


@pytest.fixture(scope="module")
def shared() -> Iterator[Callable[..., Any]]:
    """The same for a module's own fixtures: its tests share what is started, and mend what they break."""
    with contextlib.ExitStack() as started:
        yield lambda make, *args, **options: _entered(started, _made(make, *args, **options))


@pytest.fixture
def fresh_server(fresh: Callable[..., Any]) -> Callable[..., StrictServer]:
    """Start servers that a test may stop, kill or pause: `fresh_server("valkey", aof=True)`."""
    return lambda kind="valkey", **options: fresh(StrictServer, kind, **options)


def _entered(started: contextlib.ExitStack, made: Any) -> Any:
    started.enter_context(made)
    started.callback(_denied_nothing, made)
    return made


def _denied_nothing(made: Server | Fleet) -> None:
    if isinstance(made, Fleet) or made.awake:
        assert made.denied() == []


def _made(make: Callable[..., Any], *args: object, **options: object) -> Any:
    try:
        return make(*args, **options)
    except FileNotFoundError as missing:
        # In CI everything is installed, and what is skipped unseen is soon broken.
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        return give_up(str(missing))


@pytest.fixture
def eventually() -> Callable[..., object]:
    """`eventually(check, timeout=40, every=0.02)`: see tests/servers.py."""
    return servers.eventually
