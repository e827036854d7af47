"""What a worker says at its start: what it is connected to, what it consumes, where its figures are."""

from __future__ import annotations

import logging
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
        while not worker.standing.valid:
            gevent.sleep(0.02)
        log.info("consuming", extra={"worker": worker.name, "slots": worker.slots.concurrency})

    def _show_server(self) -> None:
        worker, options = self._worker, self._group.options
        backend = worker.app.backend
        config = backend.config
        while True:
            try:
                server, memory, disk = backend.server.shared.commands(
                    [("INFO", "server"), ("INFO", "memory"), ("INFO", "persistence")]
                )
                break
            except (*Unreachable, ResponseError) as error:  # no such database, for one
                facts = {"server": config.masked_url, "error": str(error)}
                troubles.warning("waiting for Redis (REDIS_URL or REDIS_ADDR)", extra=facts)
                gevent.sleep(0.5)
        said = {**_info(server), **_info(memory), **_info(disk)}
        policy = said.get("maxmemory_policy", "unknown")
        log.info(
            "connected",
            extra={
                "server": config.masked_url,
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
        for queue in worker.queues_now() if len(backend.shards) == 1 else ():  # the original knows no shards
            for stream, left in Leftovers(backend, queue).count().items():
                log.warning(
                    "acked entries were never deleted, as the Go original leaves them: `buraq tidy` deletes them",
                    extra={"stream": stream, "entries": left},
                )
        nodes = len(config.redis_addrs) if config.redis_cluster else 1
        host, port = self._group.address[:2]
        log.info(
            "worker group",
            extra={
                "queues": ",".join(worker.queues_now()),
                "task_types": ",".join(sorted(worker.app.registry)) or "none",
                "processes": options.processes,
                "slots": options.concurrency,
                "connections": (PER_SHARD * len(backend.shards) + PER_NODE * nodes) * options.processes,
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
