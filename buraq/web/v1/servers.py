"""What the servers that the queues live on say of themselves: one, or those of a cluster that a shard lies on."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from buraq.backend import Backend
from buraq.clusters import ShardServer
from buraq.connection import SharedLink
from buraq.replies import unix_ms


def look(backend: Backend) -> tuple[int, list[dict[str, Any]]]:
    """Return the time by the first server's clock, unix ms, and what each server says of itself."""
    shards: Counter[str] = Counter()
    links: dict[str, SharedLink] = {}
    for shard in backend.shards:
        address = _address(backend, shard.server)
        shards[address] += 1
        links.setdefault(address, shard.server.shared)
    clocks, servers = [], []
    for address, link in links.items():
        began = time.perf_counter()
        [clock] = link.commands([("TIME",)])
        round_trip_ms = (time.perf_counter() - began) * 1000
        [raw] = link.commands([("INFO",)])
        clocks.append(unix_ms(clock))
        servers.append(describe(_facts(raw), address, shards[address], round_trip_ms))
    return clocks[0], servers


def _address(backend: Backend, server: Any) -> str:
    """Return where a server is, without its password."""
    if isinstance(server, ShardServer):
        host, port = server.cluster.owner(server.slot)
        return f"{host}:{port}"
    config = backend.config
    return config.masked_url if "embedded:" not in config.redis_url else str(server.address())


def _facts(raw: Any) -> dict[str, str]:
    """Read an INFO; of a server that refuses it, nothing."""
    if not isinstance(raw, bytes):
        return {}
    rows = (line.partition(":") for line in raw.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in rows if colon}


def describe(facts: dict[str, str], address: str, shards: int, round_trip_ms: float) -> dict[str, Any]:
    """Return what a server says of itself. What it does not say is null."""

    def whole(name: str) -> int | None:
        value = facts.get(name, "")
        return int(value) if value.isdecimal() else None

    valkey = "valkey_version" in facts
    commands = facts.get("instantaneous_ops_per_sec", "")
    return {
        "product": "valkey" if valkey else "redis",
        "version": facts.get("valkey_version") or facts.get("redis_version"),
        "mode": facts.get("server_mode") or facts.get("redis_mode"),
        "role": {"master": "master", "slave": "replica"}.get(facts.get("role", "")),
        "address": address,
        "shards": shards,
        "uptime_s": whole("uptime_in_seconds"),
        "connected_clients": whole("connected_clients"),
        "commands_per_s": float(commands) if commands.isdecimal() else None,
        "memory_bytes": whole("used_memory"),
        "memory_peak_bytes": whole("used_memory_peak"),
        "memory_limit_bytes": whole("maxmemory") or None,
        "eviction_policy": facts.get("maxmemory_policy"),
        "aof": facts["aof_enabled"] == "1" if "aof_enabled" in facts else None,
        "replicas": whole("connected_slaves"),
        "round_trip_ms": round(round_trip_ms, 2),
    }
