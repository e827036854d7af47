"""Which task holds the hub, and at which line, read off a stack."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from buraq.app import Buraq
from buraq.worker import blame
from buraq.worker.blame import Culprit, culprit_of
from buraq.worker.executor import run_task
from tests.worker.parts import delivery_of, raw_task, read

Look = Callable[[int], None]


def seen_in(function: Callable[[Look], Any]) -> Culprit:
    """Run a task that calls what it is given; return who is to blame then, so many frames above the call."""
    seen: list[Culprit] = []

    def look(above: int = 0) -> None:
        seen.append(culprit_of(sys._getframe(above + 1)))

    app = Buraq()
    delivery = read(delivery_of(raw_task("guilty", "burner")))
    run_task(delivery, app, app.task(name="burner")(function), {"look": look})
    [culprit] = seen
    return culprit


def computes(look: Look) -> None:
    look(0)


def encodes(look: Look) -> None:
    def default(value: object) -> str:
        look(1)
        return ""

    json.dumps([object()], indent=1, default=default)


def test_the_task_and_its_line_are_named() -> None:
    culprit = seen_in(computes)

    assert culprit == Culprit("burner", "guilty", f"{__file__}:{computes.__code__.co_firstlineno + 1} computes")


def test_the_line_is_the_user_s_and_the_library_that_it_has_called_is_named_beside_it() -> None:
    culprit = seen_in(encodes)

    assert culprit.at == f"{__file__}:{encodes.__code__.co_firstlineno + 5} encodes"
    assert "json/encoder.py:" in culprit.inside


def test_of_a_task_whose_function_is_installed_the_line_of_that_function_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blame, "_LIBRARIES", ("/",))

    culprit = seen_in(encodes)

    assert culprit.at == f"{__file__}:{encodes.__code__.co_firstlineno + 5} encodes"
    assert "json/encoder.py:" in culprit.inside


def test_what_is_no_task_is_said_to_be_none() -> None:
    culprit = culprit_of(sys._getframe())

    assert (culprit.task_type, culprit.task_id) == ("none", "")
    assert culprit.at.endswith("test_what_is_no_task_is_said_to_be_none")
    assert culprit_of(None) == Culprit()


def test_only_what_is_known_is_logged() -> None:
    assert Culprit("mail", "t1", "shop.py:3 send").facts == {
        "task_id": "t1",
        "task_type": "mail",
        "at": "shop.py:3 send",
    }
    assert Culprit().facts == {"task_type": "none", "at": "?"}
