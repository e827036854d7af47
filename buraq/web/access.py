"""Who asks, and what they may: client addresses, keys, origins."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from flask import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized

from buraq.config import Config
from buraq.web import session

HARMLESS = ("GET", "HEAD", "OPTIONS")  # methods that change nothing


def client_address(request: Request, trusted_proxies: int) -> str:
    """Return the address that the request came from, '' where the web server does not know it.

    X-Forwarded-For counts only as far as our own proxies wrote it: each adds the address that it sees on the right.
    """
    remote = _plain(request.environ.get("REMOTE_ADDR", ""))
    if not trusted_proxies:
        return remote
    hops = _forwarded(request)
    return (_plain(hops[-trusted_proxies]) or remote) if len(hops) >= trusted_proxies else remote


def _forwarded(request: Request) -> list[str]:
    return [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]


def _plain(written: str) -> str:
    """Return an address without port, brackets and zone, an IPv4 one as such; '' for what is none."""
    text = written.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_local(request: Request, trusted_proxies: int) -> bool:
    """Whether the request comes from this machine, and not only through a proxy that runs on it."""
    address = client_address(request, trusted_proxies)
    if not address or not ipaddress.ip_address(address).is_loopback:
        return False
    relayed = any(name in request.headers for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"))
    return not relayed or 0 < trusted_proxies <= len(_forwarded(request))


def bears(request: Request, key: str) -> bool:
    """Whether the request carries `key` as its bearer token. Takes as long for a wrong one as for the right one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # As bytes: compare_digest refuses text that is not ASCII, and anybody can send that.
    same = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), key.encode())
    # Header bytes arrive as latin-1, so a key beyond ASCII is compared as it was sent, too.
    try:
        sent = token.strip().encode("latin-1")
    except UnicodeEncodeError:
        sent = b""
    same |= hmac.compare_digest(sent, key.encode())
    return same and scheme.lower() == "bearer"


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, and what they may. `refusal` is the error for what they may not."""

    who: str  # as the audit list names them
    may_read: bool
    may_change: bool
    refusal: HTTPException | None = None
    signed_in: bool = False
    ends_at: int | None = None  # of the session, unix time

    def check(self, change: bool) -> None:
        """Raise the error for a request that may not be made."""
        if not (self.may_change if change else self.may_read) and self.refusal is not None:
            raise self.refusal


# Asked for each request, in its context; True for a change. Returns who it is, None when they may not.
Authorize = Callable[[bool], str | None]


def access_of(request: Request, config: Config, authorize: Authorize | None = None) -> Access:
    """Return who asks, and what they may."""
    if authorize is not None:
        return _by_host(request, config, authorize)
    keys = {"api": config.api_key, "read": config.read_key}
    # A list: as long for one key as for the other.
    kinds = [kind for kind, given in [(kind, bears(request, key)) for kind, key in keys.items() if key] if given]
    kind, ends_at = (kinds[0], None) if kinds else session.read(request, keys) or (None, None)
    may_read = not config.read_key or kind is not None
    who = {"api": "API key", "read": "READ key", None: "anybody"}[kind]
    if config.read_only:
        refusal: HTTPException = Forbidden("READ_ONLY=true: this API takes no changes")
        return Access(who, may_read, False, refusal if may_read else unauthorized(), kind is not None, ends_at)
    if config.api_key:
        return _with_key(request, config, who, may_read, kind, ends_at)
    refused = _unless_local(request, config)
    if refused is None and kind is None and may_read:
        who = "loopback"
    return Access(
        who, may_read, refused is None and may_read, refused if may_read else unauthorized(), kind is not None, ends_at
    )


def _by_host(request: Request, config: Config, authorize: Authorize) -> Access:
    reader, changer = authorize(False), None if config.read_only else authorize(True)
    said = (
        "READ_ONLY=true: this API takes no changes" if config.read_only and reader else "The host app does not allow it"
    )
    # Most hosts ask their own cookie, which a browser may send along with what a page of another site asks it to.
    if changer is not None and request.method not in HARMLESS and from_foreign_page(request, config.cors_origins):
        changer, said = None, "Changes are taken from pages of this origin and of those in CORS_ORIGINS only"
    return Access(changer or reader or "anybody", reader is not None, changer is not None, Forbidden(said))


def _with_key(
    request: Request, config: Config, who: str, may_read: bool, kind: str | None, ends_at: int | None
) -> Access:
    if kind != "api":
        return Access(who, may_read, False, unauthorized(), kind is not None, ends_at)
    # A browser sends the cookie along with what any page of this site asks it to.
    refusal = None if ends_at is None else _unless_ours(request, config)
    return Access(who, may_read, refusal is None, refusal, True, ends_at)


def _unless_local(request: Request, config: Config) -> HTTPException | None:
    if not is_local(request, config.trusted_proxies):
        return Forbidden(
            "Without API_KEY changes are taken from loopback only: set API_KEY and send it as bearer token"
        )
    origin = request.headers.get("Origin")
    if origin is not None and origin not in config.cors_origins and not _of_this_machine(origin):
        # A browser on this machine sends what any web page tells it to.
        return Forbidden("Without API_KEY changes are taken from no web page but those in CORS_ORIGINS: set API_KEY")
    return None


def _unless_ours(request: Request, config: Config) -> HTTPException | None:
    """Return the error for a change by cookie that no page of ours asked for. Other requests change nothing."""
    if request.method in HARMLESS or from_our_page(request, config.cors_origins):
        return None
    return Forbidden("Changes by session are taken from pages of this origin and of those in CORS_ORIGINS only")


def from_our_page(request: Request, origins: tuple[str, ...]) -> bool:
    """Whether a browser says that a page of this origin, or of one that we trust, asked for it."""
    origin = request.headers.get("Origin")
    if origin is not None and origin in origins:
        return True
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    host = _split(origin or "").netloc
    return bool(host) and host == request.host


def from_foreign_page(request: Request, origins: tuple[str, ...]) -> bool:
    """Whether a browser says that a page asked for it which is none of ours. What is no browser says nothing."""
    by_page = "Origin" in request.headers or "Sec-Fetch-Site" in request.headers
    return by_page and not from_our_page(request, origins)


def is_secure(request: Request, trusted_proxies: int) -> bool:
    """Whether the client speaks https, as far as our own proxies say so."""
    said = request.headers.get("X-Forwarded-Proto", "") if trusted_proxies else ""
    return request.is_secure or said.split(",")[-1].strip().lower() == "https"


def unauthorized() -> HTTPException:
    """Return the error for a key that is missing or wrong."""
    return Unauthorized("Invalid or missing API key", www_authenticate=WWWAuthenticate("bearer"))


def _of_this_machine(origin: str) -> bool:
    host = _split(origin).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(origin: str) -> SplitResult:
    """Return the parts of an origin; what is none has none."""
    try:
        return urlsplit(origin)
    except ValueError:  # "http://[", for one: anybody can send that
        return SplitResult("", "", "", "", "")
