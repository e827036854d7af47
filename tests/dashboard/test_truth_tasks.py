"""Each task and dead letter: its attempts, deaths, times and ages, as its entry or record in the server has them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.figures import age, clock, span
from tests.dashboard.held import now_ms
from tests.dashboard.views import View, show
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

BASES = ("buraq_tasks", "buraq_tasks:mail")
MINUTE = 60_000
ROWS = """() => Object.fromEntries([...document.querySelectorAll(".task-row:not(.task-head)")].map((row) => [
  row.querySelector(".task-id").title,
  ["attempt", "ran", "at"].map((name) => row.querySelector(`.task-${name}`)?.textContent ?? ""),
]))"""
FACTS = """() => Object.fromEntries([...document.querySelectorAll('[aria-label="Facts"] dt')].map(
  (name) => [name.textContent, name.nextElementSibling.textContent]))"""
TIMELINE = """() => [...document.querySelectorAll(".timeline li")].map(
  (step) => ["gap", "text", "at"].map((name) => step.querySelector(`.timeline-${name}`)?.textContent ?? ""))"""


def ages(redis: Redis, ms: float) -> set[str]:
    """Return what an age may be that was read a moment ago."""
    now = now_ms(redis)
    return {age(now - late - ms) for late in range(0, 15_000, 250)}  # a moment: the machine may stand still


def of(task: dict[str, Any], deaths: int = 0) -> str:
    """Return which attempt of how many a task is at."""
    return f"{task['current_retries'] + 1}/{task['max_retries'] + 1}" + (f" +{deaths}†" if deaths else "")


def entries(redis: Redis, key: str) -> Iterator[tuple[int, dict[str, Any], dict[str, str]]]:
    """Yield what a stream has: when it was added in ms, the task, and all fields."""
    for entry, fields in redis.xrange(key):
        record = json.loads(fields.get("record", "{}"))
        yield int(entry.split("-")[0]), json.loads(record.get("task") or fields["payload"]), {**fields, **record}


def test_each_row_has_the_attempt_the_time_and_the_age_that_the_server_has(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    died = {"id": "died-1", "type": "charge", "payload": {}, "max_retries": 9, "current_retries": 4}
    redis.xadd(
        "buraq_tasks_front", {"payload": json.dumps(died), "deaths": 2}, id=f"{now_ms(redis) - 97 * MINUTE:.0f}-0"
    )
    # Of each task: which attempt, how long it ran, and since when it is so.
    held: dict[str, dict[str, tuple[str, str, float]]] = {
        state: {} for state in ("waiting", "completed", "failed", "dead")
    }
    for base in BASES:
        for ending in ("_front", "_high", ""):
            for at, task, fields in entries(redis, base + ending):
                held["waiting"][task["id"]] = (of(task, int(fields.get("deaths", 0))), "", at)
        for state in ("completed", "failed"):
            for at, task, record in entries(redis, f"{base}:history:{state}"):
                held[state][task["id"]] = (of(task), span(int(record["duration_ms"])), at)
        for _, task, fields in entries(redis, f"{base}_dlq"):
            [attempt] = json.loads(fields["attempts"])["kept"]
            held["dead"][task["id"]] = (of(task), span(attempt["duration_ms"]), int(fields["died_at"]))
    [running] = redis.xpending_range("buraq_tasks", "buraq_workers", "-", "+", 9)
    held["running"] = {
        "charge-5": (*held["waiting"].pop("charge-5")[:2], now_ms(redis) - running["time_since_delivered"])
    }
    tab = open_tab(start_api().url)

    for state, tasks in held.items():
        shown = show(tab, View(f"tasks?state={state}", next(iter(tasks)))).evaluate(ROWS)
        assert {name: tuple(row[:2]) for name, row in shown.items()} == {
            name: known[:2] for name, known in tasks.items()
        }, state
        assert [name for name, known in tasks.items() if shown[name][2] not in ages(redis, known[2])] == [], state

    shown = show(tab, View("tasks?state=scheduled", "report-2")).evaluate(ROWS)
    due = dict(redis.zrange("buraq_tasks:scheduled", 0, -1, withscores=True))
    for name, ms in due.items():
        task = json.loads(redis.hget("buraq_tasks:scheduled:tasks", name) or "")
        now = now_ms(redis)
        assert shown[name][0] == of(task), name
        assert shown[name][2] in {f"in {age(ms - now + late)}" for late in range(0, 15_000, 250)}, name
    assert shown.keys() == due.keys()


def test_the_story_of_a_task_is_told_with_the_times_that_its_entry_has(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    began = int(now_ms(redis)) - 97 * MINUTE
    told = (  # number, outcome, began and ran for
        (5, "failed", 4_200, 1_250),
        (6, "died", 90_000, None),
        (6, "failed", 93_000, 65_000),
    )
    names = ("number", "outcome", "started_ms", "duration_ms")
    kept = [dict(zip(names, one, strict=True), worker="w-1", error="no") for one in told]
    for one in kept:
        one["started_ms"] += began
    created = datetime.fromtimestamp(began / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    task = {"id": "saga", "type": "charge", "payload": {}, "created_at": created, "timeout": 90_000_000_000}
    fields = {
        "payload": json.dumps({**task, "max_retries": 9, "current_retries": 6}),
        "attempts": json.dumps({"left_out": 4, "kept": kept}),
        "deaths": 1,
    }
    entry = redis.xadd("buraq_tasks:tale", fields)
    redis.sadd("buraq_tasks:queues", "tale")
    redis.hset("buraq_tasks:tale:index", "saga", f"n{entry}")
    added = int(entry.split("-")[0])
    page = show(open_tab(start_api().url), View("tasks/saga", "Attempt 6 failed"))

    facts, now = page.evaluate(FACTS), now_ms(redis)
    assert facts.pop("Created") == f"{age(now - began)} ago, {clock(began)}"
    assert facts == {
        "Queue": "tale",
        "Priority": "normal",
        "Timeout": "1 m 30 s",
        "Attempt": "7 of 10",
        "Deaths": "1: its process ended while it ran",
        "Where": f"buraq_tasks:tale {entry}",
    }
    attempts = page.get_by_role("region", name="Attempts")
    assert attempts.locator(".panel-head").inner_text().split() == ["Attempts", "7"]
    assert attempts.locator(".attempt-head .numbers").all_inner_texts() == [
        clock(one["started_ms"]) + (f", ran {span(one['duration_ms'])}" if one["duration_ms"] else "")
        for one in reversed(kept)
    ]
    assert "The last 3 are kept; 4 older ones are not." in attempts.inner_text()

    assert page.evaluate(TIMELINE) == [
        ["", "Enqueued", clock(began)],
        ["", "4 attempts that are no longer kept", ""],
        ["4.2 s waited", "Attempt 5 started", clock(began + 4_200)],
        ["1.25 s run", "Attempt 5 failed", clock(began + 5_450)],
        [f"{span(84_550)} waited", "Attempt 6 started", clock(began + 90_000)],
        ["", "Attempt 6 ended with its process", ""],
        ["3 s waited", "Attempt 6 started", clock(began + 93_000)],
        ["1 m 5 s run", "Attempt 6 failed", clock(began + 158_000)],
        [f"{span(added - began - 158_000)} later", "Waits again", clock(added)],
    ]


def test_what_has_ended_is_shown_with_what_its_record_says(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    tab = open_tab(start_api().url)
    first, task, record = next(entries(redis, "buraq_tasks:history:completed"))
    note = show(tab, View("tasks?state=completed", task["id"])).locator(".tasks-note").inner_text()
    kept = "The newest 20,000 tasks that ended are kept, now back to"  # 10,000 of each queue
    assert note in {f"{kept} {one} ago." for one in ages(redis, first)}
    facts = show(tab, View(f"tasks/{task['id']}", "Timeline")).evaluate(FACTS)
    assert (facts["Waited"], facts["Ran"]) == (span(int(record["waited_ms"])), span(int(record["duration_ms"])))
    assert (facts["Attempt"], facts["Where"]) == (of(task).replace("/", " of "), "in the history alone")

    [(entry, fields)] = redis.xrange("buraq_tasks:mail_dlq")
    page = show(tab, View(f"dead-letters/mail:{entry}", "Timeline"))
    facts, died = page.evaluate(FACTS), int(fields["died_at"])
    assert facts["Attempts"] == of(json.loads(fields["payload"])).replace("/", " of ")
    ago, at = facts["Died"].split(" ago, ")
    assert ago in ages(redis, died) and at == clock(died)
    [attempt] = json.loads(fields["attempts"])["kept"]
    assert page.locator(".attempt-head .numbers").inner_text() == (
        f"{clock(attempt['started_ms'])}, ran {span(attempt['duration_ms'])}"
    )


def test_dead_letters_are_counted_dated_and_offered_as_the_server_holds_them(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    kept = [(key, *one) for key in BASES for one in entries(redis, f"{key}_dlq")]
    tab = open_tab(start_api().url)
    page = show(tab, View("dead-letters", "By type and error"))

    groups: dict[str, list[int]] = {}
    for _, _, task, fields in kept:
        groups.setdefault(task["type"], []).append(int(fields["died_at"]))
    assert "2 groups" in page.get_by_role("region", name="Groups").locator(".panel-head").inner_text()
    for name, died in groups.items():
        row = page.get_by_role("region", name="Groups").locator("tbody tr", has_text=name)
        cells = [text.strip() for text in row.locator("td").all_inner_texts()]
        assert cells[0] == str(len(died))
        assert cells[5].removesuffix(" ago") in ages(redis, min(died))
        assert cells[6].removesuffix(" ago") in ages(redis, max(died))
        assert row.get_by_role("button").get_attribute("aria-label", timeout=1000) is not None
        assert f"Retry all {len(died)} of {name}" in (row.get_by_role("button").get_attribute("aria-label") or "")
    for verb in ("Delete", "Retry"):
        page.get_by_role("button", name=f"{verb} all {len(kept)}", exact=True).wait_for()

    letters = page.get_by_role("region", name="Dead letters")
    assert letters.locator(".panel-foot").inner_text() == f"{len(kept)} of {len(kept)}"
    shown = letters.locator("li.letter").all_text_contents()
    assert len(shown) == len(kept)
    for at, text in zip(sorted((at for _, at, _, _ in kept), reverse=True), shown, strict=True):
        assert any(text.endswith(f"{one} ago") for one in ages(redis, at))

    page.get_by_role("region", name="Groups").get_by_role("link", name="charge").click()
    page.get_by_role("button", name=f"Retry all {len(groups['charge'])}", exact=True).click()
    page.get_by_role("dialog", name=f"Retry {len(groups['charge'])} dead letters?").wait_for()
