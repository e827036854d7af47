"""A client of the API that holds each answer against the contract."""

import json
import re
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.test import TestResponse

from buraq.web import contract

FORMATS = FormatChecker()


@FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or contract.moment(value) is not None


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """Return path and operation of the contract that a request is for: of several paths the one with fewest parts
    that vary.
    """
    found = [
        (template.count("{"), template, operation)
        for (known, template), operation in contract.operations().items()
        if known == method and re.fullmatch(re.sub(r"\{\w+\}", ".+", template), path)
    ]
    assert found, f"the contract has no {method} {path}"
    _, template, operation = min(found, key=lambda one: one[0])
    return template, operation


def check_answer(method: str, path: str, status: int, content_type: str, text: str) -> None:
    """Hold an answer against the contract."""
    _, operation = operation_of(method, path)
    assert str(status) in operation["responses"], f"{method} {path} answered {status}: {text[:500]}"
    content = contract.resolve(operation["responses"][str(status)]).get("content")
    if content is None:
        assert text == ""
        return
    kind = content_type.partition(";")[0]
    assert kind in content, f"{method} {path} answered {kind}"
    if kind == "application/json":
        schema = {**content[kind]["schema"], "components": contract.document()["components"]}
        errors = list(Draft202012Validator(schema, format_checker=FORMATS).iter_errors(json.loads(text)))
        said = "; ".join(f"{'.'.join(map(str, error.path))}: {error.message[:200]}" for error in errors[:3])
        assert not errors, f"{method} {path}: {said}"


class Client:
    """Asks an app, below a prefix."""

    def __init__(self, app: Flask, prefix: str = "", address: str = "127.0.0.1") -> None:
        self.app = app
        self.http = app.test_client()
        self._prefix = prefix
        self._address = address

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Send a request below /api/v1, and hold the answer against the contract."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        full = f"/api/v1{path}"
        answer = self.http.open(
            self._prefix + full,
            method=method,
            headers=named,
            json=body,
            environ_base={"REMOTE_ADDR": self._address},
        )
        check_answer(method, full.partition("?")[0], answer.status_code, answer.content_type or "", answer.text)
        return answer

    def get(self, path: str, **headers: str) -> Any:
        """Return what a view answers with 200."""
        answer = self.ask("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Send a change."""
        return self.ask("POST", path, body, **headers)
