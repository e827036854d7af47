"""Who may see the page, and who may act on it."""

import re
from collections.abc import Callable

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.views import View, show
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]


def test_with_a_read_key_nothing_is_seen_before_signing_in_and_after_signing_out(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api(API_KEY="0p3n-s3sam3", READ_KEY="l00k-only").url)
    page = tab.go()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert "charge" not in page.content()
    assert tab.barriers() == []
    key = page.get_by_label("Key")

    key.fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    tab.forgive("401")

    key.fill("0p3n-s3sam3")
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".side")).to_contain_text("You: API key")
    expect(page.locator(".side .pulse")).to_have_text("Live")
    [cookie] = tab.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], "0p3n" in cookie["value"]) == (True, "Strict", False)
    assert page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    assert not [url for url in tab.asked if "0p3n" in url]

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert tab.context.cookies() == []


def test_with_an_api_key_alone_everybody_reads_and_whoever_signs_in_acts(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api(API_KEY="0p3n-s3sam3").url).go("dead-letters")
    act = page.get_by_role("button", name="Retry all 3", exact=True)
    expect(page.get_by_text("By type and error")).to_be_visible()
    expect(act).to_have_count(0)

    page.get_by_role("button", name="Sign in").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("0p3n-s3sam3")
    dialog.get_by_role("button", name="Sign in").click()

    expect(act).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(act).to_have_count(0)


def test_whoever_signs_in_anew_follows_though_the_one_before_had_stopped(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api(API_KEY="0p3n-s3sam3", READ_KEY="l00k-only").url)
    page = tab.go()
    pulse = page.locator(".side .pulse")
    for key in ("l00k-only", "0p3n-s3sam3"):
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(pulse).to_have_text("Live")
        page.get_by_role("button", name="Stop following").click()
        expect(pulse).to_have_text("Stopped")
        page.get_by_role("button", name="Sign out").click()
    tab.forgive("401")


# Where something can be done, what shows that the view is there, and what can be done.
ACTIONS = [
    ("queues", "Drained in", "Pause default"),
    ("queues/mail", "What waits, by line", "Pause mail"),
    ("tasks?state=waiting", "later-3", "Enqueue"),
    ("tasks/later-1?queue=default", "It has not run yet", "Cancel task"),
    ("dead-letters", "By type and error", "Retry all 3"),
    ("dead-letters", "By type and error", "Delete all 3"),
    ("dead-letters/default:{letter}", "the bank does not answer", "Edit and retry"),
]
VERBS = re.compile(r"^(Retry|Delete|Edit|Cancel|Enqueue|Pause \w|Resume|Stop$)")


def test_read_only_shows_no_action(open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis) -> None:
    from playwright.sync_api import expect

    letter, _ = redis.xrange("buraq_tasks_dlq", count=1)[0]
    usual, reading = open_tab(start_api().url), open_tab(start_api(READ_ONLY="true").url)
    for address, sign, action in ACTIONS:
        view = View(address.format(letter=letter), sign)
        expect(show(usual, view).get_by_role("button", name=action, exact=True)).to_be_visible()

        page = show(reading, view)
        expect(page.locator("#content").get_by_role("button", name=VERBS)).to_have_count(0)
        expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(reading.page.locator(".side")).to_contain_text("Read-only")
