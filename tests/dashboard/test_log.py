"""The log of the Live view."""

import json
from collections.abc import Callable

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.servers import eventually
from tests.web.clients import ApiProcess

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

ROWS = """[...document.querySelectorAll(".rows-row")]
  .map((row) => [parseInt(row.style.transform.slice(11)), row.querySelector(".log-id").textContent])
  .sort(([one], [other]) => one - other)"""


def test_while_it_grows_each_event_has_a_row_of_its_own_the_newest_first(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], redis: Redis
) -> None:
    page = open_tab(start_api().url).go("live")
    page.get_by_text("Nothing happens").wait_for()
    eventually(lambda: redis.pubsub_numsub("buraq_events")[0][1] == 1)
    names = [f"task-{number:02}" for number in range(90)]
    # First alone, then three at a time, until there are more than are drawn.
    for first, step in [(n, 1) for n in range(12)] + [(n, 3) for n in range(12, 90, 3)]:
        for name in names[first : first + step]:
            event = {"type": "Pending", "task_id": name, "worker_id": "", "task_type": "t", "queue": "default"}
            redis.publish("buraq_events", json.dumps(event))
        page.get_by_text(names[first + step - 1], exact=True).first.wait_for()

    drawn = page.evaluate(ROWS)
    assert drawn == [[30 * row, name] for row, name in enumerate(reversed(names))][: len(drawn)]
    assert len(drawn) > 24
    moves = page.evaluate("getComputedStyle(document.querySelector('.rows-row')).transitionDuration")
    assert moves == "0s", "who wants less motion sees no row where it was before"


def test_an_event_of_what_cannot_be_read_leads_to_the_dead_letters(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go("live")
    eventually(lambda: redis.pubsub_numsub("buraq_events")[0][1] == 1)
    redis.publish("buraq_events", json.dumps({"type": "DLQ", "task_id": "", "worker_id": "w-1", "queue": "mail"}))

    expect(page.locator(".log-line")).to_have_attribute("href", "#/dead-letters?queue=mail")
