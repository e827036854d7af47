"""All settings: what they are called, what they accept, and one frozen `Config` that holds them.

Each setting is declared once, in `Config`; reading it and documenting it both follow from there.
`python -m buraq.config` prints the table of the docs.
"""

# `setting()` returns a dataclass field, which is what RUF009 asks for; it cannot see that.
# ruff: noqa: RUF009

import dataclasses
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Self, TypeVar, cast
from urllib.parse import urlsplit

from buraq.errors import ConfigError, close_match

T = TypeVar("T")
Parser = Callable[[object], T]
PREFIX = "BURAQ_"

# --- Values -------------------------------------------------------------------------------------
#
# A parser takes what was written, text or an already typed value, and returns the value. It raises
# ValueError with a phrase that says what is accepted. It never repeats the value: it may be secret.


@dataclass(frozen=True)
class Address:
    """Where to listen; `str()` gives `host:port`."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Durability:
    """How far an enqueue must have got before it counts as accepted.

    `memory`: the server has it. `replica`: so many `replicas` have it too. `aof`: it is on disk.
    """

    kind: Literal["memory", "replica", "aof"]
    replicas: int = 0

    def __str__(self) -> str:
        return f"replica:{self.replicas}" if self.kind == "replica" else self.kind


def mask_url(url: str) -> str:
    """Return `url` with its password replaced by `***`, fit for logs and error messages.

    Takes broken URLs too, and rather hides too much: an unescaped `@`, `/` or `#` in a password is
    just what makes a URL broken.
    """
    url = re.sub(r"(?i)([?&]password=)[^&]*", r"\1***", url)
    scheme, mark, rest = url.partition("://") if "://" in url else ("", "", url)
    secret, at, after = rest.rpartition("@")
    if not at or rest.startswith("/"):
        return url
    user, colon, _ = secret.partition(":")
    return f"{scheme}{mark}{user}:***@{after}" if colon else f"{scheme}{mark}***@{after}"


def parse_text(raw: object) -> str:
    """Any text on one line. Numbers count as text: Flask's from_prefixed_env() makes numbers."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw)
    if not isinstance(raw, str) or not raw.strip().isprintable():
        raise ValueError("it takes text without control characters")
    return raw.strip()


def parse_name(raw: object) -> str:
    value = parse_text(raw)
    if not value or re.search(r"\s", value):
        raise ValueError("it takes a name without spaces")
    return value


def parse_flag(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    value = str(raw).strip().lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("false", "0", "no", "off"):
        return False
    raise ValueError("it takes true or false")


def whole(at_least: int) -> Parser[int]:
    def parse(raw: object) -> int:
        value = raw
        if isinstance(raw, str) and re.fullmatch(r"-?[0-9]{1,15}", raw.strip()):
            value = int(raw)
        if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
            raise ValueError(f"it takes a whole number of at least {at_least}")
        return value

    return parse


NUMBER = r"([0-9]+(?:\.[0-9]+)?)"
SPAN = re.compile(f"(?:{NUMBER}d)?(?:{NUMBER}h)?(?:{NUMBER}m)?(?:{NUMBER}s)?(?:{NUMBER}ms)?")


def span(written: str) -> float:
    """Return the seconds of `1m30s` or `90`; -1 for what is neither."""
    match = SPAN.fullmatch(written)
    if re.fullmatch(NUMBER, written):
        return float(written)
    if not written or not match:
        return -1.0
    units = zip(match.groups(), (86400, 3600, 60, 1, 0.001), strict=True)
    return sum(float(number) * unit for number, unit in units if number)


def duration(at_least: float = 0.0) -> Parser[float]:
    """A span of time, in seconds."""

    def parse(raw: object) -> float:
        value = -1.0
        if isinstance(raw, timedelta):
            value = raw.total_seconds()
        elif isinstance(raw, str):
            value = span(raw.strip())
        elif isinstance(raw, int | float) and not isinstance(raw, bool):
            value = float(raw)
        if not at_least <= value < float("inf"):
            least = f" of at least {at_least:g}s" if at_least else ""
            raise ValueError(f"it takes a duration{least}: 500ms, 2s, 1m30s, 12h, 7d or seconds")
        return value

    return parse


SIZES = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3}
SIZES |= {"kib": 1024, "mib": 1024**2, "gib": 1024**3}


