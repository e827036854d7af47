"""The session of somebody who signed in with a key: a cookie that is signed with that key, and ends by itself.

It holds nothing but which of the two keys it was and when it ends, so every process can check it, and a key that is
changed ends all sessions that were signed with it.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from flask import Request, Response

COOKIE = "buraq_session"
LIFE = 12 * 3600  # seconds


def sign(kind: str, key: str, now: float) -> str:
    """Return the cookie of a session that begins now; `kind` says which key it was."""
    head = f"{kind}.{int(now) + LIFE}"
    return f"{head}.{_seal(head, key)}"


def _seal(head: str, key: str) -> str:
    secret = hashlib.sha256(b"buraq session\0" + key.encode("utf-8", "surrogateescape")).digest()
    return hmac.new(secret, head.encode(), hashlib.sha256).hexdigest()


def read(request: Request, keys: dict[str, str], now: float | None = None) -> tuple[str, int] | None:
    """Return which key the session of a request was begun with, and when it ends; None without a good one."""
    written = request.cookies.get(COOKIE, "")
    kind, _, rest = written.partition(".")
    ends, _, seal = rest.partition(".")
    key = keys.get(kind, "")
    if not key or not ends.isascii() or not ends.isdecimal() or len(ends) > 12:
        return None
    good = hmac.compare_digest(_seal(f"{kind}.{ends}", key).encode(), seal.encode("utf-8", "surrogateescape"))
    if not good or int(ends) <= (time.time() if now is None else now):
        return None
    return kind, int(ends)


def give(response: Response, value: str, path: str, secure: bool) -> None:
    """Set the cookie: no script can read it, and no other site's page has it sent."""
    response.set_cookie(COOKIE, value, LIFE, path=path or "/", secure=secure, httponly=True, samesite="Strict")


def take_back(response: Response, path: str, secure: bool) -> None:
    """Have the browser forget the cookie."""
    response.set_cookie(COOKIE, "", 0, path=path or "/", secure=secure, httponly=True, samesite="Strict")
