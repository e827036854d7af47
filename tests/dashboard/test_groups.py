"""What is done to a group of dead letters is done to those that it counts, and to no others."""

from collections.abc import Callable

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.views import View, show
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]
GROUPS = View("dead-letters", "By type and error")
ALIKE = "ConnectionError: the bank does not answer"  # what two of the workplace's died of


@pytest.fixture
def twins(workplace: Workplace) -> Workplace:
    """Two dead letters of the queue default, and three that are alike in the queue mail: one group id."""
    for number in range(3):
        workplace.app.enqueue("charge", {"order": number}, queue="mail", priority="high")
    workplace.bury(3, error=ALIKE, queue="mail")
    return workplace


def kept(redis: Redis) -> tuple[int, int]:
    return redis.xlen("buraq_tasks_dlq"), redis.xlen("buraq_tasks:mail_dlq")


def test_a_group_acts_on_those_of_its_own_queue_alone(
    open_tab: OpenTab, start_api: StartApi, twins: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    assert kept(redis) == (2, 4)
    page = show(open_tab(start_api().url), GROUPS)
    groups = page.get_by_role("region", name="Groups")
    expect(groups.get_by_role("row").filter(has_text="the bank")).to_have_count(2)

    groups.get_by_role("button", name="Retry all 2 of charge in default").click()
    dialog = page.get_by_role("dialog", name="Retry 2 dead letters?")
    expect(dialog).to_contain_text("of the queue default")
    dialog.get_by_role("button", name="Retry 2").click()
    eventually(lambda: kept(redis) == (0, 4))

    left = groups.get_by_role("row").filter(has_text="the bank")
    expect(left).to_have_count(1)
    left.get_by_role("link", name="charge").click()
    expect(page.get_by_role("combobox", name="Queue")).to_have_value("mail")
    page.get_by_role("button", name="Delete all 3", exact=True).click()
    page.get_by_role("dialog", name="Delete 3 dead letters for good?").get_by_role("button", name="Delete 3").click()
    eventually(lambda: kept(redis) == (0, 1))


def test_a_group_without_a_queue_has_the_count_of_all_that_it_acts_on(
    open_tab: OpenTab, start_api: StartApi, twins: Workplace, redis: Redis
) -> None:
    page = show(open_tab(start_api().url), GROUPS)
    link = page.get_by_role("region", name="Groups").get_by_role("link", name="charge").first
    group = (link.get_attribute("href") or "").split("group=")[1]

    page.evaluate("(group) => { location.hash = `#/dead-letters?group=${group}` }", group)

    page.get_by_role("button", name="Delete all 5", exact=True).click()
    page.get_by_role("dialog", name="Delete 5 dead letters for good?").get_by_role("button", name="Delete 5").click()
    eventually(lambda: kept(redis) == (0, 1))


def test_the_question_about_what_is_gone_does_not_come_back_for_others(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), GROUPS)
    page.get_by_role("button", name="Delete all 3", exact=True).click()
    dialog = page.get_by_role("dialog", name="Delete 3 dead letters for good?")
    expect(dialog).to_be_visible()

    redis.delete(*redis.keys("*_dlq*"))
    expect(page.locator("#content").get_by_text("No dead letters")).to_be_attached()
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="Cancel").click()

    workplace.bury(1)
    expect(page.get_by_role("button", name="Delete all 1", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_what_dies_while_the_question_is_read_is_left_alone(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), GROUPS)
    page.get_by_role("button", name="Delete all 3", exact=True).click()
    dialog = page.get_by_role("dialog", name="Delete 3 dead letters for good?")
    expect(dialog).to_contain_text("3 were counted when you asked")

    workplace.bury(2, error="ValueError: of another kind")
    expect(
        page.get_by_text("of another kind").first
    ).to_be_attached()  # the page knows of them, and nobody confirmed them
    dialog.get_by_role("button", name="Delete 3").click()

    expect(page.get_by_text("3 dead letters deleted")).to_be_visible()
    assert kept(redis) == (2, 0)


def test_a_failure_is_said_until_somebody_dismisses_it_by_key(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    tab.forgive("status of 503")
    page = show(tab, GROUPS)
    redis.delete(workplace.app.backend.names.audit)
    redis.set(workplace.app.backend.names.audit, "no stream")  # what is not in the list is not done
    page.get_by_role("button", name="Delete all 3", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete 3").click()
    expect(page.locator(".toast.tone-dead")).to_be_visible()
    assert tab.barriers() == []

    page.keyboard.press("Escape")

    expect(page.locator(".toast")).to_have_count(0)
    assert kept(redis) == (2, 1)