def parse_size(raw: object) -> int:
    match = re.fullmatch(r"([0-9]{1,15}) ?([a-z]*)", str(raw).strip().lower())
    if not match or match[2] not in SIZES or isinstance(raw, bool) or int(match[1]) == 0:
        raise ValueError("it takes bytes, as in 1048576, 512KB (512,000) or 1MiB (1,048,576)")
    return int(match[1]) * SIZES[match[2]]


def choice(*accepted: str, **aliases: str) -> Parser[str]:
    def parse(raw: object) -> str:
        value = str(raw).strip().lower()
        value = aliases.get(value, value)
        if value not in accepted:
            raise ValueError(f"it takes one of {', '.join(accepted)}")
        return value

    return parse


def optional(parser: Parser[T]) -> Parser[T | None]:
    def parse(raw: object) -> T | None:
        if raw is None or (isinstance(raw, str) and raw.strip().lower() == "none"):
            return None
        return parser(raw)

    return parse


def many(parser: Parser[T]) -> Parser[tuple[T, ...]]:
    """A comma-separated list, or a list of Python; `none` is the empty one."""

    def parse(raw: object) -> tuple[T, ...]:
        if raw is None:
            return ()
        if isinstance(raw, str):
            parts = [] if raw.strip().lower() == "none" else raw.split(",")
            return tuple(parser(part.strip()) for part in parts if part.strip())
        if isinstance(raw, list | tuple):
            return tuple(parser(part) for part in raw)
        raise ValueError("it takes a comma-separated list")

    return parse


HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*))(?::([0-9]{1,5}))?")


def host_and_port(raw: object) -> tuple[str, int | None] | None:
    """Take `host:port`, `host`, `:port` or `[v6]:port` apart, or return None."""
    match = HOST.fullmatch(str(raw).strip())
    if not match or (match[3] and int(match[3]) > 65535):
        return None
    return match[1] or match[2] or "", int(match[3]) if match[3] else None


def parse_address(raw: object) -> Address:
    if isinstance(raw, Address):
        return raw
    bare = not isinstance(raw, bool) and re.fullmatch(r"[0-9]{1,5}", str(raw).strip())
    parts = host_and_port(f":{str(raw).strip()}" if bare else raw)
    if parts is None or parts[1] is None:
        raise ValueError("it takes :port, port or host:port, with a port of at most 65535")
    return Address(parts[0] or "0.0.0.0", parts[1])


def node(default_port: int) -> Parser[str]:
    """The address of a server, as `host:port`."""

    def parse(raw: object) -> str:
        parts = host_and_port(raw)
        if parts is None or (not parts[0] and parts[1] is None) or parts[0].isdecimal():
            raise ValueError("it takes host:port; a URL, a password or a database number goes into REDIS_URL")
        return str(Address(parts[0] or "localhost", parts[1] or default_port))

    return parse


def parse_node_url(raw: object) -> str:
    return f"redis://{node(6379)(raw)}/0"


def parse_redis_url(raw: object) -> str:
    """A URL that redis-py understands, or that of an embedded server.

    Strict where redis-py would quietly connect elsewhere: to localhost when the host is missing,
    to database 0 when the path is no number.
    """
    url = parse_text(raw)
    scheme, mark, rest = url.partition("://")
    scheme = scheme.lower()
    if not mark or scheme not in ("redis", "rediss", "unix", "embedded"):
        raise ValueError(
            "it takes a URL that starts with redis://, rediss://, unix:// or embedded://; "
            "a plain host:port goes into REDIS_ADDR"
        )
    unreadable = "it takes a URL; in a password, write / : @ # ? % and spaces as %XX"
    if re.search(r"[\s#]", rest):
        raise ValueError(unreadable)
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(unreadable) from None
    if scheme == "unix" and (host or len(parts.path) < 2):
        raise ValueError("a unix:// URL takes an absolute path, as in unix:///run/redis.sock")
    if scheme == "embedded" and (parts.netloc or parts.path == "/" or parts.query):
        raise ValueError("it takes embedded:// or embedded:///absolute/path/of/a/folder")
    if scheme in ("redis", "rediss") and not host:
        raise ValueError(f"there is no host in it: {scheme}://host:6379/0")
    if scheme in ("redis", "rediss") and not re.fullmatch(r"(/[0-9]*)?", parts.path):
        raise ValueError(f"after the host comes a database number: {scheme}://host:6379/0")
    return f"{scheme}://{rest}"


