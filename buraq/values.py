"""What settings accept: parsers of durations, sizes, addresses, URLs and the like.

A parser takes what was written, text or an already typed value, and returns the value. It raises ValueError with a
phrase that says what is accepted. It never repeats the value: it may be secret.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
Parser = Callable[[object], T]


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
    url = re.sub(r"(?i)([?&]\w*password=)[^&]*", r"\1***", url)
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
