"""Whoever confirmed a number of dead letters has work done on those that were counted, and on none that died later."""

import base64
import json
from typing import Any

import pytest

from tests.servers import eventually
from tests.web.contracts import Client
from tests.web.workplace import Workplace


def bury(work: Workplace, *ids: str, queue: str = "default") -> None:
    for task_id in ids:
        work.app.enqueue("t", {}, id=task_id, queue=queue)
    work.bury(len(ids), queue=queue)


def left(api: Client) -> list[str]:
    return [one["task_id"] for one in api.get("/dead-letters")["items"]]


def ended(api: Client, kind: str, **body: Any) -> Any:
    answer = api.post(f"/dead-letters/{kind}", body)
    assert answer.status_code == 202, answer.text
    operation = f"/operations/{answer.json['id']}"  # type: ignore[index]
    eventually(lambda: api.get(operation)["ended_at"] is not None)
    return api.get(operation)


def token(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([["counted dead letters"], [*parts]]).encode()).decode()


@pytest.mark.parametrize("kind", ["replay", "delete"])
def test_what_died_after_it_was_counted_is_left_alone(both: tuple[Client, Workplace], kind: str) -> None:
    api, work = both
    bury(work, "a", "b")
    bury(work, "m", queue="mail")
    until = api.get("/dead-letters/groups")["until"]
    bury(work, "later")
    bury(work, "also", queue="mail")
    bury(work, "new", queue="was-empty")

    shown = ended(api, kind, filter={}, until=until)

    assert (shown["state"], shown["total"], shown["seen"], shown["done"]) == ("done", 3, 3, 3)
    assert sorted(left(api)) == ["also", "later", "new"]


def test_of_those_that_were_counted_it_takes_what_is_left_and_fits(both: tuple[Client, Workplace]) -> None:
    api, work = both
    bury(work, "a", "b")
    groups = api.get("/dead-letters/groups")
    [first] = [one["id"] for one in api.get("/dead-letters")["items"] if one["task_id"] == "a"]
    assert api.ask("DELETE", f"/dead-letters/{first}").status_code == 204
    bury(work, "later")  # as many as were counted, and not the same

    shown = ended(api, "delete", filter={"group": groups["groups"][0]["group"]}, until=groups["until"])

    assert (shown["total"], shown["done"]) == (2, 1)
    assert left(api) == ["later"]


def test_of_a_queue_that_was_not_counted_nothing_is_taken(both: tuple[Client, Workplace]) -> None:
    api, work = both
    bury(work, "a")
    bury(work, "m", queue="mail")

    shown = ended(api, "delete", filter={}, until=api.get("/dead-letters/groups?queue=mail")["until"])

    assert (shown["total"], shown["done"], left(api)) == (1, 1, ["a"])


def test_where_nothing_was_counted_nothing_is_done(both: tuple[Client, Workplace]) -> None:
    api, work = both
    until = api.get("/dead-letters/groups")["until"]
    bury(work, "later")

    shown = ended(api, "delete", filter={}, until=until)

    assert (shown["state"], shown["total"], shown["done"], left(api)) == ("done", 0, 0, ["later"])


@pytest.mark.parametrize(
    "until",
    [
        "nonsense",
        "W10",
        token("default"),
        token(["default", "1-1"]),
        token(["default", "+", 1]),
        token([1, "1-1", 1]),
        token(["default", "1-1", True]),
        token(["default", "1-1", -1]),
    ],
)
def test_a_count_that_no_answer_has_said_is_refused(both: tuple[Client, Workplace], until: str) -> None:
    api, work = both
    bury(work, "a")

    answer = api.post("/dead-letters/delete", {"filter": {}, "until": until})

    assert (answer.status_code, answer.json["field"]) == (422, "until")  # type: ignore[index]
    assert left(api) == ["a"]
