"""Who asks, and what they may: client addresses, keys, origins."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import Request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, HTTPException, Unauthorized

from buraq.config import Config


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


def check_read(request: Request, config: Config) -> None:
    """Let a request pass that may read: with READ_KEY set it needs that key, or API_KEY."""
    keys = [key for key in (config.read_key, config.api_key) if key]
    if config.read_key and not any([bears(request, key) for key in keys]):  # a list: as long for one as for the other
        raise unauthorized()


def check_change(request: Request, config: Config) -> None:
    """Let a request pass that may change something; raises the `HTTPException` that tells the others why not."""
    if config.read_only:
        raise Forbidden("READ_ONLY=true: this API takes no changes")
    if config.api_key:
        if not bears(request, config.api_key):
            raise unauthorized()
        return
    if not is_local(request, config.trusted_proxies):
        raise Forbidden("Without API_KEY changes are taken from loopback only: set API_KEY and send it as bearer token")
    origin = request.headers.get("Origin")
    if origin is not None and origin not in config.cors_origins and not _of_this_machine(origin):
        # A browser on this machine sends what any web page tells it to.
        raise Forbidden("Without API_KEY changes are taken from no web page but those in CORS_ORIGINS: set API_KEY")


def unauthorized() -> HTTPException:
    """Return the error for a key that is missing or wrong."""
    return Unauthorized("Invalid or missing API key", www_authenticate=WWWAuthenticate("bearer"))


def _of_this_machine(origin: str) -> bool:
    try:
        host = urlsplit(origin).hostname or ""
    except ValueError:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
