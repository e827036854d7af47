"""The event log: each line is an event that the server published, and none is uncounted."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.figures import clock, span
from tests.dashboard.held import now_ms
from tests.servers import eventually
from tests.web.clients import ApiProcess

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

ROWS = """() => [...document.querySelectorAll(".rows-row")]
  .sort((one, other) => new DOMMatrix(one.style.transform).f - new DOMMatrix(other.style.transform).f)
  .map((row) => [...row.querySelector(".log-line").children].map((part) => part.textContent))"""


def live(tab: Tab) -> "Page":
    """Open the log, and wait until what is published from now on comes to it."""
    with tab.page.expect_response(lambda answer: "stream" in answer.url and "Pending" in answer.url):
        tab.go("live").get_by_text("Nothing happens").wait_for()
    return tab.page


def event(redis: Redis, number: int, kind: str = "Pending", **more: Any) -> dict[str, Any]:
    """Return an event of now, as a script publishes it."""
    worker = "" if kind == "Pending" else f"w-1-{number}"
    known = {"type": kind, "task_id": f"task-{number:03}", "worker_id": worker, "task_type": "charge", "queue": "mail"}
    return {**known, "at": int(now_ms(redis) * 1000) + 1234 * number, **more}


def publish(redis: Redis, events: Iterable[dict[str, Any]]) -> None:
    with redis.pipeline(transaction=True) as together:
        for one in events:
            together.publish("buraq_events", json.dumps(one))
        together.execute()


def line(event: dict[str, Any]) -> list[str]:
    """Return what the log has to show of an event."""
    ms = event["at"] / 1000
    took = span(event["duration_ms"]) if "duration_ms" in event else ""
    said = event.get("error", event["worker_id"])
    when = f"{clock(ms)}.{int(ms) % 1000:03}"
    return [when, event["type"], event["task_type"], event["task_id"], event["queue"], took, said]


def foot(page: "Page") -> str:
    return page.locator(".panel-foot span").first.inner_text().split(",")[0]


def test_each_line_of_the_log_is_an_event_as_it_was_published_and_the_foot_counts_them(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    page = live(open_tab(start_api().url))
    events = [
        event(redis, 1),
        event(redis, 2, "Processing"),
        event(redis, 3, "Completed", duration_ms=41.6),
        event(redis, 4, "Failed", duration_ms=65_250, error="ConnectionError: no"),
        event(redis, 5, "DLQ", duration_ms=0.4, error="ValueError: no"),
        event(redis, 6, "Completed", duration_ms=1250),
    ]
    publish(redis, events)
    page.get_by_text("task-006", exact=True).wait_for()
    assert page.evaluate(ROWS) == [line(one) for one in reversed(events)]
    assert foot(page) == f"{len(events)} events"


def test_what_the_log_leaves_out_or_hides_is_in_its_figures(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = live(open_tab(start_api().url))
    search = page.get_by_role("searchbox", name="Filter")
    page.get_by_role("button", name="Pause", exact=True).click()
    kinds = ("Completed", "Pending", "Pending")
    events = [event(redis, number, kinds[number % 3]) for number in range(900)]
    publish(redis, events)  # in a moment: the page asks for no more than 500 a second
    go_on = page.get_by_role("button", name=f"Go on ({len(events)} new)")
    expect(go_on).to_be_visible()
    assert foot(page) == "0 events"

    go_on.click()
    search.fill("nothing has these words")  # which leaves the gaps alone
    eventually(lambda: foot(page).startswith("0 of "))
    kept = int(foot(page).removeprefix("0 of ").removesuffix(" events"))
    gaps = [row[1] for row in page.evaluate(ROWS)]
    assert kept + sum(int(gap.split(" events left out")[0]) for gap in gaps) == len(events)

    search.fill("pending")
    eventually(lambda: not foot(page).startswith("0 of "))
    pending = foot(page)
    assert 0 < int(pending.split(" of ")[0]) < kept
    search.fill("")
    expect(page.locator(".panel-foot")).to_contain_text(f"{kept} events")
    page.get_by_role("button", name="Completed", exact=True).click()  # switched off
    eventually(lambda: foot(page) == pending)
