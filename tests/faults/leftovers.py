"""What is left in a server of tasks that have ended, and of worker processes that have."""

import contextlib
from collections import Counter
from typing import Any

from redis.exceptions import ResponseError

from tests.servers import Server

BASE = "buraq_tasks"
STREAMS = [BASE, *(f"{BASE}_{name}" for name in ("high", "low", "front", "suspects"))]


def nothing_left(client: Any) -> bool:
    """Assert that no task of the default queue is anywhere but among the dead letters."""
    assert {name: client.xlen(name) for name in STREAMS} == dict.fromkeys(STREAMS, 0)
    assert client.zcard(f"{BASE}:scheduled") == 0
    assert client.hlen(f"{BASE}:scheduled:tasks") == 0
    assert client.hlen(f"{BASE}:index") == client.xlen(f"{BASE}_dlq")
    return True


def consumers(client: Any) -> set[str]:
    """Return the names of all consumers."""
    found: set[str] = set()
    for name in STREAMS:
        with contextlib.suppress(ResponseError):  # no such stream
            found |= {one["name"] for one in client.xinfo_consumers(name, "buraq_workers")}
    return found


def leases(client: Any) -> set[str]:
    """Return the worker processes that hold a lease."""
    seconds, micros = client.time()
    return set(client.zrangebyscore(f"{BASE}:leases", seconds * 1000 + micros // 1000, "+inf"))


def no_dead_consumer(client: Any) -> bool:
    """Assert that the living have tidied up after the dead."""
    assert consumers(client) <= leases(client)
    return True


def left_in(server: Server) -> Counter[str]:
    """Return what is left in a server of tasks and of worker processes that have ended, and how much.

    The row of a lease that ran out is none: who vanished is listed for five minutes. Dead letters that could not be
    read have no row.
    """
    with server.client() as client:
        found = Counter({name: client.xlen(name) for name in STREAMS})
        due = found[f"{BASE}:scheduled"] = client.zcard(f"{BASE}:scheduled")
        placed = sum(found.values()) + client.xlen(f"{BASE}_dlq")
        found["rows of no task"] = client.hlen(f"{BASE}:index") - placed
        found["payloads of no task"] = client.hlen(f"{BASE}:scheduled:tasks") - due
        found.update(f"consumer {name}" for name in consumers(client))
        found.update(f"lease {name}" for name in leases(client))
    return +found  # without what there is none of
