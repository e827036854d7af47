"""Secrets are hidden from who looks at a payload, and come back when it is edited: each to whom it belongs."""

import pytest

from buraq.redaction import HIDDEN, Redaction

SECRETS = Redaction(["token"])
STORED = {"to": [{"url": "a", "token": "A"}, {"url": "b", "token": "B"}, {"url": "c", "token": "C"}]}


def shown(*urls: str, **changed: str) -> dict[str, list[dict[str, str]]]:
    return {"to": [{"url": changed.get(url, url), "token": HIDDEN} for url in urls]}


def test_what_is_shown_and_sent_back_is_what_was_stored() -> None:
    assert SECRETS.hide(STORED) == (shown("a", "b", "c"), ["to[0].token", "to[1].token", "to[2].token"])
    assert SECRETS.restore(shown("a", "b", "c"), STORED) == STORED


@pytest.mark.parametrize("urls", ["bc", "c", "cba", "ba", "aab"])
def test_items_that_are_taken_out_or_moved_keep_their_own_secrets(urls: str) -> None:
    found = SECRETS.restore(shown(*urls), STORED)["to"]
    assert [(item["url"], item["token"]) for item in found] == [(url, url.upper()) for url in urls]


def test_an_item_that_is_edited_in_its_place_keeps_its_secret() -> None:
    found = SECRETS.restore(shown("a", "b", "c", b="edited"), STORED)["to"]
    assert [item["token"] for item in found] == ["A", "B", "C"]


def test_an_item_that_may_be_anybodys_gets_no_secret() -> None:
    found = SECRETS.restore(shown("b", "c", c="edited"), STORED)["to"]
    assert [item["token"] for item in found] == ["B", HIDDEN]
