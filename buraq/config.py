"""All settings: what they are called, what they accept, and one frozen `Config` that holds them.

Each setting is declared once, in `Config`; reading it and documenting it both follow from there.
`python -m buraq.config` prints the table of the docs.
"""

# `setting()` returns a dataclass field, which is what RUF009 asks for; it cannot see that.
# ruff: noqa: RUF009

import dataclasses
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from buraq.errors import ConfigError, close_match
from buraq.setting import Setting, hidden, setting
from buraq.values import (
    Address,
    Durability,
    choice,
    duration,
    many,
    mask_url,
    node,
    optional,
    parse_address,
    parse_durability,
    parse_flag,
    parse_name,
    parse_node_url,
    parse_origin,
    parse_redis_url,
    parse_size,
    parse_text,
    whole,
)


@dataclass(frozen=True, kw_only=True, repr=False)
class Config:
    """All of Buraq's settings. Durations are in seconds.

    Made by `from_env` or `from_mapping`, which check each value; the constructor checks none.
    """

    # Redis
    redis_url: str = setting(
        "redis://localhost:6379/0",
        "Server: `redis://`, `rediss://`, `unix://`, `embedded://` (a temporary one of its own) or "
        "`embedded:///path` (kept). `REDIS_ADDR` is the short form, `host:port`.",
        mask=mask_url,
        REDIS_URL=parse_redis_url,
        REDIS_ADDR=parse_node_url,
    )
    redis_cluster: bool = setting("false", "Cluster mode.", REDIS_CLUSTER=parse_flag)
    redis_addrs: tuple[str, ...] = setting(
        "localhost:6379",
        "Nodes of the cluster, `host:port` each.",
        mask=mask_url,
        REDIS_ADDRS=many(node(6379)),
    )
    redis_sentinels: tuple[str, ...] = setting(
        "none", "Sentinels, `host:port` each.", mask=mask_url, REDIS_SENTINELS=many(node(26379))
    )
    redis_sentinel_master: str | None = setting(
        "none",
        "Name of the master that the sentinels watch.",
        REDIS_SENTINEL_MASTER=optional(parse_name),
    )
    redis_sentinel_password: str = setting(
        "",
        "Password of the sentinels themselves; the master's is in `REDIS_URL`.",
        "empty",
        hidden,
        REDIS_SENTINEL_PASSWORD=parse_text,
    )
    redis_ssl_cert_reqs: str = setting(
        "required",
        "Check of a `rediss://` server's certificate: `required`, `optional` or `none`. "
        "Heroku's is self-signed and needs `none`.",
        REDIS_SSL_CERT_REQS=choice("required", "optional", "none"),
    )
    durability: Durability = setting(
        "memory",
        "What an enqueue waits for: `memory`, `replica:N` (N replicas have it) or `aof` (on disk).",
        DURABILITY=parse_durability,
    )

    # Names
    stream_name: str = setting(
        "buraq_tasks",
        "Base name of all keys, and stream of normal priority.",
        STREAM_NAME=parse_name,
    )
    group_name: str = setting("buraq_workers", "Consumer group.", GROUP_NAME=parse_name)
    dlq_stream_name: str = setting(None, "Dead-letter stream.", "`STREAM_NAME` + `_dlq`", DLQ_STREAM_NAME=parse_name)
    consumer_name: str = setting(
        None,
        "Name of a worker process; each start adds a random suffix. Heroku sets `DYNO`.",
        "the host name",
        CONSUMER_NAME=parse_name,
        DYNO=parse_name,
    )
    events_channel: str = setting(
        "buraq_events", "Channel that lifecycle events are published on.", EVENTS_CHANNEL=parse_name
    )
    stream_shards: int = setting("16", "Shards of a queue in cluster mode.", STREAM_SHARDS=whole(at_least=1))
    app: str | None = setting(
        "none",
        "The queue that the command line works with, `module:queue`.",
        BURAQ_APP=optional(parse_name),
    )

    # Workers
    worker_count: int = setting(
        "1000", "Slots of a worker process: tasks that run at once.", WORKER_COUNT=whole(at_least=1)
    )
    worker_processes: int = setting("1", "Worker processes of `buraq worker`.", WORKER_PROCESSES=whole(at_least=1))
    cpu_processes: int = setting(
        "1",
        'Child processes of a worker process for tasks with `pool="process"`: as many run at once.',
        CPU_PROCESSES=whole(at_least=1),
    )
    fetch_batch_size: int = setting("250", "Tasks fetched at once, at most.", FETCH_BATCH_SIZE=whole(at_least=1))
    block_timeout: float = setting(
        # 0 would be forever to Redis, and such a fetch could not be stopped.
        "2s",
        "How long a fetch waits when there is nothing.",
        BLOCK_TIMEOUT=duration(0.001),
    )
    lease_ttl: float = setting(
        "10s",
        "A worker process that is silent for this long is dead, and its tasks run elsewhere.",
        LEASE_TTL=duration(1),
    )
    max_blocked: float = setting(
        "60s",
        "A worker process whose tasks let nothing else run for this long is killed.",
        MAX_BLOCKED=duration(1),
    )
    max_tasks: int = setting(
        "0", "A worker process that has run so many tasks is replaced. `0`: no limit.", MAX_TASKS=whole(at_least=0)
    )
    max_memory_mb: int = setting(
        "0",
        "A worker process that takes so much memory, in MB, is replaced. `0`: no limit.",
        MAX_MEMORY_MB=whole(at_least=0),
    )
    shutdown_timeout: float = setting(
        "25s",
        "How long a stopping worker lets tasks finish before it hands them back.",
        SHUTDOWN_TIMEOUT=duration(),
    )
    enable_priority: bool = setting(
        "true",
        "`false`: all tasks go to the stream of normal priority.",
        ENABLE_PRIORITY=parse_flag,
    )

    # Tasks
    max_retries: int = setting("3", "Retries after the first attempt.", MAX_RETRIES=whole(at_least=0))
    retry_backoff: float = setting("1s", "Wait before the first retry; it doubles each time.", RETRY_BACKOFF=duration())
    retry_backoff_max: float = setting("10m", "Longest wait before a retry.", RETRY_BACKOFF_MAX=duration())
    task_timeout: float | None = setting("none", "How long an attempt may run.", TASK_TIMEOUT=optional(duration(0.001)))
    timeout_grace: float = setting(
        "10s",
        "How long after its timeout a task may go on. Then the child process that runs it is killed; in the worker's "
        "own process the timeout is raised again.",
        TIMEOUT_GRACE=duration(0.001),
    )
    enqueue_timeout: float = setting(
        "1s", "How long an enqueue waits for the server's answer.", ENQUEUE_TIMEOUT=duration(0.001)
    )
    max_payload_bytes: int = setting("1MiB", "Largest payload, as JSON.", MAX_PAYLOAD_BYTES=parse_size)
    result_ttl: float = setting("1h", "How long a kept result lives.", RESULT_TTL=duration(1))
    dlq_max_age: float | None = setting(
        "none", "Dead letters older than this are deleted.", DLQ_MAX_AGE=optional(duration(1))
    )
    dlq_max_length: int | None = setting(
        "none", "Dead letters kept, the newest first.", DLQ_MAX_LENGTH=optional(whole(at_least=1))
    )
    history_length: int = setting(
        "10000",
        "Finished tasks that are kept to be looked at, of each queue: so many completed, failed, buried and cancelled "
        "ones, the newest. 0 keeps none.",
        HISTORY_LENGTH=whole(at_least=0),
    )
    enable_mock_tasks: bool = setting("false", "Enqueue mock tasks.", ENABLE_MOCK_TASKS=parse_flag)
    mock_task_interval: float = setting("2s", "Time between two mock tasks.", MOCK_TASK_INTERVAL=duration(0.001))

    # HTTP
    api_port: Address = setting(
        ":8080",
        "Where the API listens: `:port`, `port` or `host:port`. Platforms set `PORT`.",
        PORT=parse_address,
        API_PORT=parse_address,
    )
    metrics_port: Address = setting(
        ":2112",
        "Where a worker answers `/metrics`, `/livez`, `/readyz`. Not set and taken: the next one.",
        METRICS_PORT=parse_address,
    )
    api_key: str = setting(
        "",
        "Bearer key for changes. Without one, from loopback only.",
        "empty",
        hidden,
        API_KEY=parse_text,
    )
    read_key: str = setting("", "Bearer key for reading.", "empty", hidden, READ_KEY=parse_text)
    read_only: bool = setting("false", "Refuse all changes.", READ_ONLY=parse_flag)
    cors_origins: tuple[str, ...] = setting(
        "http://localhost:3000",
        "Origins that browsers may call from, comma-separated, or `none`.",
        CORS_ORIGINS=many(parse_origin),
    )
    redact_keys: tuple[str, ...] = setting(
        "password,passwd,secret,token,apikey,accesskey,privatekey,credential,authorization,cookie,cardnumber,cvv,cvc",
        "Payload members whose names contain one of these words are hidden by the API; `none` hides nothing.",
        REDACT_KEYS=many(parse_name),
    )
    trusted_proxies: int = setting("0", "How many X-Forwarded-For hops to believe.", TRUSTED_PROXIES=whole(at_least=0))

    # Logs
    log_format: str | None = setting(
        "none",
        "`text` or `json`.",
        "`text` on a terminal, else `json`",
        LOG_FORMAT=optional(choice("text", "json")),
    )
    log_level: str = setting(
        "info",
        "`debug`, `info`, `warning`, `error` or `critical`.",
        LOG_LEVEL=choice("debug", "info", "warning", "error", "critical", warn="warning"),
    )

    # The fields that were set and not left at their default. A default port may move when it is
    # taken; a chosen one may not.
    explicit: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        if not self.dlq_stream_name:
            object.__setattr__(self, "dlq_stream_name", f"{self.stream_name}_dlq")
        if not self.consumer_name:
            object.__setattr__(self, "consumer_name", socket.gethostname())

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ, **overrides: object) -> Self:
        """Read the environment; `overrides` are fields by name, typed or as text, and win.

        `BURAQ_STREAM_NAME` wins over `STREAM_NAME`; an empty variable counts as not set. Raises
        ConfigError naming the variable or keyword that is wrong, TypeError for an unknown keyword.
        """
        return cls._read({}, env, overrides)

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, object],
        env: Mapping[str, str] | None = None,
        **overrides: object,
    ) -> Self:
        """Read the `BURAQ_…` keys of a mapping such as Flask's `app.config`.

        Values may be text or typed; empty ones and None count as not set. What the mapping does not
        say comes from `env`, if given. Raises as `from_env`.
        """
        return cls._read(mapping, env or {}, overrides)

    @classmethod
    def _read(
        cls,
        mapping: Mapping[str, object],
        env: Mapping[str, str],
        overrides: Mapping[str, object],
    ) -> Self:
        refuse_unknown(overrides)
        values: dict[str, object] = {}
        written: dict[str, str] = {}
        for known in SETTINGS:
            found = known.find(mapping, env, overrides)
            if found is not None:
                values[known.field] = known.read(*found)
                written[known.field] = found[0]
        config = cls(**values, explicit=frozenset(values))  # type: ignore[arg-type]
        refuse_contradictions(config, written)
        return config

    @property
    def masked_url(self) -> str:
        """`redis_url` without its password, fit for logs and error messages; or the sentinels, or the cluster."""
        if self.redis_cluster:
            return f"the cluster of {','.join(self.redis_addrs)}"
        if self.redis_sentinels:
            return f"{self.redis_sentinel_master} of the sentinels {','.join(self.redis_sentinels)}"
        return mask_url(self.redis_url)

    def masked(self) -> dict[str, object]:
        """Return field → value for display: secrets masked, and nothing that JSON cannot hold."""
        shown: dict[str, object] = {}
        for known in SETTINGS:
            value = getattr(self, known.field)
            if isinstance(value, tuple):
                value = list(value)
            elif isinstance(value, str | Address | Durability):
                value = known.mask(str(value))
            shown[known.field] = value
        return shown

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{key}={value!r}' for key, value in self.masked().items())})"


