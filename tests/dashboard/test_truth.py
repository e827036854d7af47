"""Every figure is the server's, the page asks nobody else, and it is for everybody."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from redis import Redis

from buraq import Buraq
from buraq.task import Completed
from tests.dashboard.browser import PHONE, WIDE, Tab
from tests.dashboard.views import View, column, figure, show, views
from tests.servers import Server
from tests.web.clients import ROOT, ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]
SHOP = ROOT / "docs/examples/flask_app"


def held(redis: Redis, base: str) -> dict[str, int]:
    """Count what a queue holds, in its keys themselves."""
    streams = [base + ending for ending in ("_front", "_suspects", "_high", "", "_low")]
    there = [stream for stream in streams if redis.exists(stream)]
    running = sum(group["pending"] for stream in there for group in redis.xinfo_groups(stream))
    return {
        "waiting": sum(redis.xlen(stream) for stream in there) - running,
        "running": running,
        "scheduled": redis.zcard(f"{base}:scheduled"),
        "dead": redis.xlen(f"{base}_dlq"),
    }


def tasks_in(redis: Redis, state: str) -> list[str]:
    """Return the ids of the tasks in a state, from the streams themselves."""
    found = []
    for stream in LETTERS if state == "dead" else ("buraq_tasks", "buraq_tasks_high", "buraq_tasks:mail"):
        handed = redis.xpending_range(stream, "buraq_workers", "-", "+", 99) if state != "dead" else []
        held = {one["message_id"] for one in handed}
        for entry, fields in redis.xrange(stream):
            if state == "dead" or (entry in held) is (state == "running"):
                found.append(json.loads(fields["payload"])["id"])
    return found


def cells(page: "Page", row: str) -> dict[str, str]:
    """Return a row of the view's table by its columns."""
    heads = [text.strip() for text in page.locator("thead th").all_inner_texts()]
    found = page.get_by_role("row").filter(has=page.get_by_role("link", name=row, exact=True))
    return dict(zip(heads, [text.strip() for text in found.locator("td").all_inner_texts()], strict=True))


