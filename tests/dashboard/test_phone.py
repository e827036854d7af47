"""The page on a phone: as wide as the screen, whatever things are called, and with the same figures as elsewhere."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from buraq.deadletters import DeadLetters
from tests.dashboard.browser import PHONE, Tab
from tests.dashboard.views import View, figure, show, views
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

LONG_ID = "invoice/2026-11/customer-77/" + "0123456789" * 40
LONG_TYPE = "reports.monthly." + "of_everything_" * 12
LONG_QUEUE = "customer-" + "0123456789-" * 4


def test_no_view_is_wider_than_the_screen_of_a_phone_whatever_things_are_called(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace, redis: Redis
) -> None:
    workplace.app.enqueue(LONG_TYPE, {"n": 1}, id=LONG_ID, queue=LONG_QUEUE)
    workplace.bury(queue=LONG_QUEUE, error="Unfit: " + "no_blank_in_it_" * 20)
    workplace.app.enqueue(LONG_TYPE, {"text": "x" * 3000}, id=LONG_ID, queue=LONG_QUEUE)
    [(letter, _)] = redis.xrange(f"buraq_tasks:{LONG_QUEUE}_dlq")
    long = [
        View(f"queues/{LONG_QUEUE}", "Suspects"),
        View(f"tasks/{LONG_ID.replace('/', '%2F')}", "Payload"),
        View(f"tasks?state=waiting&queue={LONG_QUEUE}&type={LONG_TYPE}", "Look"),
        View(f"dead-letters/{LONG_QUEUE}:{letter}", "Same type and error"),
    ]
    tab = open_tab(start_api().url, viewport=PHONE, has_touch=True)
    tab.forgive("404")  # of the task that nobody knows

    too_wide = {}
    for view in [*views(redis), *long]:
        page = show(tab, view, state="attached")  # a phone shows fewer columns
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            too_wide[view.address[:60]] = width
    assert too_wide == {}


def test_two_tabs_and_a_phone_see_the_same(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    url = start_api().url
    tabs = [open_tab(url), open_tab(url, color_scheme="dark"), open_tab(url, viewport=PHONE, has_touch=True)]
    pages = [tab.go() for tab in tabs]
    labels = ("Waiting", "Running", "Scheduled", "Dead letters", "Workers")

    def seen() -> list[list[str]]:
        return [[figure(page, label) for label in labels] for page in pages]

    eventually(lambda: seen() == [["5", "1", "4", "3", "1"]] * 3)

    workplace.app.enqueue("charge", {"order": 20}, delay=3600)
    workplace.fetch(2)
    DeadLetters(workplace.app.backend, "default").purge_all()
    eventually(lambda: seen() == [["3", "3", "5", "1", "1"]] * 3)

    for tab in tabs:
        show(tab, View("queues", "Oldest"))
    for actor, verb in ((pages[0], "Pause"), (pages[2], "Resume")):
        actor.get_by_role("button", name=f"{verb} default").click()
        for page in pages:
            row = page.get_by_role("row").filter(has=page.get_by_role("link", name="default", exact=True))
            expect(row.get_by_text("paused")).to_have_count(1 if verb == "Pause" else 0)


HIDDEN = """(strip) => {
  const [box, link] = [strip, strip.querySelector("[aria-current]")].map((one) => one.getBoundingClientRect());
  return Math.max(0, box.left - link.left, link.right - box.right);
}"""


def hidden(page: "Page", strip: str) -> float:
    """Return how many px of the current link of a strip are out of sight."""
    px: float = page.get_by_role("navigation", name=strip).evaluate(HIDDEN)
    return px


def test_on_a_phone_the_current_view_is_in_sight_and_an_end_that_hides_more_fades(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    url = start_api().url
    tab = open_tab(url, viewport=PHONE, has_touch=True)
    strip = tab.page.get_by_role("navigation", name="Views")
    for address, title, more in (
        ("system", "System", "before"),
        ("", "Overview", "after"),
        ("workers", "Workers", "before after"),
    ):
        page = tab.go(address)
        expect(strip.locator('[aria-current="page"]')).to_contain_text(title)
        expect(strip.locator(".count")).to_have_count(4)  # they make the strip wider, when they come
        expect(strip).to_have_attribute("data-more", more)
        assert hidden(page, "Views") == 0, title
        assert "gradient" in strip.evaluate("(strip) => getComputedStyle(strip).maskImage")

    wide = open_tab(url)
    wide.go("system")
    strip = wide.page.get_by_role("navigation", name="Views")
    expect(strip.locator(".count")).to_have_count(4)
    assert strip.get_attribute("data-more") is None
    assert strip.evaluate("(strip) => getComputedStyle(strip).maskImage") == "none"


def test_what_is_brought_into_sight_sideways_does_not_move_the_page(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url, viewport={"width": 390, "height": 400}, has_touch=True)
    page = show(tab, View("tasks?state=waiting", "later-3"))
    page.evaluate("scrollTo(0, 220)")  # the strip of states is above what is seen
    page.evaluate("location.hash = '#/tasks?state=completed'")

    states = page.get_by_role("navigation", name="States")
    expect(states.locator("[aria-current]")).to_contain_text("Completed")
    expect(page.get_by_text("charge-1")).to_be_attached()
    assert hidden(page, "States") == 0
    assert page.evaluate("scrollY") == 220


def test_a_strip_that_was_scrolled_by_hand_stays_there_while_counts_change(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url, viewport=PHONE, has_touch=True).go()
    strip = page.get_by_role("navigation", name="Views")
    expect(strip.locator(".count")).to_have_count(4)
    strip.evaluate("(strip) => strip.scrollTo(60, 0)")
    tasks = strip.get_by_role("link", name="Tasks")
    before = tasks.bounding_box()

    for number in range(100):
        workplace.app.enqueue("charge", {"order": number})
    expect(tasks).to_contain_text("110")

    after = tasks.bounding_box()
    assert before and after and (after["x"], after["width"] > before["width"]) == (before["x"], True)
