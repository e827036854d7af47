"""Secrets are hidden from who looks at a payload, and come back when it is edited: each to whom it belongs."""

import pytest

from buraq.redaction import HIDDEN, TOO_DEEP, Redaction

SECRETS = Redaction(["token"])
STORED = {"to": [{"url": "a", "token": "A"}, {"url": "b", "token": "B"}, {"url": "c", "token": "C"}]}


def shown(*urls: str, **changed: str) -> dict[str, list[dict[str, str]]]:
    return {"to": [{"url": changed.get(url, url), "token": HIDDEN} for url in urls]}


def test_what_is_shown_and_sent_back_is_what_was_stored() -> None:
    assert SECRETS.hide(STORED) == (shown("a", "b", "c"), ["to[0].token", "to[1].token", "to[2].token"])
    assert SECRETS.restore(shown("a", "b", "c"), STORED) == (STORED, [])


@pytest.mark.parametrize("urls", ["bc", "c", "cba", "ba", "aab"])
def test_items_that_are_taken_out_or_moved_keep_their_own_secrets(urls: str) -> None:
    found = SECRETS.restore(shown(*urls), STORED)[0]["to"]
    assert [(item["url"], item["token"]) for item in found] == [(url, url.upper()) for url in urls]


def test_an_item_that_is_edited_in_its_place_keeps_its_secret() -> None:
    found = SECRETS.restore(shown("a", "b", "c", b="edited"), STORED)[0]["to"]
    assert [item["token"] for item in found] == ["A", "B", "C"]


@pytest.mark.parametrize("urls", ["bc", "bca", "cb"])
def test_an_item_that_may_be_anybodys_gets_no_secret_and_is_named(urls: str) -> None:
    found, lost = SECRETS.restore(shown(*urls, c="edited"), STORED)
    tokens = {item["url"]: item["token"] for item in found["to"]}
    assert (tokens["b"], tokens["edited"]) == ("B", HIDDEN)
    assert lost == [f"to[{urls.index('c')}].token"]


PAIR = [{"url": "a", "token": "A"}, {"url": "b", "token": "B"}]


def test_items_that_were_moved_and_edited_at_once_get_no_secret_of_another() -> None:
    edited = [{"url": "b", "token": HIDDEN, "retries": 1}, {"url": "a", "token": HIDDEN, "retries": 1}]
    assert SECRETS.restore(edited, PAIR) == (edited, ["[0].token", "[1].token"])


def test_an_item_that_was_edited_beside_another_gets_no_secret_that_may_be_the_others() -> None:
    edited = [{"url": "b2", "token": HIDDEN}, {"url": "c", "token": "new"}]
    assert SECRETS.restore(edited, PAIR) == (edited, ["[0].token"])


def test_items_that_were_edited_in_their_places_keep_their_secrets_where_all_else_says_so_too() -> None:
    edited = [{"url": url, "token": HIDDEN, "retries": 1} for url in "ab"]
    assert [item["token"] for item in SECRETS.restore(edited, PAIR)[0]] == ["A", "B"]
    many = [{"url": n, "token": -n} for n in range(201)]
    edited = [{"url": n, "token": HIDDEN, "retries": 1} for n in range(201)]
    assert SECRETS.restore(edited[:200], many[:200])[0][199]["token"] == -199
    assert len(SECRETS.restore(edited, many)[1]) == 201


def test_of_items_that_read_the_same_each_keeps_its_own_secret_or_none_is_guessed() -> None:
    stored = [{"token": 1}, {"token": 2}, {"url": "c", "token": 3}]
    alike, other = {"token": HIDDEN}, {"url": "c", "token": HIDDEN}
    assert SECRETS.restore([other, alike, alike], stored) == ([stored[2], *stored[:2]], [])
    assert SECRETS.restore([alike, alike], stored) == (stored[:2], [])
    assert SECRETS.restore([alike, {"url": "new", **alike}, other], stored)[0][1] == {"url": "new", "token": 2}
    assert SECRETS.restore([alike, other], stored) == ([alike, stored[2]], ["[0].token"])


@pytest.mark.parametrize(
    ("edited", "path"),
    [
        ({"other_token": HIDDEN}, "other_token"),
        ({"to": HIDDEN}, "to"),
        ({"to": [HIDDEN]}, "to[0]"),
        ({"in": {"token": HIDDEN}}, "in.token"),
        ({"in": TOO_DEEP}, "in"),
    ],
)
def test_what_reads_as_hidden_where_nothing_is_stored_is_named(edited: dict[str, object], path: str) -> None:
    assert SECRETS.restore(edited, STORED) == (edited, [path])


def test_a_text_that_was_stored_so_is_no_secret() -> None:
    stored = {"note": HIDDEN, "token": HIDDEN, "list": [TOO_DEEP]}
    assert SECRETS.restore(stored, stored) == (stored, [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"payload":{"token":"hush","n":1}}', '{"payload":{"token":"[redacted]","n":1}}'),
        ('[{"token": ["hush"]}, NaN]', '[{"token":"[redacted]"},NaN]'),
        ('{"n": 1, "token": null, "x": "ö"}', '{"n": 1, "token": null, "x": "ö"}'),
        ('{"token": "hush", "token": ""}', '{"token": "[redacted]", "token": ""}'),
        (
            '{"payload":"{\\"my_token\\":\\"hush\\",\\"n\\":1}"}',
            '{"payload":"{\\"my_token\\":"[redacted]",\\"n\\":1}"}',
        ),
        ('{"n": 1, "token": "hush\\"hush", "x": 2', '{"n": 1, "token": "[redacted]", "x": 2'),
        ("{'token': 'hush', 'n': 1}", "{'token': \"[redacted]\", 'n': 1}"),
        ('{"token" : 4711, "x": 2', '{"token" : "[redacted]", "x": 2'),
        ('{"n": 1, "Access-Token": {"a": "hush"}, "x": 2', '{"n": 1, "Access-Token": "[redacted]"'),
        ('{"n": 1, "token": "hush', '{"n": 1, "token": "[redacted]"'),
        ('{"token": {}, "x": None, "token": None', '{"token": {}, "x": None, "token": None'),
        ("token=shown, as is: no JSON", "token=shown, as is: no JSON"),
        ("", ""),
    ],
)
def test_a_text_that_should_have_been_json_hides_its_secrets_too(text: str, shown: str) -> None:
    assert SECRETS.hide_text(text) == shown


@pytest.mark.parametrize("depth", [99, 600, 100_000])
def test_a_text_that_is_nested_deep_shows_no_secret(depth: int) -> None:
    assert "hush" not in SECRETS.hide_text("[" * depth + '{"token":"hush"}' + "]" * depth)


@pytest.mark.parametrize("text", ['"', "\\", "'token': \\", "[", ' "a" ', '"token":', '\\"', "'\""])
def test_a_text_that_is_made_to_take_long_does_not(text: str) -> None:
    assert SECRETS.hide_text(text * 100_000)
