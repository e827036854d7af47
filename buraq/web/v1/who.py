"""Signing in and out, and who did what."""

from __future__ import annotations

import hmac
import time
from typing import Any

from flask import Response
from werkzeug.exceptions import Forbidden

from buraq.audit import Action, Audit
from buraq.web import session
from buraq.web.access import Access, from_foreign_page, is_secure, unauthorized
from buraq.web.v1.call import Call, answer, at
from buraq.web.v1.cursors import in_records, read_cursor, write_cursor


def describe(call: Call, access: Access) -> dict[str, Any]:
    """Return who asks, and what they may."""
    config = call.backend.config
    best = access.may_read and (access.may_change or config.read_only or not config.api_key)
    can_sign_in = not call.hosted and bool(config.api_key or config.read_key) and not best and not access.signed_in
    if not call.hosted and access.who == "READ key" and config.api_key and not config.read_only:
        can_sign_in = True  # with the other key
    complete = access.may_read and access.may_change
    return {
        "who": access.who,
        "signed_in": access.signed_in,
        "may_read": access.may_read,
        "may_change": access.may_change,
        "why_not": None if complete else _why_not(access, can_sign_in),
        "can_sign_in": can_sign_in,
        "read_only": config.read_only,
        "expires_at": at(access.ends_at * 1000) if access.ends_at is not None else None,
    }


def _why_not(access: Access, can_sign_in: bool) -> str:
    if can_sign_in:
        return "Changes need API_KEY: sign in with it" if access.may_read else "Reading needs READ_KEY or API_KEY"
    said = access.refusal.description if access.refusal is not None else None
    return said or "It is not allowed"


def get_session(call: Call) -> Response:
    """Answer who asks, and what they may."""
    return answer(describe(call, call.access))


def sign_in(call: Call) -> Response:
    """Begin a session."""
    config = call.backend.config
    keys = {"api": config.api_key, "read": config.read_key}
    if call.hosted or not any(keys.values()):
        raise Forbidden("There is no key to sign in with: API_KEY and READ_KEY are not set")
    if not _from_here(call):
        raise Forbidden("Signing in is taken from pages of this origin and of those in CORS_ORIGINS only")
    given = call.body["key"].encode("utf-8", "surrogatepass")
    # A list: as long for one key as for the other.
    kinds = [
        kind for kind, same in [(k, hmac.compare_digest(given, key.encode())) for k, key in keys.items() if key] if same
    ]
    if not kinds:
        call.note("sign_in_refused")
        raise unauthorized()
    now = time.time()
    who = {"api": "API key", "read": "READ key"}[kinds[0]]
    may_change = kinds[0] == "api" and not config.read_only
    access = Access(
        who,
        True,
        may_change,
        Forbidden("READ_ONLY=true: this API takes no changes") if config.read_only else None,
        True,
        int(now) + session.LIFE,
    )
    call.note("sign_in", who=who)
    answered = answer(describe(call, access))
    session.give(answered, session.sign(kinds[0], keys[kinds[0]], now), call.prefix, _secure(call))
    return answered


def sign_out(call: Call) -> Response:
    """End the session."""
    if not _from_here(call):
        raise Forbidden("Signing out is taken from pages of this origin and of those in CORS_ORIGINS only")
    answered = Response(status=204)
    session.take_back(answered, call.prefix, _secure(call))
    return answered


def _from_here(call: Call) -> bool:
    """Whether a page of ours asked, or no page at all."""
    return not from_foreign_page(call.request, call.backend.config.cors_origins)


def _secure(call: Call) -> bool:
    return is_secure(call.request, call.backend.config.trusted_proxies)


def list_audit(call: Call) -> Response:
    """Answer with a page of the audit list."""
    limit = call.query["limit"]
    place = read_cursor(call.query.get("cursor"), ["audit"], in_records)
    actions = Audit(call.backend).page(place[-1] if place else None, limit)
    return answer(
        {
            "items": [_shown(action) for action in actions],
            "next": write_cursor(["", actions[-1].id], ["audit"]) if len(actions) == limit else None,
        }
    )


def _shown(action: Action) -> dict[str, Any]:
    return {
        "id": action.id,
        "at": at(action.at_ms),
        "who": action.who,
        "address": action.address,
        "action": action.action,
        "queue": action.queue,
        "target": action.target,
        "count": action.count,
        "note": action.note,
    }
