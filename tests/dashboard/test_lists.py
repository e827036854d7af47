"""A list that goes on page by page, while a page does not come."""

from collections.abc import Callable

import pytest

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.web.clients import ApiProcess

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_next_page_that_does_not_come_is_asked_for_once_and_then_by_a_button(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], queue: Buraq
) -> None:
    from playwright.sync_api import expect

    for number in range(90):
        queue.enqueue("charge", {"order": number})
    tab = open_tab(start_api().url)
    page = tab.page
    page.route("**/api/v1/tasks?*cursor=*", lambda route: route.fulfill(status=429, json={"error": "Slower, please"}))
    tab.go("tasks?state=waiting")
    foot = page.locator(".tasks-list .panel-foot")
    expect(foot).to_contain_text("50 of 90")

    def first_page() -> None:
        """The first page is asked again meanwhile."""
        with page.expect_response(lambda got: "state=waiting" in got.url and "cursor" not in got.url):
            pass

    page.locator(".rows").evaluate("(rows) => rows.scrollTo(0, rows.scrollHeight)")
    expect(foot.get_by_role("alert")).to_contain_text("Slower, please")
    first_page()
    first_page()
    assert len([url for url in tab.asked if "cursor=" in url]) == 1
    tab.forgive("429")

    page.unroute("**/api/v1/tasks?*cursor=*")
    foot.get_by_role("button", name="Try again").click()
    expect(foot).to_contain_text("90 of 90")
    expect(foot.get_by_role("alert")).to_have_count(0)
