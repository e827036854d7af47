"""The API in this process, and as real gunicorn processes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from redis import Redis

from buraq import Buraq
from buraq.web import create_app
from tests.servers import Server
from tests.web.clients import ROOT, ApiProcess
from tests.web.contracts import Client
from tests.web.workplace import Workplace


@pytest.fixture
def start_api(tmp_path: Path, server: Server, redis: Redis) -> Iterator[Callable[..., ApiProcess]]:
    """Start `gunicorn wsgi:app` on the session's server: `start_api("--workers", "2", API_KEY="secret")`."""
    started: list[ApiProcess] = []

    def start(*arguments: str, ready: str = "/api/health", cwd: Path = ROOT, **env: str) -> ApiProcess:
        log = tmp_path / f"api-{len(started)}.log"
        settings = {"REDIS_URL": server.url_of("api"), **env}
        started.append(ApiProcess(log, *(arguments or ("wsgi:app",)), cwd=cwd, **settings))
        return started[-1].wait(ready)

    yield start
    for api in started:
        api.remove()


@pytest.fixture
def make_app(server: Server, redis: Redis) -> Callable[..., Flask]:
    """Return the API over the session's server, empty: `make_app(api_key="secret")`."""

    def make(**settings: Any) -> Flask:
        return create_app(Buraq(**{"redis_url": server.url, **settings}))

    return make


@pytest.fixture
def make(server: Server, redis: Redis) -> Callable[..., tuple[Client, Workplace]]:
    """Return a client that holds answers against the contract, and what it asks about: `make(read_only=True)`."""

    def build(**settings: Any) -> tuple[Client, Workplace]:
        queue = Buraq(**{"redis_url": server.url, **settings})
        return Client(create_app(queue)), Workplace(queue, redis)

    return build


@pytest.fixture
def both(make: Callable[..., tuple[Client, Workplace]]) -> tuple[Client, Workplace]:
    """The same with the default settings."""
    return make()
