"""The contract and the routes are the same, and no request that the contract allows, or does not, breaks anything."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from redis import Redis

from buraq import Buraq
from buraq.web import contract, create_app
from buraq.web.blueprint import PAGES, VIEWS
from buraq.web.state import state_of
from buraq.web.v1.routes import CHANGE, OPEN, ROUTES
from tests.servers import Server
from tests.web.contracts import check_answer
from tests.web.workplace import Workplace

OPERATIONS = sorted(contract.operations())
ORIGINAL = {(method, path) for path, method in VIEWS.values()}


def test_the_document_is_sound() -> None:
    document = contract.document()
    assert document["openapi"] == "3.1.0"
    for name, schema in document["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for example in schema.get("examples", ()):
            held = Draft202012Validator({**schema, "components": document["components"]})
            assert list(held.iter_errors(example)) == [], name


def test_each_operation_has_a_route_and_each_route_an_operation() -> None:
    served = {(method, route.path) for route in ROUTES for method in route.views}
    assert served | ORIGINAL == set(OPERATIONS)


def test_the_app_has_no_route_that_the_contract_does_not_know() -> None:
    app = create_app(Buraq(redis_url="redis://127.0.0.1:1/0"))
    known = {re.sub(r"\{\w+\}", "*", path) for _, path in OPERATIONS} | {
        re.sub(r"<.*?>", "*", p) for p in PAGES.values()
    }
    assert {re.sub(r"<.*?>", "*", rule.rule) for rule in app.url_map.iter_rules()} == known


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_each_operation_says_who_may(method: str, path: str) -> None:
    operation = contract.operations()[method, path]
    needs = next((route.views[method].needs for route in ROUTES if route.path == path), None)
    open_to_all = operation["security"] == [{}]
    if needs is not None and path != "/api/v1/session":
        assert open_to_all is (needs == OPEN)
    assert "401" in operation["responses"] or open_to_all or path == "/api/v1/session"
    if needs == CHANGE:
        assert "403" in operation["responses"]


# --- What nobody expects ------------------------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def fitting(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return values that a schema of the contract allows."""
    schema = contract.resolve(schema)
    if "oneOf" in schema:
        return st.one_of([fitting(one) for one in schema["oneOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema["type"]
    if kind == "string":
        if "pattern" in schema:
            return st.from_regex(schema["pattern"].replace("$", r"\Z"), fullmatch=True)
        if schema.get("format") == "date-time":
            return st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds") + "Z")
        return st.text(
            st.characters(codec="utf-8"),
            min_size=schema.get("minLength", 0),
            max_size=min(60, schema.get("maxLength", 60)),
        )
    if kind == "integer":
        return st.integers(schema.get("minimum"), schema.get("maximum"))
    if kind == "array":
        items = fitting(schema.get("items", {"type": "string"}))
        return st.lists(items, min_size=schema.get("minItems", 0), max_size=4)
    required = set(schema.get("required", ()))
    known = {name: fitting(inner) for name, inner in schema.get("properties", {}).items()}
    if not known:
        return st.dictionaries(TEXTS, JUNK, max_size=4)
    return st.fixed_dictionaries(
        {name: inner for name, inner in known.items() if name in required},
        optional={name: inner for name, inner in known.items() if name not in required},
    )


@st.composite
def asked(draw: st.DrawFn, operation: Mapping[str, Any], path: str, ids: dict[str, list[str]]) -> tuple[str, Any]:
    """Return an address and a body: what the contract allows, mostly, and sometimes anything."""

    def value(schema: Mapping[str, Any]) -> Any:
        return draw(JUNK if draw(st.integers(0, 4)) == 0 else fitting(schema))

    query = {}
    for parameter in map(contract.resolve, operation.get("parameters", ())):
        schema = contract.resolve(parameter["schema"])
        if parameter["in"] == "path":
            there = ids.get(path.split("/")[3], ["x"])
            text = draw(st.sampled_from(there)) if draw(st.booleans()) else str(value(schema))
            text = text.strip("/.") or "x"
            path = path.replace(f"{{{parameter['name']}}}", quote(text, safe=""))
        elif parameter["in"] == "query" and draw(st.booleans()):
            known = ids.get(parameter["name"])
            given_ = draw(st.sampled_from(known)) if known and draw(st.booleans()) else value(schema)
            query[parameter["name"]] = ",".join(map(str, given_)) if isinstance(given_, list) else str(given_)
    body = (
        value(operation["requestBody"]["content"]["application/json"]["schema"]) if "requestBody" in operation else None
    )
    return (f"{path}?{urlencode(query)}" if query else path), body


@pytest.fixture
def busy(server: Server, redis: Redis) -> Iterator[tuple[Flask, dict[str, list[str]]]]:
    """The API over a queue with something in every state, and ids that there are."""
    queue = Buraq(redis_url=server.url, api_key="key")
    work = Workplace(queue, redis)
    work.lease("default", "mail")
    for n in range(12):
        queue.enqueue("t", {"n": n, "token": "x"}, id=f"t{n}", queue=("default", "mail")[n % 2])
    queue.enqueue("t", {}, id="later", delay=60)
    for name in ("default", "mail"):
        work.complete(1, name)
        work.fail(queue=name)
        work.bury(2, queue=name)
        work.fetch(1, name)
    app = create_app(queue)
    letters = [f"default:{entry}" for entry, _ in redis.xrange("buraq_tasks_dlq")]
    yield (
        app,
        {
            "tasks": [*(f"t{n}" for n in range(12)), "later"],
            "dead-letters": letters,
            "queues": ["default", "mail"],
            "queue": ["default", "mail"],
            "type": ["t"],
            "workers": [work.name],
        },
    )
    state_of(queue.backend).streams.end()


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one[1] not in ("/api/stream", "/metrics")])
def test_no_request_breaks_the_api_or_the_contract(
    busy: tuple[Flask, dict[str, list[str]]], method: str, path: str
) -> None:
    app, ids = busy
    app.config["PROPAGATE_EXCEPTIONS"] = False
    operation = contract.operations()[method, path]
    address = 0

    @settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(asked(operation, path, ids))
    def ask(what: tuple[str, Any]) -> None:
        nonlocal address
        address += 1  # each from an address of its own: the rate limit is not what is tried here
        url, body = what
        answer = app.test_client().open(
            url,
            method=method,
            data=None if body is None else json.dumps(body),
            content_type="application/json",
            headers={"Authorization": "Bearer key"},
            environ_base={"REMOTE_ADDR": f"10.0.{address // 250}.{address % 250 + 1}"},
        )
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        if method == "GET" and "%2F" in url:
            return  # it may be another path's
        check_answer(method, path, answer.status_code, answer.content_type or "", answer.text)

    ask()
