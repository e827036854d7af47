"""Parts of the whole: cards, counts of a queue, what a filter finds, what is chosen, bars as long as their figures."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.figures import age, clock, span
from tests.dashboard.held import now_ms
from tests.dashboard.views import View, card, show
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

HOUR = 3_600_000
LONG = {"old-2": 5 * 24.5 * HOUR, "old-1": 3 * 25.1 * HOUR}  # for how many ms they have waited: it changes by the hour
RUNS = 4 * 24.3 * HOUR
TASK = {"type": "charge", "payload": {}, "max_retries": 9, "current_retries": 4}
FILLED = """(parts) => parts.map((part) => {
  const bar = part.matches(".meter") ? part : part.querySelector(".meter");
  return new DOMMatrix(getComputedStyle(bar.firstElementChild).transform).a;
})"""


@pytest.fixture
def shop(workplace: Workplace, redis: Redis) -> Workplace:
    """The workplace, with tasks whose age does not change while one looks, and seven more groups of dead letters."""
    now = int(now_ms(redis))
    for name, waited in LONG.items():
        redis.xadd("buraq_tasks_front", {"payload": json.dumps({**TASK, "id": name})}, id=f"{now - waited:.0f}-0")
    for number in range(7):
        workplace.app.enqueue(f"kind-{number}", {}, queue="many")
        workplace.bury(queue="many")
    redis.xclaim("buraq_tasks", "buraq_workers", workplace.name, 0, [running(redis)["message_id"]], idle=int(RUNS))
    return workplace


def running(redis: Redis) -> dict[str, str]:
    [one] = redis.xpending_range("buraq_tasks", "buraq_workers", "-", "+", 9)
    return one


def foot(page: "Page") -> str:
    return page.locator(".panel-foot span").first.inner_text()


def test_cards_lists_and_filters_say_of_a_part_what_the_server_holds_of_it(
    open_tab: OpenTab, start_api: StartApi, shop: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    tab = open_tab(start_api().url)
    page = show(tab, View("", "Tasks on their way"))
    for name, waited in LONG.items():
        [(_, fields)] = [row for row in redis.xrange("buraq_tasks_front") if name in row[1]["payload"]]
        expect(card(page, "Pending", name)).to_contain_text(age(waited))
        attempt = json.loads(fields["payload"])["current_retries"] + 1
        expect(card(page, "Pending", name)).to_contain_text(f"attempt {attempt}")
    expect(card(page, "Processing", "charge-5")).to_contain_text(age(RUNS))
    assert running(redis)["consumer"] in card(page, "Processing", "charge-5").inner_text()

    page = show(tab, View("tasks/charge-5?queue=default", "Attempt 1 running"))
    expect(page.locator(".attempt-head .numbers")).to_contain_text(f", for {age(RUNS)}")
    page = show(tab, View(f"workers/{shop.name}", "Running here"))
    row = page.get_by_role("region", name="Tasks that run here").locator("tbody tr").all_inner_texts()
    assert [text.split("\t")[3:] for text in row] == [["1/4", age(RUNS)]]
    assert foot(page) == "1 found in 1 looked at"

    waiting = [json.loads(fields["payload"])["type"] for _, fields in redis.xrange("buraq_tasks:mail")]
    held = {
        "Waiting": len(waiting),
        "Running": 0,
        "Scheduled": redis.zcard("buraq_tasks:mail:scheduled"),
        "Dead": redis.xlen("buraq_tasks:mail_dlq"),
    }
    page = show(tab, View("tasks?state=waiting&queue=mail", "welcome-2"))
    rail = page.get_by_role("navigation", name="States").locator("a", has=page.locator(".numbers"))
    assert dict(text.split("\n") for text in rail.all_inner_texts()) == {name: str(n) for name, n in held.items()}
    assert foot(page) == f"{len(waiting)} of {len(waiting)}"

    everywhere = waiting + ["charge"] * sum(map(redis.xlen, ("buraq_tasks_front", "buraq_tasks_high")))
    for name in ("charge", "welcome"):
        page = show(tab, View(f"tasks?state=waiting&type={name}", name))
        found, total = everywhere.count(name), len(everywhere)
        assert foot(page) == f"{found} found in {total} of {total} looked at"

    letters = [key for queue in ("", ":mail", ":many") for key in redis.xrange(f"buraq_tasks{queue}_dlq")]
    page = show(tab, View("dead-letters", "By type and error"))
    groups = page.get_by_role("region", name="Groups")
    kinds = {json.loads(fields["payload"])["type"] for _, fields in letters}
    groups.get_by_role("button", name=f"All {len(kinds)} groups").click()
    expect(groups.locator("tbody tr")).to_have_count(len(kinds))
    boxes = page.get_by_role("region", name="Dead letters").get_by_role("checkbox")
    boxes.nth(1).check()
    boxes.nth(2).check()
    expect(page.get_by_text("2 chosen")).to_be_visible()
    boxes.first.check()
    expect(page.get_by_text(f"{len(letters)} chosen")).to_be_visible()
    page.get_by_role("region", name="Dead letters").get_by_role("button", name="Delete").click()
    page.get_by_role("dialog", name=f"Delete {len(letters)} dead letters for good?").wait_for()


def test_what_is_due_in_days_and_what_died_with_its_processes_is_told_with_its_times_and_deaths(
    open_tab: OpenTab, start_api: StartApi, shop: Workplace, redis: Redis
) -> None:
    shop.app.enqueue("report", {}, id="far-1", delay=3 * 24.8 * HOUR / 1000)
    due = redis.zscore("buraq_tasks:scheduled", "far-1") or 0.0
    task = json.loads(redis.hget("buraq_tasks:scheduled:tasks", "far-1") or "")
    created = 1000 * datetime.fromisoformat(task["created_at"]).timestamp()
    tab = open_tab(start_api().url)
    page = show(tab, View("tasks/far-1", "Timeline"))
    facts = page.get_by_role("region", name="Facts")
    assert facts.locator("dt:text-is('Due') + dd").inner_text() == f"in {age(due - now_ms(redis))}"
    steps = page.locator(".timeline li").all_inner_texts()
    assert [step.split("\n") for step in steps] == [
        ["Enqueued", clock(created)],
        [f"{span(due - created)} until then", "Due", clock(due)],
    ]

    fields = {"payload": json.dumps({**TASK, "id": "guilty-1"}), "reason": "crashed", "deaths": 6}
    entry = redis.xadd("buraq_tasks:mail_dlq", fields)
    facts = show(tab, View(f"dead-letters/mail:{entry}", "crashed:")).get_by_role("region", name="Facts")
    assert facts.locator("dt:text-is('Deaths') + dd").inner_text() == "6"
    assert facts.locator("dt:text-is('Attempts') + dd").inner_text() == "5 of 10"


def filled(bars: "Locator") -> list[float]:
    """Return which share of each bar is filled."""
    found: list[float] = bars.evaluate_all(FILLED)
    return found


def test_bars_are_as_long_as_the_figures_beside_them(
    open_tab: OpenTab, start_api: StartApi, shop: Workplace, redis: Redis
) -> None:
    tab = open_tab(start_api().url)
    for place, line in enumerate(("_suspects", "", "_low")):
        for number in range(1 + 2 * place):
            redis.xadd(f"buraq_tasks{line}", {"payload": json.dumps({**TASK, "id": f"more-{place}-{number}"})})
    page = show(tab, View("queues/default", "What waits, by line"))
    lines = [redis.xlen(f"buraq_tasks{end}") for end in ("_suspects", "_front", "_high", "", "_low")]
    lines[3] -= 1  # which runs
    assert lines == [1, 2, 4, 3, 5]
    assert page.locator(".lines dd").all_inner_texts() == list(map(str, lines))
    assert filled(page.locator(".lines .meter")) == pytest.approx([line / sum(lines) for line in lines], abs=0.001)

    dead = {queue: redis.xlen(f"buraq_tasks{queue}_dlq") for queue in ("", ":mail", ":many")}
    page = show(tab, View("dead-letters", "By type and error"))
    rows = page.get_by_role("region", name="Groups").locator("tbody tr")
    counts = [int(text.split("\t")[0]) for text in rows.all_inner_texts()]
    assert counts[0] == dead[""] == 2
    assert filled(rows) == pytest.approx([count / sum(dead.values()) for count in counts], abs=0.001)

    said = redis.hgetall(f"buraq_tasks:worker:{shop.name}")
    shares = pytest.approx([1 / int(said["slots"]), float(said["cpu"]) / 100], abs=0.001)
    page = show(tab, View("workers", "Hub lag"))
    assert filled(page.locator("tbody .meter")) == shares
    page = show(tab, View(f"workers/{shop.name}", "Running here"))
    assert filled(page.locator(".facts .meter")) == [shares.expected[0]]
    page = show(tab, View("", "Tasks on their way"))
    node = page.locator(f'[data-id="worker:{shop.name}"]')
    node.wait_for()
    assert filled(node.locator(".meter")) == shares