def parse_origin(raw: object) -> str:
    """An origin as browsers send it: lower case, without the scheme's own port."""
    value = parse_text(raw).lower()
    if value == "*":
        raise ValueError("* would let any web page act with its visitor's rights; list the origins you trust")
    match = re.fullmatch(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]+)?", value)
    if not match:
        raise ValueError("it takes origins, scheme://host[:port] without a path or a final slash")
    scheme, host, port = match.groups()
    own = {"http": ":80", "https": ":443"}.get(scheme)
    return f"{scheme}://{host}{'' if port in (None, own) else port}"


def parse_durability(raw: object) -> Durability:
    if isinstance(raw, Durability):
        return raw
    match = re.fullmatch(r"(memory)|(aof)|replica:([1-9][0-9]{0,3})", str(raw).strip().lower())
    if not match:
        raise ValueError("it takes memory, aof, or replica:N with N of at least 1")
    if match[3]:
        return Durability("replica", int(match[3]))
    return Durability("aof" if match[2] else "memory")


# --- Settings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """One setting: the field that holds it and the variables that it is read from.

    `variables` are in the order in which they win. `default` is written as in a variable, and None
    where `Config` finds it out.
    """

    field: str
    variables: Mapping[str, Parser[object]]
    default: str | None
    help: str
    shown: str  # what the docs give as the default
    mask: Callable[[str], str]  # makes a value fit to be shown

    def find(
        self, mapping: Mapping[str, object], env: Mapping[str, str], overrides: Mapping[str, object]
    ) -> tuple[str, object] | None:
        """Return what sets this setting, as its name and value; None when nothing does."""
        # None as an override is a value where "none" is the default, else it says nothing.
        if overrides.get(self.field) is not None or (self.field in overrides and self.default == "none"):
            return self.field, overrides[self.field]
        prefixed = [PREFIX + variable.removeprefix(PREFIX) for variable in self.variables]
        bare = [variable for variable in self.variables if not variable.startswith(PREFIX)]
        for place, names in ((mapping, prefixed), (env, prefixed + bare)):
            for name in names:
                value = place.get(name)
                if value is not None and not (isinstance(value, str) and not value.strip()):
                    return name, value
        return None

    def read(self, written: str, raw: object) -> object:
        """Return the value of `raw`. Raises ConfigError with `written` as the name."""
        # Aliases may accept something else: REDIS_ADDR is no URL.
        first = next(iter(self.variables.values()))
        parse = self.variables.get(written.upper().removeprefix(PREFIX), first)
        try:
            return parse(raw)
        except ValueError as error:
            value = raw if self.mask is str else self.mask(str(raw))
            raise ConfigError(written, value, str(error)) from None


def hidden(secret: str) -> str:
    return "***" if secret else ""


def setting(
    default: str | None,
    help: str,
    shown: str = "",
    mask: Callable[[str], str] = str,
    **variables: Parser[T],
) -> T:
    """Declare a setting: a field of `Config` that knows its variables, the winning one first."""
    value = "" if default is None else next(iter(variables.values()))(default)
    known = Setting("", variables, default, help, shown or f"`{default}`", mask)
    return cast(T, field(default=value, metadata={"setting": known}))


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
        """`redis_url` without its password, fit for logs and error messages."""
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


def settings_table() -> str:
    """Return the table of all settings, in Markdown, as the docs show it."""
    lines = ["| variable | default | what it does |", "|---|---|---|"]
    for known in SETTINGS:
        names = ", ".join(f"`{variable}`" for variable in known.variables)
        lines.append(f"| {names} | {known.shown} | {known.help} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
