"""The server, this API process, the settings, and what an operator should change."""

from __future__ import annotations

import os
import platform
import socket
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response

from buraq.browse import Tasks
from buraq.config import SETTINGS, Config
from buraq.version import __version__
from buraq.web import contract
from buraq.web.hosting import most_streams
from buraq.web.v1.call import Call, answer, at
from buraq.web.v1.tasks import history

STARTED_MS = time.time() * 1000
PACKAGES = ("flask", "gevent", "gunicorn", "hiredis", "redis", "ujson")


def get_openapi(call: Call) -> Response:
    """Answer with the contract."""
    return Response(contract.text(), content_type="application/json")


def get_system(call: Call) -> Response:
    """Answer with server, API process, settings, history and warnings."""
    config, link = call.backend.config, call.backend.server.shared
    began = time.perf_counter()
    [clock] = link.commands([("TIME",)])
    round_trip_ms = (time.perf_counter() - began) * 1000
    [raw] = link.commands([("INFO",)])
    facts = _facts(raw)
    server = describe_server(facts, call.backend.server.address(), config, round_trip_ms)
    return answer(
        {
            "at": at(int(clock[0]) * 1000 + int(clock[1]) // 1000),
            "server": server,
            "api": _api(call),
            "settings": settings(config),
            "history": history(Tasks(call.backend), call.queues),
            "warnings": warnings(server, config),
        }
    )


def _facts(raw: Any) -> dict[str, str]:
    """Read an INFO; of a server that refuses it, nothing."""
    if not isinstance(raw, bytes):
        return {}
    rows = (line.partition(":") for line in raw.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in rows if colon}


def describe_server(facts: dict[str, str], address: str, config: Config, round_trip_ms: float) -> dict[str, Any]:
    """Return what the server says of itself. What it does not say is null."""

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
        "address": config.masked_url if "embedded:" not in config.redis_url else address,
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


def _api(call: Call) -> dict[str, Any]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name)) is not None},
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "started_at": at(STARTED_MS),
        "streams": call.state.streams.taken,
        "streams_limit": most_streams(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def settings(config: Config) -> list[dict[str, Any]]:
    """Return the settings in force, in the order of the docs, without secrets."""
    shown = config.masked()
    return [
        {
            "variable": next(iter(known.variables)),
            "value": _written(shown[known.field]),
            "source": "set" if known.field in config.explicit else "default",
            "help": known.help,
        }
        for known in SETTINGS
    ]


def _written(value: Any) -> str | None:
    if value is None or value in ("", []):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(map(str, value))
    return f"{value:g}s" if isinstance(value, float) else str(value)


def warnings(server: dict[str, Any], config: Config) -> list[dict[str, str]]:
    """Return what an operator should change, the worst first."""
    found = []
    if server["aof"] is False:
        text = "The server writes no append-only file: a restart of it loses every task that waits."
        found.append(_warning("danger", text, "Set appendonly yes in its configuration, or CONFIG SET appendonly yes."))
    policy = server["eviction_policy"]
    if policy not in (None, "noeviction"):
        text = f"The server may evict keys when its memory is full (maxmemory-policy is {policy}): tasks can be lost."
        found.append(_warning("danger", text, "Set maxmemory-policy noeviction."))
    limit, used = server["memory_limit_bytes"], server["memory_bytes"]
    if limit and used and used > 0.9 * limit:
        text = f"The server uses {100 * used // limit} % of the memory that it may: soon it takes no more tasks."
        found.append(_warning("warning", text, "Raise maxmemory, or work off what waits."))
    if config.redis_cluster:
        text = "Of the servers of this cluster only the one of the first shard is shown and looked at here."
        found.append(_warning("warning", text, "Look at the others with INFO."))
    if not config.api_key and not config.read_only:
        text = "API_KEY is not set: changes are taken from loopback only."
        found.append(_warning("warning", text, "Set API_KEY, or READ_ONLY=true."))
    return found


def _warning(level: str, text: str, remedy: str) -> dict[str, str]:
    return {"level": level, "text": text, "remedy": remedy}
