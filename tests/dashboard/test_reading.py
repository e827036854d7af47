"""Whoever reads is left in peace: nothing moves, is thrown away or turns old without a word."""

import json
import re
from collections.abc import Callable

import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.views import View, show
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]


def test_a_view_begins_at_its_top_and_one_that_is_come_back_to_is_where_it_was_left(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, queue: Buraq
) -> None:
    from playwright.sync_api import expect

    for number in range(60):
        queue.enqueue("charge", {"order": number}, queue="many")
    workplace.bury(60, queue="many")
    low = {"width": 1440, "height": 300}  # so that a view that is still empty has something to scroll
    page = show(open_tab(start_api().url, viewport=low), View("dead-letters?queue=many", "By type and error"))
    letter = page.locator(".letter-link").nth(45)
    letter.scroll_into_view_if_needed()
    left = page.evaluate("scrollY")
    assert left > 500

    letter.click()
    expect(page.get_by_text("Same type and error")).to_be_visible()
    assert page.evaluate("scrollY") == 0

    page.go_back()
    expect(letter).to_be_in_viewport()
    eventually(lambda: page.evaluate("scrollY") == left)


def test_a_list_of_tasks_that_is_come_back_to_is_where_it_was_left(
    open_tab: OpenTab, start_api: StartApi, queue: Buraq
) -> None:
    from playwright.sync_api import expect

    for number in range(90):
        queue.enqueue("charge", {"order": number})
    page = open_tab(start_api().url).go("tasks?state=waiting")
    rows = page.locator(".rows")
    expect(rows.locator(".task-row").first).to_be_visible()
    rows.evaluate("(rows) => rows.scrollTo(0, 760)")
    page.wait_for_function("document.elementFromPoint(700, 500)?.closest('.task-row')")  # drawn once it has scrolled
    page.mouse.click(700, 500)
    expect(page.get_by_role("region", name="Timeline")).to_be_visible()

    page.go_back()
    expect(rows).to_be_visible()
    eventually(lambda: rows.evaluate("(rows) => rows.scrollTop") == 760)

    page.get_by_role("navigation", name="Views").get_by_role("link", name="Queues").click()
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Tasks").click()
    expect(rows).to_be_visible()
    assert rows.evaluate("(rows) => rows.scrollTop") == 0


def test_the_row_of_the_log_that_one_reads_stays_while_more_come(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go("live")
    eventually(lambda: redis.pubsub_numsub("buraq_events")[0][1] == 1)
    happen(redis, range(80))
    rows = page.locator(".rows")
    page.get_by_text("task-79", exact=True).wait_for()
    rows.evaluate("(rows) => rows.scrollTo(0, 600)")
    read = page.get_by_text("task-50", exact=True)
    expect(read).to_be_in_viewport()
    before = read.bounding_box()

    happen(redis, range(80, 95))

    expect(page.get_by_text("95 events")).to_be_visible()
    assert read.bounding_box() == before
    rows.evaluate("(rows) => rows.scrollTo(0, 0)")
    happen(redis, range(95, 96))
    expect(page.get_by_text("task-95", exact=True)).to_be_in_viewport()


def happen(redis: Redis, numbers: range) -> None:
    for number in numbers:
        event = {"type": "Pending", "task_id": f"task-{number}", "worker_id": "", "task_type": "t", "queue": "default"}
        redis.publish("buraq_events", json.dumps(event))


def test_a_click_beside_a_dialog_does_not_throw_away_what_was_written_in_it(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    [(letter, _), *_] = redis.xrange("buraq_tasks_dlq", count=1)
    page = open_tab(start_api().url).go(f"dead-letters/default:{letter}")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Edit and retry").click()
    page.mouse.click(5, 5)
    expect(dialog).to_have_count(0)

    page.get_by_role("button", name="Edit and retry").click()
    dialog.get_by_role("textbox").fill('{"order": 77}')
    page.mouse.click(5, 5)

    expect(dialog.get_by_role("textbox")).to_have_value('{"order": 77}')
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)


UNSAFE = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


def test_without_https_a_traceback_is_copied_too_and_neither_page_nor_focus_moves(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    [(letter, _), *_] = redis.xrange("buraq_tasks_dlq", count=1)
    tab = open_tab(start_api().url, viewport={"width": 390, "height": 300})
    tab.page.add_init_script(UNSAFE)
    page = tab.go(f"dead-letters/default:{letter}")
    copy = page.get_by_role("button", name="Copy traceback")
    copy.scroll_into_view_if_needed()
    place = page.evaluate("scrollY")

    copy.click()

    copied = page.get_by_role("button", name="Copied")
    expect(copied).to_be_focused()
    assert page.evaluate("scrollY") == place
    field = page.get_by_role("searchbox", name="Find a task by its id")
    field.focus()
    page.keyboard.press("ControlOrMeta+v")
    expect(field).to_have_value(re.compile("Traceback"))


def test_a_copy_that_the_browser_refuses_is_said(open_tab: OpenTab, start_api: StartApi, workplace: Workplace) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    tab.page.add_init_script(f"{UNSAFE}; document.execCommand = () => false")
    tab.go("tasks/later-1").get_by_role("button", name="Copy id").click()

    expect(tab.page.get_by_text("does not let this page copy")).to_be_visible()


def test_a_page_that_was_stopped_says_so_and_how_to_go_on(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    page = show(tab, View("queues", "Drained in"))
    stopped = page.get_by_role("region", name="Stopped")
    expect(stopped).to_have_count(0)

    page.keyboard.press("p")
    expect(stopped).to_contain_text("Nothing here changes by itself")
    assert tab.barriers() == []

    stopped.get_by_role("button", name="Follow").click()
    expect(stopped).to_have_count(0)
    expect(page.locator(".side .pulse")).to_have_text("Live")


def test_figures_that_cannot_be_asked_anew_are_called_old_until_they_can(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    page = show(tab, View("workers", "Hub lag"))
    old = page.get_by_role("region", name="Old figures")
    expect(old).to_have_count(0)

    page.route("**/api/v1/workers", lambda route: route.fulfill(status=429, json={"error": "Slower, please"}))
    expect(old).to_contain_text("Slower, please")
    expect(page.get_by_role("link", name="w~00000001")).to_be_visible()

    page.unroute("**/api/v1/workers")
    expect(old).to_have_count(0)
    tab.forgive("429")


def test_which_charts_one_looks_at_stands_in_the_address(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), View("", "Tasks on their way"))
    page.get_by_role("button", name="24 h").click()
    page.get_by_role("button", name="Wait", exact=True).click()
    expect(page).to_have_url(re.compile(r"#/\?window=day&time=wait$"))

    page.reload()
    expect(page.get_by_role("region", name="Throughput")).to_contain_text("in the last day")
    expect(page.get_by_role("button", name="Wait", exact=True)).to_have_attribute("aria-pressed", "true")


def test_a_fact_of_long_ago_says_when_by_the_clock_and_on_which_day(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    from playwright.sync_api import expect

    task = {"id": "old-1", "type": "hold", "payload": {}, "created_at": "2026-03-04T05:06:07Z"}
    entry = redis.xadd("buraq_tasks", {"payload": json.dumps({**task, "max_retries": 3, "current_retries": 0})})
    redis.hset("buraq_tasks:index", "old-1", f"n{entry}")
    page = open_tab(start_api().url, timezone_id="UTC").go("tasks?state=waiting")
    page.locator(".task-row", has_text="old-1").first.click()

    for part in ("Facts", "Timeline"):
        expect(page.get_by_role("region", name=part)).to_contain_text("4 Mar 05:06:07")
