"""What schemathesis is told of the API beside its contract; loaded by it, in a process of its own."""

import itertools
import json
import os
from typing import Any
from urllib.parse import quote

import schemathesis
from schemathesis import GenerationMode

KNOWN: dict[str, list[str]] = json.loads(os.environ["KNOWN"])  # what there is, by the name of a parameter
_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    number = next(_numbers)
    # Each from an address of its own: the rate limit is not what is tried.
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    case.headers = {**(case.headers or {}), "X-Forwarded-For": address}
    if isinstance(case.query, dict):
        case.query = {name: _short(value) for name, value in case.query.items()}
    if case.path_parameters:
        case.path_parameters = {name: _short(value) for name, value in case.path_parameters.items()}
    if case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE:
        _make_sense(case, number)


def _short(value: Any) -> Any:
    """Return a text as long as it was, and shorter when it is written into an address. The longest addresses gunicorn
    refuses itself.
    """
    if not isinstance(value, str) or len(quote(value)) < 6500:
        return value
    return "".join(letter if letter.isascii() and letter.isalnum() else "x" for letter in value)


def _make_sense(case: Any, number: int) -> None:
    """Have a request that fits the contract ask for what there is, and for nothing that contradicts itself."""
    query = case.query if isinstance(case.query, dict) else {}
    for name in ("queue", "type"):
        if name in query:
            query[name] = KNOWN[name][number % len(KNOWN[name])]
    query.pop("cursor", None)  # only the API makes one
    if "worker" in query:
        query["state"] = "running"
    body = case.body if isinstance(case.body, dict) else {}
    if "filter" in body:
        body["filter"]["queue"] = "mail"  # the dead letters of the other are for those who name one
    body.pop("until", None)  # only the API makes one
    if "delay_ms" in body:
        body.pop("due_at", None)
    if not "1970" <= body.get("due_at", "2026") < "5000":
        body["due_at"] = "2026-11-28T09:12:03Z"  # no schema can say from when to when
    for name in case.path_parameters if number % 2 else ():
        there = KNOWN.get(case.operation.path.split("/")[3] if name == "id" else name)
        if there:
            case.path_parameters[name] = there[number % len(there)]
