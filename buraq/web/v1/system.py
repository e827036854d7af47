"""The servers, this API process, the settings, and what an operator should change."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flask import Response

from buraq.browse import Tasks
from buraq.config import SETTINGS, Config
from buraq.version import __version__
from buraq.web import contract
from buraq.web.hosting import most_streams
from buraq.web.v1.call import Call, answer, at
from buraq.web.v1.servers import look
from buraq.web.v1.tasks import history

STARTED_MS = time.time() * 1000
PACKAGES = ("flask", "gevent", "gunicorn", "hiredis", "redis", "ujson")


def get_openapi(call: Call) -> Response:
    """Answer with the contract."""
    return Response(contract.text(), content_type="application/json")


def get_system(call: Call) -> Response:
    """Answer with servers, API process, settings, history and warnings."""
    config = call.backend.config
    now_ms, servers = look(call.backend)
    past = history(Tasks(call.backend), call.known_queues, call.broken)
    overwritten = call.left_out().get("broken", [])
    return answer(
        {
            "at": at(now_ms),
            "servers": servers,
            "api": _api(call),
            "settings": settings(config),
            "history": past,
            "warnings": [*map(_of_key, overwritten), *warnings(servers, config)],
        }
    )


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
    return f"{value:.15g}s" if isinstance(value, float) else str(value)  # all digits: two weeks are no 1.2096e+06s


def warnings(servers: list[dict[str, Any]], config: Config) -> list[dict[str, str]]:
    """Return what an operator should change, the worst first."""
    found = [warning for server in servers for warning in _of_server(server, config)]
    if not config.api_key and not config.read_only:
        text = "API_KEY is not set: changes are taken from loopback only."
        found.append(_warning("warning", text, "Set API_KEY, or READ_ONLY=true."))
    return sorted(found, key=lambda warning: warning["level"] != "danger")


def _of_server(server: dict[str, Any], config: Config) -> Iterator[dict[str, str]]:
    name = f"The server {server['address']}" if config.redis_cluster else "The server"
    if server["aof"] is False:
        text = f"{name} writes no append-only file: a restart of it loses every task that waits."
        yield _warning("danger", text, "Set appendonly yes in its configuration, or CONFIG SET appendonly yes.")
    policy = server["eviction_policy"]
    if policy not in (None, "noeviction"):
        text = f"{name} may evict keys when its memory is full (maxmemory-policy is {policy}): tasks can be lost."
        yield _warning("danger", text, "Set maxmemory-policy noeviction.")
    limit, used = server["memory_limit_bytes"], server["memory_bytes"]
    if limit and used and used > 0.9 * limit:
        text = f"{name} uses {100 * used // limit} % of the memory that it may: soon it takes no more tasks."
        yield _warning("warning", text, "Raise maxmemory, or work off what waits.")


def _of_key(key: str) -> dict[str, str]:
    text = f"Something else has overwritten {key}: what it held is in no answer, and what writes to it is refused."
    return _warning("danger", text, "See with TYPE what it holds, then move it away with RENAME.")


def _warning(level: str, text: str, remedy: str) -> dict[str, str]:
    return {"level": level, "text": text, "remedy": remedy}
