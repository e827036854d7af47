"""What a worker says at its start: what it is connected to, what it consumes, where its figures are."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from redis.exceptions import ResponseError

from buraq.connection import Unreachable
from buraq.legacy import Leftovers
from buraq.log import RateLimited
from buraq.worker.worker import Worker

if TYPE_CHECKING:
    from buraq.worker.group import Group

log = logging.getLogger("buraq.worker")
troubles = RateLimited(log)

# What one worker process keeps open: for each shard fetch, settle, lease, producer; and for each node promote, reclaim,
# control, shared link.
PER_SHARD, PER_NODE = 4, 4


class Banner:
    """Writes the start lines of a worker process, once the server answers."""

    def __init__(self, worker: Worker, group: Group) -> None:
        self._worker = worker
        self._group = group

    def show(self, full: bool) -> None:
        """Say what the group is connected to (`full`, the first process), and that this process consumes."""
        worker = self._worker
        if full:
            self._show_server()
            self._show_leftovers()
            self._show_group()
        while not worker.standing.valid:
            gevent.sleep(0.02)
        log.info("consuming", extra={"worker": worker.name, "slots": worker.slots.concurrency})

    def _show_server(self) -> None:
        backend = self._worker.app.backend
        said = self._ask_server()
        policy = said.get("maxmemory_policy", "unknown")
        log.info(
            "connected",
            extra={
                "server": backend.config.masked_url,
                "version": _version(said),
                "durability": "AOF"
                if said.get("aof_enabled") == "1"
                else "no AOF: a restart of the server may lose tasks",
                "eviction": policy,
            },
        )
        if policy not in ("noeviction", "unknown"):
            log.error(
                "THE SERVER MAY EVICT TASKS: set maxmemory-policy to noeviction, or they vanish when memory is short",
                extra={"eviction": policy},
            )

    def _show_leftovers(self) -> None:
        backend = self._worker.app.backend
        for queue in self._worker.queues_now() if len(backend.shards) == 1 else ():  # the original knows no shards
            with suppress(ResponseError, *Unreachable):  # the next start says it
                for stream, left in Leftovers(backend, queue).count().items():
                    log.warning(
                        "acked entries were never deleted, as the Go original leaves them: `buraq tidy` deletes them",
                        extra={"stream": stream, "entries": left},
                    )

    def _ask_server(self) -> dict[str, str]:
        """Return what the server says of itself, as soon as it answers."""
        backend = self._worker.app.backend
        asked = [("INFO", "server"), ("INFO", "memory"), ("INFO", "persistence")]
        while True:
            try:
                server, memory, disk = backend.server.shared.commands(asked)
                return {**_info(server), **_info(memory), **_info(disk)}
            except (*Unreachable, ResponseError) as error:  # no such database, for one
                facts = {"server": backend.config.masked_url, "error": str(error)}
                troubles.warning("waiting for Redis (REDIS_URL or REDIS_ADDR)", extra=facts)
                gevent.sleep(0.5)

    def _show_group(self) -> None:
        worker, options = self._worker, self._group.options
        config, shards = worker.app.backend.config, len(worker.app.backend.shards)
        nodes = len(config.redis_addrs) if config.redis_cluster else 1
        host, port = self._group.address[:2]
        log.info(
            "worker group",
            extra={
                "queues": ",".join(worker.queues_now()),
                "task_types": ",".join(sorted(worker.app.registry)) or "none",
                "processes": options.processes,
                "slots": options.concurrency,
                "connections": (PER_SHARD * shards + PER_NODE * nodes) * options.processes,
                "metrics": f"http://{'localhost' if host in ('0.0.0.0', '::') else host}:{port}/metrics",
            },
        )


def _info(reply: Any) -> dict[str, str]:
    """Read an INFO reply; a user that may not ask leaves it empty."""
    if not isinstance(reply, bytes):
        return {}
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _version(said: dict[str, str]) -> str:
    if "valkey_version" in said:
        return f"Valkey {said['valkey_version']}"
    return f"Redis {said.get('redis_version', '(unknown)')}"
