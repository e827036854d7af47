"""The API as an app of its own, for `gunicorn wsgi:app` and `buraq api`."""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from buraq.app import Buraq
from buraq.config import Config
from buraq.web.access import client_address
from buraq.web.answers import answer_errors, secure
from buraq.web.blueprint import ALWAYS, blueprint

_log = logging.getLogger("buraq.web")


def create_app(queue: Buraq | None = None, config: Config | None = None) -> Flask:
    """Return the API as a WSGI application.

    Shows `queue`, else one that is made from `config`, else from the environment; with both, the queue uses `config`
    from now on. Raises `ConfigError` naming the variable that is wrong. Connects to nothing yet.
    """
    if queue is None:
        queue = Buraq(config)
    elif config is not None:
        queue.use(config)
    settings = queue.config
    app = Flask("buraq", static_folder=None)
    app.register_blueprint(blueprint(queue, page=True))
    answer_errors(app)  # an unknown path, too

    @app.before_request
    def begin() -> None:
        g.buraq_began = time.perf_counter()

    @app.after_request
    def finish(response: Response) -> Response:
        quiet = (request.endpoint or "").rpartition(".")[2] in ALWAYS and response.status_code < 400
        level = logging.DEBUG if quiet else logging.INFO
        if _log.isEnabledFor(level):
            # The path alone: a query may hold what somebody took for a good place for a key.
            facts = {
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "ms": round((time.perf_counter() - g.get("buraq_began", time.perf_counter())) * 1000, 1),
                "address": client_address(request, settings.trusted_proxies),
            }
            _log.log(level, "request", extra=facts)
        return secure(response, request, settings.cors_origins)

    return app