SETTINGS: tuple[Setting, ...] = tuple(
    dataclasses.replace(known.metadata["setting"], field=known.name)
    for known in dataclasses.fields(Config)
    if "setting" in known.metadata
)


def refuse_unknown(overrides: Mapping[str, object]) -> None:
    fields = {variable.lower(): known.field for known in SETTINGS for variable in known.variables}
    fields |= {known.field: known.field for known in SETTINGS}
    for keyword in overrides:
        if keyword not in fields.values():
            guess = fields.get(close_match(keyword.lower(), fields) or "")
            hint = f"; did you mean {guess}?" if guess else ""
            raise TypeError(f"there is no setting {keyword}{hint}")


def refuse_contradictions(config: Config, written: Mapping[str, str]) -> None:
    """Raise ConfigError for settings that are right by themselves and wrong together."""
    base, dead = config.stream_name, config.dlq_stream_name
    if dead in (base, *(f"{base}_{line}" for line in ("high", "low", "front", "suspects"))):
        raise ConfigError(
            written.get("dlq_stream_name", "DLQ_STREAM_NAME"),
            dead,
            "workers read tasks from this stream, so dead letters would run for ever; name another",
        )
    if config.redis_sentinels and not config.redis_sentinel_master:
        raise ConfigError("REDIS_SENTINEL_MASTER", "", "with REDIS_SENTINELS it takes the name of their master")
    if config.redis_sentinel_master and not config.redis_sentinels:
        raise ConfigError("REDIS_SENTINELS", "", "with REDIS_SENTINEL_MASTER it takes host:port,host:port,…")
    if (config.redis_sentinels or config.redis_cluster) and not config.redis_url.startswith(("redis:", "rediss:")):
        remedy = "with sentinels or a cluster it takes redis:// or rediss://, for password, database and TLS"
        raise ConfigError(written.get("redis_url", "REDIS_URL"), mask_url(config.redis_url), remedy)
    if config.redis_sentinels and config.redis_cluster:
        raise ConfigError("REDIS_CLUSTER", "true", "a cluster replaces its masters itself; leave REDIS_SENTINELS empty")
    if config.redis_cluster and set("{}") & set(base + dead):
        raise ConfigError(written.get("stream_name", "STREAM_NAME"), base, "in a cluster names have no { or }")


def settings_table() -> str:
    """Return the table of all settings, in Markdown, as the docs show it."""
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    for known in SETTINGS:
        names = ", ".join(f"`{variable}`" for variable in known.variables)
        lines.append(f"| {names} | {known.shown} | {known.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
