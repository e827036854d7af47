"""What somebody has begun on the page is kept: a text, a choice, a log, the way back."""

import re
from collections.abc import Callable

import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.conftest import Worker
from tests.dashboard.views import View, show
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def first_letter(redis: Redis) -> str:
    letter, _ = redis.xrange("buraq_tasks_dlq", count=1)[0]
    return f"dead-letters/default:{letter}"


def test_a_payload_that_is_being_written_outlives_a_hidden_tab(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    tab.page.clock.install()
    page = tab.go(first_letter(redis))
    page.get_by_role("button", name="Edit and retry").click()
    text = page.get_by_role("dialog").get_by_role("textbox")
    text.fill('{"order": 77}')

    page.evaluate(HIDE, True)
    page.clock.fast_forward("00:16")
    expect(page.locator(".side .pulse")).to_have_text("Stopped")
    page.evaluate(HIDE, False)

    expect(page.locator(".side .pulse")).to_have_text("Live")
    expect(text).to_have_value('{"order": 77}')


def test_a_dialog_is_closed_by_a_click_beside_it_and_not_by_one_that_only_ends_there(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go(first_letter(redis))
    page.get_by_role("button", name="Edit and retry").click()
    text = page.get_by_role("dialog").get_by_role("textbox")

    text.hover()
    page.mouse.down()
    page.mouse.move(8, 8)  # as when a line is marked with the mouse
    page.mouse.up()
    expect(text).to_be_visible()

    page.mouse.click(8, 8)
    expect(page.get_by_role("dialog")).to_have_count(0)


# Where a dialog is opened, by what, and what it is called.
DIALOGS = [
    ("queues", "Keyboard shortcuts", "Keyboard"),
    ("tasks", "Enqueue", "Enqueue a task"),
    ("dead-letters", "Delete all 3", "Delete 3 dead letters for good?"),
    ("tasks/later-1", "Cancel task", "Cancel this task?"),
    ("{letter}", "Edit and retry", "Edit and retry"),
]


def test_axe_has_no_complaint_about_any_dialog(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    url = start_api().url
    for scheme in ("light", "dark"):
        tab = open_tab(url, color_scheme=scheme)
        for address, opener, name in DIALOGS:
            page = tab.go(address.format(letter=first_letter(redis)))
            page.get_by_role("button", name=opener, exact=True).click()
            page.get_by_role("dialog", name=name).wait_for()
            assert tab.barriers() == [], name
            page.keyboard.press("Escape")


def test_a_dialog_gives_the_focus_back_however_it_is_left(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go(first_letter(redis))
    opener = page.get_by_role("button", name="Delete")
    for leave in ("Escape", "Cancel", "Close"):
        opener.press("Enter")
        dialog = page.get_by_role("dialog", name="Delete this dead letter?")
        expect(dialog).to_be_visible()
        if leave == "Escape":
            page.keyboard.press(leave)
        else:
            dialog.get_by_role("button", name=leave).press("Enter")
        expect(dialog).to_have_count(0)
        expect(opener).to_be_focused()


def test_what_was_chosen_stays_chosen_when_the_question_is_declined(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go("dead-letters")
    letters = page.get_by_role("region", name="Dead letters")
    for number in range(2):
        letters.get_by_role("checkbox", name="Choose charge").nth(number).check()
    act = letters.get_by_role("button", name="Retry", exact=True)

    act.click()
    page.get_by_role("dialog", name="Retry 2 dead letters?").get_by_role("button", name="Cancel").click()
    expect(letters.get_by_text("2 chosen")).to_be_visible()

    act.click()
    page.get_by_role("dialog").get_by_role("button", name="Retry 2").click()
    expect(page.get_by_text("2 dead letters retried")).to_be_visible()
    expect(letters.get_by_text("chosen")).to_have_count(0)
    assert (redis.xlen("buraq_tasks_dlq"), redis.xlen("buraq_tasks:mail_dlq")) == (0, 1)


def test_the_log_outlives_a_stop(open_tab: OpenTab, start_api: StartApi, queue: Buraq, redis: Redis) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url).go("live")
    eventually(lambda: redis.pubsub_numsub("buraq_events")[0][1] == 1)
    queue.enqueue("charge", {}, id="early")
    expect(page.get_by_text("early")).to_be_visible()

    page.get_by_role("button", name="Stop following").click()
    expect(page.locator(".side .pulse")).to_have_text("Stopped")
    page.get_by_role("button", name="Follow again").click()
    expect(page.locator(".side .pulse")).to_have_text("Live")

    expect(page.get_by_text("early")).to_be_visible()
    queue.enqueue("charge", {}, id="later")
    expect(page.get_by_text("later")).to_be_visible()


def test_a_type_can_be_written_on_after_one_that_is_known(
    open_tab: OpenTab, start_api: StartApi, start_worker: Callable[..., Worker], queue: Buraq
) -> None:
    from playwright.sync_api import expect

    start_worker()
    page = open_tab(start_api().url).go("tasks?state=completed")
    expect(page.locator('datalist option[value="ship"]')).to_have_count(1)
    field = page.get_by_role("combobox", name="Task type")

    field.press_sequentially("shipping")
    expect(field).to_have_value("shipping")
    expect(page).to_have_url(page.url.partition("#")[0] + "#/tasks?state=completed&type=ship")
    field.press("Enter")
    expect(page).to_have_url(page.url.partition("#")[0] + "#/tasks?state=completed&type=shipping")

    page.get_by_role("navigation", name="States").get_by_role("link", name="Failed").click()
    expect(page).to_have_url(page.url.partition("#")[0] + "#/tasks?state=failed&type=shipping")
    page.get_by_role("button", name="Clear").click()
    expect(field).to_have_value("")


def test_from_a_group_of_dead_letters_back_leads_to_the_groups(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), View("dead-letters?queue=default", "By type and error"))
    groups = page.get_by_role("region", name="Groups")
    for place in (groups.get_by_role("link", name="charge"), groups.get_by_role("cell", name="the bank")):
        place.click()
        expect(groups).to_have_count(0)
        expect(page.get_by_role("combobox", name="Queue")).to_have_value("default")
        page.go_back()
        expect(groups).to_be_visible()


def test_the_focus_goes_along_to_the_next_view(open_tab: OpenTab, start_api: StartApi, workplace: Workplace) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), View("queues", "Drained in"))
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="default", exact=True)).to_be_focused()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile("#/queues/default$"))
    expect(page.locator("#content")).to_be_focused()


def test_a_link_in_a_row_opens_in_a_tab_of_its_own_and_leaves_this_one_where_it_is(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    page = show(tab, View("queues", "Drained in"))

    with tab.context.expect_page() as opened:
        page.get_by_role("link", name="mail", exact=True).click(modifiers=["ControlOrMeta"])
    expect(opened.value).to_have_url(f"{tab.site}/#/queues/mail")
    opened.value.close()

    assert page.url == f"{tab.site}/#/queues"
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="mail", exact=True))
    row.click(position={"x": 5, "y": 5})
    expect(page).to_have_url(f"{tab.site}/#/queues/mail")
