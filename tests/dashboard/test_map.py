"""The worker map can be moved and looked at closely, by mouse and by keys, and is never in the way of the page."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.held import now_ms
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]


def the_map(tab: Tab) -> "Page":
    """Open the overview on a low screen, with the map in the middle of it."""
    page = tab.go()
    node = page.locator(".react-flow__node", has_text="w~00000001")
    node.wait_for()
    node.evaluate("(node) => node.scrollIntoView({ block: 'center' })")
    return page


def moved(page: "Page") -> str:
    """Return where the map was moved to and how large it is drawn."""
    style: str = page.locator(".react-flow__viewport").evaluate("(view) => view.style.transform")
    return style


def test_the_map_is_zoomed_and_fitted_by_keys_and_what_they_reach_is_in_sight(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = the_map(open_tab(start_api().url))
    fitted = moved(page)
    zoom = page.get_by_role("button", name="Zoom In")
    zoom.press("Enter")
    eventually(lambda: moved(page) != fitted)

    page.get_by_role("button", name="Fit View").press("Enter")
    eventually(lambda: moved(page) == fitted)

    for _ in range(2):
        zoom.press("Enter")
    eventually(lambda: moved(page) != fitted)
    page.keyboard.press("Shift+Tab")  # from the controls back to the last node, which is out of sight
    eventually(lambda: moved(page) == fitted)
    expect(page.locator(".react-flow__node a:focus")).to_be_in_viewport()


def test_the_map_is_moved_by_the_mouse_and_its_nodes_stay_links(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = the_map(open_tab(start_api().url))
    fitted, url = moved(page), page.url
    node = page.locator(".react-flow__node", has_text="w~00000001")

    node.hover()
    page.mouse.down()
    page.mouse.move(300, 300, steps=4)
    page.mouse.up()
    assert (moved(page) != fitted, page.url) == (True, url), "a drag that began on a node opens nothing"

    page.get_by_role("button", name="Fit View").click()
    eventually(lambda: moved(page) == fitted)
    node.click()
    expect(page.get_by_role("region", name="Tasks that run here")).to_be_visible()


def test_the_wheel_and_the_space_bar_scroll_the_page_over_the_map_too(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    page = the_map(open_tab(start_api().url, viewport={"width": 1440, "height": 600}))
    fitted, place = moved(page), page.evaluate("scrollY")
    assert place > 0

    page.locator(".react-flow__node", has_text="w~00000001").hover()
    page.mouse.wheel(0, -200)
    eventually(lambda: page.evaluate("scrollY") < place)
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.keyboard.press("Space")
    eventually(lambda: page.evaluate("scrollY") > 0)
    assert moved(page) == fitted


def test_of_many_queues_the_map_shows_some_and_the_sum_of_the_others(
    open_tab: OpenTab, start_api: StartApi, queue: Buraq, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    for number in range(14):
        queue.enqueue("charge", {"order": number}, queue=f"shop-{number:02}")
    for number, waited in ((12, 50), (13, 75)):  # hours
        entry = f"{now_ms(redis) - 3_600_000 * (waited + 0.5):.0f}-0"
        redis.xadd(f"buraq_tasks:shop-{number}_low", {"payload": '{"id": "old", "type": "charge"}'}, id=entry)
    workplace.fetch(1, "shop-12")
    redis.hset("buraq_tasks:paused", "shop-11", '{"at": 1, "by": "ops"}')
    page = the_map(open_tab(start_api().url))

    others = page.locator(".react-flow__node", has_text="5 other queues")
    expect(others).to_have_text("5 other queues1 paused6 waiting1 runningoldest 3 d 3 h")
    expect(page.locator(".react-flow__node-queue")).to_have_count(12)
    expect(page.get_by_role("region", name="Worker map")).to_contain_text("16 queues")


def test_a_wire_of_the_map_stays_and_pulses_on_while_figures_change(
    open_tab: OpenTab, start_api: StartApi, queue: Buraq, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    page = the_map(open_tab(start_api().url))
    wires, mail = page.locator(".react-flow__edge"), page.locator('[data-id="queue:mail"]')

    def another(waiting: int) -> None:
        """Have the page told anew."""
        queue.enqueue("welcome", {}, queue="mail")
        expect(mail).to_contain_text(f"{waiting} waiting")

    another(2)
    wires.first.wait_for(state="attached")
    there = wires.count()
    wires.evaluate_all("(wires) => { for (const wire of wires) wire.dataset.old = 1 }")
    another(3)
    another(4)

    assert page.locator(".react-flow__edge[data-old]").count() == there
