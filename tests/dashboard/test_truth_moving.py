"""Figures that grow while one looks: the line of what waited, and how far work on many dead letters is."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from buraq.operations import Operation, Operations
from tests.dashboard.browser import Tab
from tests.dashboard.figures import whole
from tests.dashboard.held import now_ms
from tests.dashboard.views import View, show
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

MINUTE, WIDTH, HEIGHT = 60_000, 94, 18  # of the line: ms, and px between its margins
PIXEL = MINUTE / WIDTH
SLACK = 5_000  # ms: a look at the server has the time when it began, and the machine may stand still in it
GROUPS = ("buraq_tasks_dlq:groups", "buraq_tasks:mail_dlq:groups")
CHARGE = {"type": "charge", "payload": {}, "max_retries": 3, "current_retries": 0}


class Level:
    """How many waited, since some time between two of the server's clock."""

    def __init__(self, waiting: int, after: float, before: float) -> None:
        self.waiting, self.after, self.before = waiting, after, before


def test_the_line_of_what_waited_is_as_high_as_the_server_had_it_and_changes_when_it_did(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    page = show(open_tab(start_api().url), View("queues", "Drained in"))
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="default", exact=True))
    low, levels = "buraq_tasks_low", []
    for more in (0, 36, -31, 7):  # what waits is changed in one command each, and by nobody else
        after = now_ms(redis)
        if more > 0:
            with redis.pipeline(transaction=True) as together:
                for number in range(more):
                    together.xadd(low, {"payload": json.dumps({**CHARGE, "id": f"{more}-{number}"})})
                together.execute()
        elif more < 0:
            redis.xdel(low, *(entry for entry, _ in redis.xrange(low, count=-more)))
        waiting = redis.xlen(low) + redis.xlen("buraq_tasks_high")  # of the others one task runs
        expect(row.locator("td").nth(1)).to_have_text(str(waiting))
        levels.append(Level(waiting, after, now_ms(redis)))
    assert [level.waiting for level in levels] == [4, 40, 9, 16]

    drawn = row.locator("polyline").get_attribute("points") or ""
    points = [tuple(map(float, point.split(","))) for point in drawn.split()]
    assert points[-1][0] == 1 + WIDTH, "the newest is at the end"
    assert points == sorted(points, key=lambda point: point[0])
    began = [point for before, point in zip([(0.0, 0.0), *points], points, strict=False) if point[1] != before[1]]
    levels = levels[-len(began) :]  # on a slow machine the first of them may be older than a minute
    top = max(level.waiting for level in levels)
    heights = [2 + HEIGHT * (1 - level.waiting / top) for level in levels]
    assert [y for _, y in began] == pytest.approx(heights, abs=0.06)
    # Since the first one a level may have begun before the page was opened.
    for one, next_one, (x, _), (next_x, _) in zip(levels[1:], levels[2:], began[1:], began[2:], strict=False):
        apart = (next_x - x) * PIXEL
        assert next_one.after - one.before - SLACK <= apart <= next_one.before - one.after + SLACK


def bar(page: "Page") -> tuple[list[str], float]:
    """Return what is said of the operation that runs, and which share of its bar is filled."""
    section = page.get_by_role("region", name="Operation")
    filled = section.locator(".progress > span").evaluate("(bar) => new DOMMatrix(getComputedStyle(bar).transform).a")
    return section.locator("> span").all_inner_texts()[:2], filled


def far(redis: Redis, operation: Operation) -> dict[str, Any]:
    """Return how far an operation is, as its hash says."""
    said: dict[str, Any] = redis.hgetall(f"buraq_tasks:operations:{operation.id}")
    return {name: int(value) if value.isdecimal() else value for name, value in said.items()}


def test_how_far_the_work_on_many_dead_letters_is_is_what_the_server_has_written_down(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    from playwright.sync_api import expect

    with redis.pipeline(transaction=True) as together:
        for number in range(620):
            payload = json.dumps({**CHARGE, "id": f"sunk-{number}", "idempotency_key": f"key-{number}"})
            together.xadd("buraq_tasks:mail_dlq", {"payload": "no JSON" if number % 300 == 7 else payload})
        together.set("idemp:key-500", "another task")
        together.execute()
    # It works on nothing itself, so each batch is one that the test does.
    page = show(open_tab(start_api(READ_ONLY="true").url), View("dead-letters", "By type and error"))
    kept = {key: redis.xlen(key) for key in ("buraq_tasks_dlq", "buraq_tasks:mail_dlq")}
    grouped = sum(int(count) for key in GROUPS for name, count in redis.hgetall(key).items() if ":" not in name)
    expect(page.locator(".notice")).to_contain_text(f"{sum(kept.values()) - grouped} dead letters are in no group")

    work = Operations(workplace.app.backend)
    replay = work.begin("replay", "ada", ["default", "mail"], {}, ())
    seen = []
    while True:
        now = far(redis, replay)
        section = page.get_by_role("region", name="Operation")
        expect(section).to_contain_text(f"{now['seen']} of {now['total']}")
        assert bar(page) == (
            [f"Retrying {now['total']} dead letters", f"{now['seen']} of {now['total']} · {now['by']}"],
            pytest.approx(now["seen"] / now["total"], abs=0.001),
        )
        seen.append((now["seen"], now["total"]))
        if not work.step(replay):
            break
    assert seen == [(0, 623), (2, 623), (252, 623), (502, 623), (623, 623)]
    assert sum(kept.values()) == 623

    work._finish(replay, "done")
    now = far(redis, replay)
    assert (now["done"], now["unreadable"], now["owned"]) == (619, 3, 1)
    assert kept["buraq_tasks:mail_dlq"] - redis.xlen("buraq_tasks:mail_dlq") + 2 == now["done"]
    said = page.locator(".toast", has_text=f"{whole(now['done'])} dead letters retried").inner_text()
    assert f"{now['owned']} kept: another task owns their idempotency key" in said
    assert f"{now['unreadable']} kept: they cannot be read" in said
    expect(page.get_by_role("region", name="Operation")).to_have_count(0)

    left = [("mail", entry) for entry, _ in redis.xrange("buraq_tasks:mail_dlq")]
    delete = work.begin("delete", "ada", ["mail"], None, left)
    expect(page.get_by_role("region", name="Operation")).to_contain_text(f"Deleting {len(left)} dead letters")
    redis.xdel("buraq_tasks:mail_dlq", left[0][1])
    assert not work.step(delete)
    work._finish(delete, "done")
    now = far(redis, delete)
    assert (now["done"], now["gone"], redis.xlen("buraq_tasks:mail_dlq")) == (len(left) - 1, 1, 0)
    said = page.locator(".toast", has_text=f"{now['done']} dead letters deleted").inner_text()
    assert f"{now['gone']} was gone already" in said
