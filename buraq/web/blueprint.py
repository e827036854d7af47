"""The API as a blueprint: its views, and what happens before and after each."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask import Blueprint, Request, Response, current_app, g, jsonify, request
from flask.blueprints import BlueprintSetupState
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from werkzeug.exceptions import TooManyRequests

from buraq import metrics
from buraq.app import Buraq, FlaskExtension
from buraq.audit import Action, Audit
from buraq.backend import Backend
from buraq.deadletters import DeadLetters, Replayed
from buraq.errors import ConfigError
from buraq.inspector import Broken, WorkerProcess, say_broken
from buraq.web import contract
from buraq.web.access import Access, Authorize, access_of, client_address
from buraq.web.answers import answer_errors, only, secure
from buraq.web.limits import SECONDS
from buraq.web.numbers import number, whole
from buraq.web.page import serve as serve_page
from buraq.web.state import ApiState, state_of
from buraq.web.stream import EventStream
from buraq.web.v1.call import Call, refuse, write_quietly
from buraq.web.v1.routes import BY_ENDPOINT, CHANGE, OPEN, READ, ROUTES, methods_for
from buraq.web.wishes import Wishes

STARTED = time.monotonic()  # this module is imported before gunicorn forks, so all processes agree

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
VIEWS = {  # name -> path, method
    "health": ("/api/health", "GET"),
    "workers": ("/api/workers", "GET"),
    "stream": ("/api/stream", "GET"),
    "retry_dlq": ("/api/retry-dlq", "POST"),
    "metrics": ("/metrics", "GET"),
}
PAGES = {  # name -> path
    "page": "/",
    "page_icon": "/<any('icon.svg', 'licences.txt'):name>",
    "page_assets": "/assets/<path:name>",
}
# They answer even when Redis is away, and whoever watches over us asks them as often as they like.
ALWAYS = {"health", "metrics"}


class Api:
    """The views of one blueprint. Each request says which queue they show, so one blueprint serves many apps."""

    def __init__(self, queue: Buraq | None, authorize: Authorize | None = None) -> None:
        self._queue = queue
        self._authorize = authorize

    @property
    def queue(self) -> Buraq:
        """The queue. Raises `ConfigError` when the app has none."""
        return self._queue if self._queue is not None else self._extension().queue

    @property
    def backend(self) -> Backend:
        """The queue's settings and server. Raises `ConfigError` when the app has no queue."""
        return self._queue.backend if self._queue is not None else self._extension().backend

    @staticmethod
    def _extension() -> FlaskExtension:
        extension: FlaskExtension | None = current_app.extensions.get("buraq")
        if extension is None:
            raise ConfigError("app.extensions['buraq']", None, "call queue.init_app(app), or blueprint(queue)")
        return extension

    @property
    def state(self) -> ApiState:
        """What is kept between requests."""
        return state_of(self.backend)

    # -- around every view

    def before(self) -> Response | None:
        """Refuse what is too much, and everything but health and metrics while Redis is away."""
        name = (request.endpoint or "").rpartition(".")[2]
        route = BY_ENDPOINT.get(name)
        methods = route.methods if route else methods_for([VIEWS[name][1] if name in VIEWS else "GET"])
        answer = only(methods, request)
        if answer is not None or name in ALWAYS or name in PAGES:
            return answer
        address = client_address(request, self.backend.config.trusted_proxies)
        if not self.state.rate_limit.allows(address):
            raise TooManyRequests("Too many requests from this address", retry_after=SECONDS)
        needs = route.views[method_of(request)].needs if route else CHANGE if name == "retry_dlq" else READ
        if needs == OPEN:
            return None
        if name != "retry_dlq":
            self.access.check(needs == CHANGE)
        # Asked first: on the link that all requests share they would wait for a server that hangs one after another.
        if not self.state.probe.up(fresh=1.0):
            raise RedisConnectionError("the server does not answer")
        return None

    def after(self, response: Response) -> Response:
        """Add the headers that each answer has."""
        try:
            origins = self.backend.config.cors_origins
        except ConfigError:
            origins = ()
        return secure(response, request, origins)

    @property
    def access(self) -> Access:
        """Who asks, and what they may: asked once for a request, for a host app may have to look it up."""
        known: dict[Api, Access] = g.setdefault("buraq_access", {})
        if self not in known:
            known[self] = access_of(request, self.backend.config, self._authorize)
        return known[self]

    # -- views

    def v1(self, **path: str) -> Response:
        """Answer a request to /api/v1."""
        route = BY_ENDPOINT[(request.endpoint or "").rpartition(".")[2]]
        method = method_of(request)
        hosted = self._authorize is not None
        call = Call(request, self.backend, self.state, self.access, route.operation(method), path, self.queue, hosted)
        return route.views[method].run(call)

    def health(self) -> tuple[Response, int]:
        """Whether this API and its server work."""
        up = self.state.probe.up()
        status = "healthy" if up else "degraded"
        answer = jsonify(status=status, uptime=uptime(time.monotonic() - STARTED), redis=up)
        return answer, 200 if up else 503

    def workers(self) -> Response:
        """The worker processes, those included that vanished a short while ago."""
        broken: Broken = {}
        found = self.state.inspector.workers(broken)
        say_broken(broken)
        return jsonify([describe(worker) for worker in found])

    def stream(self) -> Response:
        """Events as they happen."""
        if request.method == "HEAD":
            return EventStream()
        try:
            operation = contract.operations()["GET", "/api/stream"]
            wishes = Wishes.of(contract.parameters(operation, request.args, lenient=True))  # as the original
        except contract.Unfit as unfit:
            refuse(422, str(unfit), unfit.field)
        return self.state.streams.answer(request.environ, request.headers.get("Last-Event-ID"), wishes)

    def retry_dlq(self) -> Response:
        """Give all dead letters of all queues another life."""
        backend = self.backend
        self.access.check(change=True)
        address = client_address(request, backend.config.trusted_proxies)
        said = partial(Action, self.access.who, "replay", address, target="all")
        Audit(backend).write(said(note="begins"))  # what is not in the list is not done
        results: list[Replayed] = []
        refused: ResponseError | None = None
        for queue in self.state.inspector.queues():
            try:
                results.append(DeadLetters(backend, queue).replay_all())
            except ResponseError as error:  # the other queues have their turn
                refused = error
        replayed = sum(result.replayed for result in results)
        write_quietly(backend, said(count=replayed, note="done" if refused is None else "refused by one queue or more"))
        if refused is not None:
            raise refused
        skipped = {
            "unreadable": sum(result.unreadable for result in results),
            "owned": sum(result.owned for result in results),
        }
        return jsonify(success=True, retried=replayed, skipped=skipped)

    def page(self, name: str = "index.html") -> Response:
        """The dashboard."""
        return serve_page(request, name)

    def assets(self, name: str) -> Response:
        """What the dashboard loads."""
        return serve_page(request, f"assets/{name}")

    def metrics(self) -> Response:
        """Metrics for Prometheus."""
        body, content_type = metrics.render([self.state.gauges])
        return Response(body, content_type=content_type)


