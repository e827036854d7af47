"""Fixtures of the transition tests: see `tests/transitions/world.py`."""

from collections.abc import Iterator

import pytest
from redis import Redis

from buraq import connection
from tests.servers import Server
from tests.transitions.world import World


@pytest.fixture
def world(server: Server, redis: Redis) -> Iterator[World]:
    """An empty server, with no stream and no group on it."""
    link = connection.Server.from_url(server.unix_url).link()
    raw = server.client(decode_responses=False)
    yield World(raw, link)
    raw.close()
    link.close()


@pytest.fixture
def groups(world: World) -> World:
    """An empty server on which the five streams have their consumer group."""
    return world.with_groups()
