"""Dead letters are seen, and given another life."""

import re
from collections.abc import Callable

import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.conftest import Worker
from tests.servers import eventually
from tests.web.clients import ApiProcess

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_all_dead_letters_are_retried_once_that_was_confirmed(
    open_tab: Callable[..., Tab],
    start_api: Callable[..., ApiProcess],
    start_worker: Callable[..., Worker],
    queue: Buraq,
    redis: Redis,
) -> None:
    from playwright.sync_api import expect

    start_worker()
    for number in range(230):
        queue.enqueue("ship", {"order": number}, max_retries=0)
    eventually(lambda: redis.xlen("buraq_tasks_dlq") == 230)
    page = open_tab(start_api().url).go("dead-letters")
    group = page.get_by_role("region", name="Groups").get_by_role("row").filter(has_text="ship")
    expect(group).to_contain_text("230")
    expect(group).to_contain_text("the warehouse does not answer")

    everything = page.get_by_role("button", name="Retry all 230", exact=True)
    everything.click()
    dialog = page.get_by_role("dialog", name="Retry 230 dead letters?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    assert redis.xlen("buraq_tasks_dlq") == 230, "nothing happens before it is confirmed"

    redis.set("mended", 1)
    everything.click()
    dialog.get_by_role("button", name="Retry 230").click()

    expect(page.get_by_text("230 dead letters retried")).to_be_visible()
    expect(page.get_by_role("main").get_by_text("No dead letters")).to_be_visible()
    assert redis.xlen("buraq_tasks_dlq") == 0
    eventually(lambda: redis.hlen("buraq_tasks:index") == 0)
    page.get_by_role("link", name="System").click()
    page.get_by_role("button", name="Who did what").click()
    expect(page.get_by_role("row").filter(has_text="replay").first).to_contain_text("230")


def test_one_dead_letter_is_edited_and_goes_back(
    open_tab: Callable[..., Tab],
    start_api: Callable[..., ApiProcess],
    workplace: object,
    redis: Redis,
) -> None:
    from playwright.sync_api import expect

    [(letter, _), *_] = redis.xrange("buraq_tasks_dlq", count=1)
    page = open_tab(start_api().url).go(f"dead-letters/default:{letter}")
    page.get_by_role("button", name="Edit and retry").click()
    dialog = page.get_by_role("dialog")
    text = dialog.get_by_role("textbox")

    text.fill('{"order": 12345678901234567890,')
    expect(dialog.get_by_role("button", name="Retry")).to_be_disabled()
    text.fill('{"order": 12345678901234567890}')
    dialog.get_by_role("button", name="Retry").click()

    expect(page).to_have_url(re.compile(r"/tasks/charge-3\?queue=default$"))
    expect(page.get_by_role("heading", name="charge", exact=True)).to_be_visible()
    [(_, fields)] = [row for row in redis.xrange("buraq_tasks") if "charge-3" in row[1]["payload"]]
    assert "12345678901234567890" in fields["payload"], "no digit was lost on the way"