def method_of(asked: Request) -> str:
    """Return the method whose view answers: HEAD is a GET without a body."""
    return "GET" if asked.method == "HEAD" else asked.method


def blueprint(
    queue: Buraq | None = None,
    *,
    name: str = "buraq",
    authorize: Authorize | None = None,
    page: bool | None = None,
) -> Blueprint:
    """Return the API as a blueprint, to be registered in any Flask app under any prefix.

    Without `queue` it shows the one that `init_app` joined to the app. Give another `name` to register two. It adds
    nothing to the app's other routes: no handler, no limit, no header.

    `authorize` decides who may instead of API_KEY and READ_KEY: it is called for each request, in its context, with
    True for a change, and returns who it is, as the audit list names them, or None when they may not.

    `page` says whether the dashboard is served, at the prefix itself. Left out: where there is a prefix, for without
    one the app's own front page would be in its place.
    """
    api = Api(queue, authorize)
    views = Blueprint(name, __name__)
    for view, (path, _) in VIEWS.items():
        views.add_url_rule(path, view, getattr(api, view), methods=METHODS, provide_automatic_options=False)
    for route in ROUTES:
        views.add_url_rule(
            route.rule,
            route.endpoint,
            api.v1,
            methods=METHODS,
            provide_automatic_options=False,
            merge_slashes=False,
        )
    views.record(lambda setup: _add_page(setup, api, page))
    views.before_request(api.before)
    views.after_request(api.after)
    answer_errors(views)
    views.record_once(lambda setup: _count_enqueued(setup.app, queue))
    return views


def _add_page(setup: BlueprintSetupState, api: Api, wanted: bool | None) -> None:
    if wanted or (wanted is None and (setup.url_prefix or "/") != "/"):
        for view, path in PAGES.items():
            run = api.assets if view == "page_assets" else api.page
            setup.add_url_rule(path, view, run, methods=METHODS, provide_automatic_options=False, merge_slashes=False)


def _count_enqueued(app: Any, queue: Buraq | None) -> None:
    extension = app.extensions.get("buraq")
    shown = queue or (extension.queue if extension is not None else None)
    if shown is not None and shown.on_enqueued is None:
        shown.on_enqueued = metrics.count_enqueued


def uptime(seconds: float) -> str:
    """Write a span of time as Go does: 2h34m12s, 34m12s, 12s."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def describe(worker: WorkerProcess) -> dict[str, Any]:
    """Return a worker process as JSON has it. What it did not say of itself is null."""
    facts = worker.facts
    started = number(facts.get("started_ms"))
    return {
        "id": worker.id,
        "cpu": number(facts.get("cpu")),
        "memory": number(facts.get("memory_mb")),
        "status": worker.status,
        "in_flight": worker.in_flight,
        "concurrency": whole(facts.get("slots")),
        "hostname": facts.get("host"),
        "pid": whole(facts.get("pid")),
        "started_at": None if started is None else _moment(started),
        "queues": [name for name in facts.get("queues", "").split(",") if name] or list(worker.queues),
        "version": facts.get("version"),
    }


def _moment(unix_ms: float) -> str | None:
    try:
        return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
