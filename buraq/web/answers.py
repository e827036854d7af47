"""What all answers have in common: the shape of errors, the headers that keep browsers safe, CORS."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Flask, Request, Response, current_app, jsonify
from flask import request as asked
from redis.exceptions import RedisError, ResponseError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from buraq.errors import ConfigError, EnqueueError, ServerUnreachable
from buraq.log import RateLimited
from buraq.operations import REFUSED

_log = logging.getLogger(__name__)
_rare = RateLimited(_log)

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ALLOWED_HEADERS = "Authorization, Content-Type, Last-Event-ID"
PREFLIGHT_LIFE = 600  # seconds


def secure(response: Response, request: Request, origins: tuple[str, ...]) -> Response:
    """Add the headers that each answer has, once: the app does it for all answers, the blueprint for its own."""
    if "X-Content-Type-Options" in response.headers:
        return response
    for name, value in SECURITY_HEADERS.items():
        if name != "Content-Security-Policy":
            response.headers[name] = value
    response.headers.setdefault("Content-Security-Policy", SECURITY_HEADERS["Content-Security-Policy"])
    response.headers.setdefault("Cache-Control", "no-store")
    response.vary.add("Origin")  # on every answer, or a cache would hand one origin's to another
    origin = request.headers.get("Origin")
    if origin is not None and origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Expose-Headers"] = "Retry-After, Location, Content-Disposition"
    return response


def preflight(methods: Sequence[str]) -> Response:
    """Answer a browser that asks beforehand; `secure` says whether its origin may."""
    allowed = ", ".join(methods)
    return Response(
        status=204,
        headers={
            "Allow": allowed,
            "Access-Control-Allow-Methods": allowed,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_LIFE),
        },
    )


def refuse(error: HTTPException) -> Response:
    """Write an HTTP error as JSON, with the headers that it brings."""
    if error.response is not None:  # an answer that somebody made
        return current_app.make_response(error.get_response())
    said = error.description if error.description != type(error).description else error.name
    if error.description == NotFound.description:
        said = f"There is nothing at {asked.path}: see /api/openapi.json"
    answer = jsonify(error=said or error.name)
    answer.status_code = error.code or 500
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers.add(name, value)
    return answer


def server_away(error: Exception, more: str = "") -> Response:
    """Answer that Redis is away, or refuses, and `more` about it. Where it is, and why, is for the log alone."""
    refused = isinstance(error, ResponseError | EnqueueError)
    _rare.warning("redis refused" if refused else "redis is away", extra={"error": str(error)})
    said = REFUSED if refused else "Redis is not reachable, try again in a moment"
    answer = jsonify(error=said + more)
    answer.status_code = 503
    answer.headers["Retry-After"] = "1"
    return answer


def misconfigured(error: ConfigError) -> Response:
    """Answer for a setting that cannot be used; it is named, its value is not shown."""
    _rare.error("misconfigured", extra={"error": str(error)})
    answer = jsonify(error=f"{error.variable} cannot be used, see the log")
    answer.status_code = 500
    return answer


def broken(error: Exception) -> Response:
    """Answer for an error of ours; what it was is in the log."""
    _log.error("request_failed", exc_info=error)
    answer = jsonify(error="Internal error, see the log")
    answer.status_code = 500
    return answer


def answer_errors(on: Blueprint | Flask) -> None:
    """Have all errors of a blueprint's views, or of a whole app, answered as JSON."""
    handlers: dict[type[Exception], Any] = {
        HTTPException: refuse,
        RedisError: server_away,
        ConnectionError: server_away,
        TimeoutError: server_away,
        ServerUnreachable: server_away,
        ConfigError: misconfigured,
        Exception: broken,
    }
    for kind, handler in handlers.items():
        on.register_error_handler(kind, handler)


def only(methods: Sequence[str], request: Request) -> Response | None:
    """Return the answer to a preflight, None for a request that may go on; raises `MethodNotAllowed` for others.

    Views take every method and ask here: an app's own answer to a wrong method would be no JSON.
    """
    if request.method == "OPTIONS":
        return preflight(methods)
    if request.method not in methods:
        wanted = " or ".join(method for method in methods if method not in ("HEAD", "OPTIONS"))
        raise MethodNotAllowed(methods, f"{request.method} is not allowed here, use {wanted}")
    return None