def test_every_count_on_the_page_is_what_the_server_holds(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    by_queue = {"default": held(redis, "buraq_tasks"), "mail": held(redis, "buraq_tasks:mail")}
    total = {name: sum(one[name] for one in by_queue.values()) for name in by_queue["default"]}
    assert total == {"waiting": 5, "running": 1, "scheduled": 4, "dead": 3}
    ids = {state: sorted(tasks_in(redis, state)) for state in ("waiting", "running", "dead")}
    tab = open_tab(start_api().url)

    page = show(tab, View("", "Tasks on their way"))
    strip = {name: figure(page, label) for name, label in STRIP.items()}
    assert strip == {name: str(count) for name, count in total.items()}
    assert (figure(page, "Workers"), page.locator(".strip").inner_text().count("of 10 slots")) == ("1", 1)

    counts = page.locator(".side a", has=page.locator(".count")).all_inner_texts()
    moving = total["waiting"] + total["running"] + total["scheduled"]
    assert [text.split("\n") for text in counts] == [
        ["Queues", "2"],
        ["Tasks", str(moving)],
        ["Dead letters", str(total["dead"])],
        ["Workers", "1"],
    ]

    for title, state in (("Pending", "waiting"), ("Processing", "running"), ("Dead letters", "dead")):
        heading = column(page, title).get_by_role("heading").inner_text()
        assert heading.split("\n") == [title, str(total[state])]
        cards = column(page, title).locator("[data-card]")
        assert cards.evaluate_all("(cards) => cards.map((card) => card.dataset.card).sort()") == ids[state]

    page = show(tab, View("queues", "Drained in"))
    for name, counts in by_queue.items():
        row = cells(page, name)
        shown = {key: row[key.capitalize()] for key in counts}
        assert shown == {key: str(count) for key, count in counts.items()}, name

    for state, count in total.items():
        page = show(tab, View(f"tasks?state={state}", "Task type"))
        rail = page.get_by_role("navigation", name="States").locator('[aria-current="page"] .numbers')
        assert (rail.get_attribute("title"), foot(page)) == (str(count), f"{count} of {count}"), state

    page = show(tab, View("tasks?state=completed", "charge-1"))
    assert foot(page).split(" of ")[0] == "2"

    page = show(tab, View("workers/w~00000001", "Running here"))
    assert page.get_by_role("region", name="Tasks that run here").locator("tbody tr").count() == total["running"]


def test_lines_groups_and_the_past_are_counted_as_the_server_holds_them(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    page = show(tab, View("dead-letters", "By type and error"))
    rows = page.get_by_role("region", name="Groups").locator("tbody tr")
    counted = {row.split("\t")[2].split("\n")[0]: int(row.split("\t")[0]) for row in rows.all_inner_texts()}
    kept = [json.loads(fields["payload"])["type"] for key in LETTERS for _, fields in redis.xrange(key)]
    assert counted == {name: kept.count(name) for name in kept}

    page = show(tab, View("queues/default", "What waits, by line"))
    lines = page.locator(".lines")
    shown = dict(zip(lines.locator("dt").all_inner_texts(), lines.locator("dd").all_inner_texts(), strict=True))
    high = redis.xlen("buraq_tasks_high")
    assert shown == {"Suspects": "0", "Front": "0", "High": str(high), "Normal": "0", "Low": "0"}

    page = show(tab, View("", "Tasks on their way"))
    chart = page.get_by_role("region", name="Throughput")
    for said in ("in the last hour", "Completed 2", "Retried 1", "Dead 3", "Enqueued 15", "a bar a minute"):
        expect(chart).to_contain_text(said)


STRIP = {"waiting": "Waiting", "running": "Running", "scheduled": "Scheduled", "dead": "Dead letters"}
LETTERS = ("buraq_tasks_dlq", "buraq_tasks:mail_dlq")


def foot(page: "Page") -> str:
    return page.locator(".tasks-list .panel-foot span").first.inner_text()


def test_a_task_that_nothing_keeps_any_longer_is_not_shown_as_one_that_runs(
    open_tab: OpenTab, start_api: StartApi, server: Server, redis: Redis
) -> None:
    from playwright.sync_api import expect

    work = Workplace(Buraq(redis_url=server.url, history_length=0), redis)
    work.lease("default")
    work.app.enqueue("charge", {"order": 1}, id="brief-1", max_retries=0)
    running = work.fetch(1)
    tab = open_tab(start_api().url)
    page = tab.go("tasks/brief-1")
    expect(page.get_by_text("Attempt 1 running")).to_be_visible()
    expect(page.get_by_text("nothing keeps it any longer")).to_have_count(0)

    work.settle(Completed(None, 0), *running)

    expect(page.get_by_text("nothing keeps it any longer")).to_be_visible()
    tab.forgive("404")


def test_a_payload_that_the_history_has_no_copy_of_is_not_shown_as_an_empty_one(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    from playwright.sync_api import expect

    workplace.app.enqueue("charge", {"text": "x" * 5000}, id="large-1", queue="bulk")
    workplace.complete(queue="bulk")

    page = open_tab(start_api().url).go("tasks/large-1")

    expect(page.get_by_role("region", name="Payload")).to_contain_text("of which the history keeps no copy")


def test_a_time_that_has_passed_is_not_shown_as_one_to_come(
    open_tab: OpenTab, start_api: StartApi, queue: Buraq, redis: Redis
) -> None:
    from playwright.sync_api import expect

    queue.enqueue("report", {}, id="late-1", delay=60)
    redis.zincrby("buraq_tasks:scheduled", -180_000, "late-1")  # and nobody is there to promote it
    page = open_tab(start_api().url).go()
    expect(page.locator(".strip a", has_text="Scheduled")).to_contain_text(re.compile(r"first overdue by 2 m"))


def test_a_secret_in_a_payload_never_reaches_the_page(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    [(letter, fields)] = redis.xrange("buraq_tasks:mail_dlq")
    assert "hush" in fields["payload"]
    tab = open_tab(start_api().url)

    page = show(tab, View(f"dead-letters/mail:{letter}", "welcome"))

    expect(page.get_by_text("1 hidden")).to_be_visible()
    assert "hush" not in page.content()


def test_the_policy_holds_and_all_files_come_from_here(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace
) -> None:
    tab = open_tab(start_api().url)
    page = show(tab, View("", "Tasks on their way"))
    fonts = [url for url in tab.asked if url.endswith(".woff2")]

    assert fonts and {urlsplit(url).netloc for url in tab.asked if url.startswith("http")} == {
        urlsplit(tab.site).netloc
    }
    # A tab that says nothing says so in every test here; this is what it says when something is wrong.
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'ran = 1'}))")
    page.evaluate("fetch('http://127.0.0.2/').catch(() => 0)")
    assert page.evaluate("typeof ran") == "undefined"
    tab.forgive("script-src")
    tab.forgive("connect-src")
    tab.forgive("another host|127.0.0.2")


def test_axe_has_no_complaint_about_any_view_light_or_dark_or_on_a_phone(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    Workplace(workplace.app, redis, "w~00000002").lease("default", ttl_ms=1)  # and one that is lost
    url = start_api().url
    found: dict[str, list[str]] = {}
    for scheme, screen in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
        tab = open_tab(url, color_scheme=scheme, viewport=screen)
        for view in views(redis):
            show(tab, view, "attached")  # heads of tables are not seen on a phone
            for complaint in tab.barriers():
                found.setdefault(complaint, []).append(f"{scheme} #/{view.address}, {screen['width']} px wide")
        tab.forgive("404")  # of the task that nobody knows
    assert found == {}, "\n".join(f"{said}\n    in {', '.join(where)}" for said, where in found.items())


def test_under_a_prefix_in_another_app_the_page_asks_nothing_outside_of_it(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    api = start_api("shop:create_app()", ready="/queue/api/health", cwd=SHOP, API_KEY="0p3n-s3sam3")
    tab = open_tab(f"{api.url}/queue")
    for view in views(redis)[:2]:
        show(tab, view)
    page = tab.page
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("dialog").get_by_label("Key").fill("0p3n-s3sam3")
    page.get_by_role("dialog").get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    order: Any = api.request("POST", "/orders/7").json
    page = tab.go(f"tasks/{order['task']}")
    expect(page.get_by_role("button", name="Cancel task")).to_be_visible()

    outside = [url for url in tab.asked if not urlsplit(url).path.startswith("/queue/") and url.startswith("http")]
    assert outside == []
    [cookie] = tab.context.cookies()
    assert cookie["path"] == "/queue"


def test_what_cannot_be_read_of_a_queue_is_named_and_not_passed_off_as_none(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    redis.rename("buraq_tasks:mail_dlq", "away")
    redis.set("buraq_tasks:mail_dlq", "somebody's")
    tab = open_tab(start_api().url)

    row = show(tab, View("queues", "Drained in")).get_by_role("row")
    assert row.filter(has_text="mail").get_by_title("buraq_tasks:mail_dlq").inner_text() == "overwritten"
    assert row.filter(has_text="default").get_by_text("overwritten").count() == 0

    for view in ("queues/mail", "dead-letters", "tasks?state=dead"):
        page = show(tab, View(view, "Something else has overwritten"))
        assert "buraq_tasks:mail_dlq" in page.locator("#content").inner_text()
