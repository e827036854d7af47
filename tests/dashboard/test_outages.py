"""What the page says while the API or the server is away, and that it comes back by itself."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.views import figure
from tests.servers import Server, eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]


def test_a_lost_api_is_said_and_found_again_with_what_happened_meanwhile(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace, queue: Buraq
) -> None:
    from playwright.sync_api import expect

    api = start_api()
    tab = open_tab(api.url)
    page = tab.go()
    eventually(lambda: figure(page, "Waiting") == "5")

    api.stop(signal.SIGTERM)
    expect(page.get_by_text(re.compile(r"Connection lost, retrying \([1-5]/5\)"))).to_be_visible()
    expect(page.get_by_text("What you see is what was last known.")).to_be_visible()
    expect(page.locator(".side .pulse")).to_have_text("Offline")
    assert figure(page, "Waiting") == "5"
    assert tab.barriers() == [], "what was last known can be read by everybody"
    queue.enqueue("charge", {"order": 99})

    start_api("wsgi:app", "--bind", f"127.0.0.1:{api.port}")

    again = page.locator(".banner").get_by_role("button", name="Try again")

    def healed() -> bool:
        """Where all this took longer than its five tries, it has given up until it is told to try again."""
        if again.is_visible():
            again.click(timeout=1000)
        return figure(page, "Waiting") == "6"

    eventually(healed)
    expect(page.locator(".side .pulse")).to_have_text("Live")
    expect(page.get_by_text("Connection lost")).to_have_count(0)
    tab.forgive("ERR_|Failed to load")


def test_a_server_that_is_away_is_explained_and_the_page_heals(
    fresh_server: Callable[..., Server], open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess]
) -> None:
    from playwright.sync_api import expect

    server = fresh_server(aof=True)
    Buraq(redis_url=server.url).enqueue("charge", {"order": 1})
    tab = open_tab(start_api(REDIS_URL=server.url_of("api")).url)
    page = tab.go()
    eventually(lambda: figure(page, "Waiting") == "1")

    server.kill()
    expect(page.get_by_role("heading", name="Redis is away")).to_be_visible()
    assert tab.barriers() == []
    server.start()

    expect(page.get_by_role("heading", name="Redis is away")).to_have_count(0)
    eventually(lambda: figure(page, "Waiting") == "1")
    tab.forgive("503")


def test_what_somebody_writes_outlives_a_server_that_is_away(
    fresh_server: Callable[..., Server], open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess]
) -> None:
    from playwright.sync_api import expect

    server = fresh_server(aof=True)
    Buraq(redis_url=server.url).enqueue("charge", {"order": 1})
    tab = open_tab(start_api(REDIS_URL=server.url).url)
    page = tab.go("tasks?state=waiting")
    page.get_by_role("button", name="Enqueue").click()
    text = page.get_by_role("dialog").get_by_label("Payload")
    text.fill('{"order": 77}')

    server.kill()
    expect(page.get_by_text("Redis is away", exact=True)).to_be_visible()
    expect(text).to_have_value('{"order": 77}')
    server.start()

    expect(page.locator(".side .pulse")).to_have_text("Live")
    expect(page.get_by_text("Redis is away", exact=True)).to_have_count(0)
    expect(text).to_have_value('{"order": 77}')
    tab.forgive("503")


WAITS = ("00:01", "00:02", "00:04", "00:08", "00:08")  # after each of the five tries


def test_after_the_fifth_try_nothing_is_asked_until_a_button_tries_anew(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace, queue: Buraq
) -> None:
    from playwright.sync_api import expect

    api = start_api()
    tab = open_tab(api.url)
    tab.page.clock.install()
    page = tab.go()
    eventually(lambda: figure(page, "Waiting") == "5")
    page.clock.pause_at(page.evaluate("Date.now()") + 3000)  # from now on its time is the test's
    again = page.locator(".banner").get_by_role("button", name="Try again")  # what was not loaded yet has one, too

    os.killpg(api.process.pid, signal.SIGKILL)  # all at once: what is asked to end may answer once more
    api.process.wait(10)
    for number, wait in enumerate(WAITS, 1):
        expect(page.get_by_text(f"Connection lost, retrying ({number}/5)")).to_be_visible()
        expect(again).to_have_count(0)
        page.clock.fast_forward(wait)

    expect(again).to_be_visible()
    expect(page.get_by_text("Connection lost", exact=True)).to_be_visible()
    assert figure(page, "Waiting") == "5"
    start_api("wsgi:app", "--bind", f"127.0.0.1:{api.port}")
    queue.enqueue("charge", {"order": 99})
    asked = len(tab.asked)
    page.clock.fast_forward("10:00")
    expect(again).to_be_visible()
    assert tab.asked[asked:] == []

    again.click()
    page.clock.resume()
    eventually(lambda: figure(page, "Waiting") == "6")
    expect(page.locator(".side .pulse")).to_have_text("Live")
    expect(again).to_have_count(0)
    tab.forgive("ERR_|Failed to load")
