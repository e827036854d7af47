"""A server that knows the users of docs/security.md, and programs that are let in as one of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Running, environment
from tests.guarded import AclServer
from tests.security.rules import rules
from tests.servers import KINDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=KINDS)
def guarded(request: pytest.FixtureRequest, shared: Callable[..., Any]) -> AclServer:
    """A server with the users of the docs, shared by the tests of a module."""
    return shared(AclServer, rules(), request.param, aof=True)  # type: ignore[no-any-return]


@pytest.fixture
def acl(guarded: AclServer) -> AclServer:
    """The same, empty, and as if nothing had been refused."""
    admin = guarded.client()
    admin.flushall()
    admin.acl_log_reset()
    admin.config_resetstat()
    return guarded


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `buraq` at a URL: `launch(url, "worker", LEASE_TTL="1s")`; what still runs in the end is ended."""
    running: list[Running] = []

    def start(url: str, *arguments: str, **settings: str) -> Running:
        known = {"BURAQ_APP": "tests.security.chores:queue", "PYTHONPATH": str(ROOT), "METRICS_PORT": "127.0.0.1:0"}
        env = environment(url, {**known, "LOG_FORMAT": "json", **settings})
        running.append(Running(arguments, tmp_path, {**env, "COLUMNS": "200", "HOME": os.environ.get("HOME", "/")}))
        return running[-1]

    yield start
    for one in running:
        one.close()
