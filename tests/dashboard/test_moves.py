"""What workers do is seen on the page, as it happens."""

import json
import os
import re
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from buraq import Buraq
from tests.dashboard.browser import Tab
from tests.dashboard.conftest import Worker
from tests.dashboard.views import card, column, figure
from tests.servers import eventually
from tests.web.clients import ApiProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]
StartWorker = Callable[..., Worker]


def live(tab: Tab, view: str = "") -> "Page":
    """Open a view, and wait until events come."""
    from playwright.sync_api import expect

    page = tab.go(view)
    expect(page.locator(".side .pulse")).to_have_text("Live")
    return page


def test_a_task_moves_through_the_columns(
    open_tab: OpenTab, start_api: StartApi, start_worker: StartWorker, queue: Buraq, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = live(open_tab(start_api().url))
    expect(page.get_by_text("Nothing here yet")).to_be_visible()

    queue.enqueue("hold", {"gate": "one"}, id="held-1")
    expect(card(page, "Pending", "held-1")).to_contain_text("hold")
    expect(column(page, "Pending").get_by_role("heading")).to_contain_text("1")

    start_worker()
    expect(card(page, "Processing", "held-1")).to_be_visible()
    expect(card(page, "Pending", "held-1")).to_have_count(0)
    eventually(lambda: (figure(page, "Waiting"), figure(page, "Running"), figure(page, "Workers")) == ("0", "1", "1"))

    redis.rpush("one", "open")
    expect(card(page, "Processing", "held-1")).to_have_count(0)
    expect(column(page, "Processing")).to_contain_text("Nothing runs")

    # The first may have been moved by the lists, which the page asks when its stream is new; events move the next.
    queue.enqueue("hold", {"gate": "two"}, id="held-2")
    expect(card(page, "Processing", "held-2")).to_be_visible()
    redis.rpush("two", "open")
    expect(card(page, "Processing", "held-2")).to_have_count(0)

    queue.enqueue("ship", {"order": 7}, id="ship-7", max_retries=0)
    expect(card(page, "Dead letters", "ship-7")).to_contain_text("the warehouse does not answer")
    eventually(lambda: figure(page, "Dead letters") == "1")


GLIDES = """
  globalThis.glides = [];
  const look = () => {
    for (const card of document.querySelectorAll("[data-card]"))
      for (const move of card.getAnimations())
        glides.push(`${card.dataset.card} ${move.effect.getKeyframes()[0].transform}`);
    requestAnimationFrame(look);
  };
  look();
"""


def test_a_card_glides_from_where_it_was_to_where_it_is(
    open_tab: OpenTab, start_api: StartApi, start_worker: StartWorker, queue: Buraq, redis: Redis
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url, reduced_motion="no-preference")
    tab.page.add_init_script(GLIDES)
    queue.enqueue("hold", {"gate": "one"}, id="held-1")
    page = live(tab)
    pending = card(page, "Pending", "held-1")
    expect(pending).to_be_visible()
    start_worker()

    expect(card(page, "Processing", "held-1")).to_be_visible()
    from_the_left = re.compile(r"held-1 translate\(-\d{3}")  # where the column is that it was in
    eventually(lambda: any(map(from_the_left.match, page.evaluate("glides"))))
    redis.rpush("one", "open")


# Notes how often the list had been asked for when a card came, and when it went.
VANISHED = """
  globalThis.vanished = [];
  globalThis.came = [];
  const watch = (id) => new MutationObserver((changes) => {
    for (const change of changes)
      for (const node of change.removedNodes) if (node.dataset?.card === id) vanished.push(performance.now());
    if (!came.length && document.querySelector(`[data-card="${id}"]`)) came.push(ASKED);
  }).observe(document, { childList: true, subtree: true });
"""


def test_a_card_that_stands_for_long_is_there_at_once_and_stays(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    from playwright.sync_api import expect

    task = {"id": "old-1", "type": "hold", "payload": {}, "max_retries": 3, "current_retries": 0}
    redis.xadd("buraq_tasks", {"payload": json.dumps(task)}, id="1000-0")  # as if it were there since 1970
    tab = open_tab(start_api().url)
    tab.page.add_init_script(f"{VANISHED.replace('ASKED', ASKED)} watch('old-1');")
    page = tab.go()
    expect(card(page, "Pending", "old-1")).to_be_visible()
    assert page.evaluate("came") == [1]

    # The stream that brings events begins after the lists were asked, so they are asked once more.
    eventually(lambda: asked_for_waiting(page) >= 2)
    expect(card(page, "Pending", "old-1")).to_be_visible()
    assert page.evaluate("vanished") == []


ASKED = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('state=waiting')).length"


def asked_for_waiting(page: "Page") -> int:
    asked: int = page.evaluate(ASKED)
    return asked


def test_a_killed_worker_goes_from_the_page_and_its_task_runs_in_another(
    open_tab: OpenTab, start_api: StartApi, start_worker: StartWorker, queue: Buraq, redis: Redis
) -> None:
    from playwright.sync_api import expect

    worker = start_worker(LEASE_TTL="2s", CONSUMER_NAME="w")
    [first] = redis.zrange("buraq_tasks:leases", 0, -1)
    queue.enqueue("hold", {"gate": "two"}, id="held-2")
    tab = open_tab(start_api().url)
    page = live(tab)
    expect(card(page, "Processing", "held-2")).to_contain_text(first)
    expect(page.locator(".react-flow__node", has_text=first)).to_contain_text("1/5")

    [child] = worker.children()
    os.kill(child, signal.SIGKILL)

    successor = eventually(lambda: [name for name in redis.zrange("buraq_tasks:leases", 0, -1) if name != first])[0]
    expect(card(page, "Processing", "held-2")).to_contain_text(successor)
    expect(page.locator(".react-flow__node", has_text=successor)).to_contain_text("1/5")
    lost = page.locator(".react-flow__node", has_text=first)
    eventually(lambda: lost.count() == 0 or "lost" in lost.inner_text())

    worker.kill()
    eventually(lambda: figure(page, "Workers") == "0")
    live(tab, "workers")
    expect(page.get_by_role("row", name=successor)).to_contain_text("lost")
    expect(page.get_by_role("row").filter(has_text="active")).to_have_count(0)
