"""The contract of the API, `openapi.json`: what a request may hold is read from there, and checked against it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import ujson


class Unfit(Exception):
    """Something in a request is not what the contract says: the field, and a sentence."""

    def __init__(self, field: str, said: str) -> None:
        super().__init__(said)
        self.field = field


@cache
def text() -> str:
    """Return the document as it is served."""
    return (files("buraq") / "web" / "openapi.json").read_text(encoding="utf-8")


@cache
def document() -> dict[str, Any]:
    """Return the document."""
    read: dict[str, Any] = ujson.loads(text())
    return read


@cache
def operations() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }


def resolve(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference."""
    while "$ref" in schema:
        found: Any = document()
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        schema = found
    return schema


def parameters(operation: Mapping[str, Any], args: Mapping[str, str], lenient: bool = False) -> dict[str, Any]:
    """Return the query parameters of an operation, as typed values. What is left out has its default or is not there.

    Raises `Unfit`, for one that the operation does not have as well: a filter that was misspelt would let everything
    through. `lenient` ignores those.
    """
    known = {one["name"]: one for one in map(resolve, operation.get("parameters", ())) if one["in"] == "query"}
    strange = next((name for name in args if name not in known), None)
    if strange is not None and not lenient:
        there = f"there are {', '.join(known)}" if known else "there is none"
        raise Unfit(strange, f"{_cut(strange)} is not known here: {there}")
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        schema = resolve(parameter["schema"])
        if name in args:
            value = _typed(args[name], schema)
            check(value, schema, name, shown=args[name])
            values[name] = value
        elif "default" in parameter["schema"] or "default" in schema:
            values[name] = parameter["schema"].get("default", schema.get("default"))
    return values


def _typed(raw: str, schema: Mapping[str, Any]) -> Any:
    if schema.get("type") == "integer" and re.fullmatch(r"-?[0-9]{1,18}", raw, re.ASCII):
        return int(raw)
    if schema.get("type") == "array":
        return raw.split(",") if raw else []
    return raw


def body(operation: Mapping[str, Any], value: Any) -> Any:
    """Check the body of a request, and return it. Raises `Unfit`."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    check(value, schema, "")
    return _whole(value, schema)


def _whole(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value with whole numbers where the schema asks for them: in JSON 5.0 is one, too."""
    schema = resolve(schema)
    if schema.get("type") == "integer" and isinstance(value, float):
        return int(value)
    known = schema.get("properties", {})
    if not known or not isinstance(value, dict):
        return value
    return {name: _whole(item, known[name]) if name in known else item for name, item in value.items()}


_KINDS: dict[str, Any] = {
    "string": (str, "a text"),
    "integer": (int, "a whole number"),
    "number": ((int, float), "a number"),
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "boolean": (bool, "true or false"),
}


def check(value: Any, schema: Mapping[str, Any], field: str, shown: str | None = None) -> None:
    """Raise `Unfit` where a value is not what a schema of the contract says."""
    schema = resolve(schema)
    if "oneOf" in schema:
        _one_of(value, schema["oneOf"], field)
        return
    kind, words = _KINDS[schema["type"]]
    name = field or "body"
    said = f"{name}={_cut(shown if shown is not None else value)}"
    if schema["type"] == "integer" and isinstance(value, float) and value.is_integer():
        kind = float
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise Unfit(name, f"{said}: it is {words}{_bounds(schema)}")
    if "enum" in schema and value not in schema["enum"]:
        raise Unfit(name, f"{said}: it is one of {', '.join(schema['enum'])}")
    if isinstance(value, str):
        _check_text(value, schema, name, said)
    elif isinstance(value, int | float):
        fits = schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)
        if not fits:
            raise Unfit(name, f"{said}: it is {words}{_bounds(schema)}")
    elif isinstance(value, list):
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
            most = f" to {schema['maxItems']}" if "maxItems" in schema else " or more"
            raise Unfit(name, f"{name} has {len(value)} members: it has {schema.get('minItems', 0)}{most}")
        for position, item in enumerate(value):
            check(item, schema.get("items", {"type": "string"}), f"{name}[{position}]")
    elif isinstance(value, dict):
        _check_object(value, schema, field)


def _check_text(value: str, schema: Mapping[str, Any], name: str, said: str) -> None:
    least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
    if not least <= len(value) <= most:
        raise Unfit(name, f"{name} has {len(value)} characters: it has {least} to {most}")
    if "pattern" in schema and not re.search(schema["pattern"].replace("$", r"\Z"), value):
        raise Unfit(name, f"{said}: it has to match {schema['pattern']}")
    if schema.get("format") == "date-time" and moment(value) is None:
        raise Unfit(name, f"{said}: it is a time as in 2026-11-28T09:12:03Z")


def moment(text: str) -> datetime | None:
    """Return a time of RFC 3339, None for what is none."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", text, re.ASCII):
        return None
    try:
        return datetime.fromisoformat(text.upper())
    except ValueError:
        return None


def _check_object(value: dict[str, Any], schema: Mapping[str, Any], field: str) -> None:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            said = known.get(name, {}).get("description", "").rstrip(".")
            raise Unfit(_under(field, name), f"{_under(field, name)} is missing: {said}")
    for name, item in value.items():
        if name in known:
            check(item, known[name], _under(field, name))
        elif schema.get("additionalProperties") is False:
            raise Unfit(_under(field, name), f"{_cut(name)} is not known here: there are {', '.join(known)}")


def _one_of(value: Any, schemas: list[Mapping[str, Any]], field: str) -> None:
    """Check against the one whose required members are there."""
    for schema in schemas:
        if isinstance(value, dict) and all(name in value for name in resolve(schema).get("required", ())):
            check(value, schema, field)
            return
    heads = [" and ".join(resolve(schema).get("required", ())) for schema in schemas]
    raise Unfit(field or "body", f"{field or 'the body'} is an object with {' or '.join(heads)}")


def _under(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def _bounds(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema and "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    return f" of at least {schema['minimum']}" if "minimum" in schema else ""


def _cut(value: Any) -> str:
    shown = value if isinstance(value, str) else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"
