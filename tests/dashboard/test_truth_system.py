"""What the system view says of the server, the API process, the history and who did what."""

import json
import platform
import re
import socket
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from redis import Redis

from buraq.version import __version__
from tests.dashboard.browser import Tab
from tests.dashboard.figures import age, bytes_, clock, rate, whole
from tests.dashboard.held import SLACK, between, now_ms
from tests.dashboard.views import View, show
from tests.servers import eventually
from tests.web.clients import ROOT, ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

HISTORIES = [
    f"{base}:history:{end}"
    for base in ("buraq_tasks", "buraq_tasks:mail")
    for end in ("completed", "failed", "dead", "cancelled")
]
FACTS = """() => Object.fromEntries([...document.querySelectorAll("#content section")].map((panel) => [
  panel.ariaLabel,
  Object.fromEntries([...panel.querySelectorAll("dt")].map((name) => [
    name.textContent, name.nextElementSibling.textContent])),
]))"""
ROWS = """() => [...document.querySelectorAll("tbody tr")].map(
  (row) => [...row.cells].map((cell) => cell.textContent))"""


@pytest.fixture
def steady(redis: Redis) -> Iterator[Redis]:
    """A server with a limit, whose figures by the second are new once a second."""
    before = redis.config_get("*hz") | redis.config_get("maxmemory")
    steady = {name: {"hz": 1, "dynamic-hz": "no", "maxmemory": 512 * 1024**2}[name] for name in before}
    for settings in (steady, before):
        for name, value in settings.items():
            redis.config_set(name, value)
        if settings is steady:
            yield redis


def test_the_system_is_as_the_server_and_the_operating_system_have_it(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, steady: Redis
) -> None:
    api, asked = start_api(), []

    def bracket(route: "Route") -> None:
        """Ask the server right before the API does, and right after."""
        before, began = steady.info(), time.perf_counter()
        answer = route.fetch()
        took_ms = 1000 * (time.perf_counter() - began)
        asked.append((before, steady.info(), took_ms))
        route.fulfill(response=answer)

    tab = open_tab(api.url)
    tab.go("live").locator(".side .pulse", has_text="Live").wait_for()  # its stream is counted
    tab.page.route("**/api/v1/system", bracket)
    page = show(tab, View("system", "Round trip"))

    def agrees() -> dict[str, dict[str, str]]:
        """What is shown is as the server had it when the page asked last; a moment later, where it has just asked."""
        found: dict[str, dict[str, str]] = page.evaluate(FACTS)
        assert_server(steady, found["Valkey"], *asked[-1])
        return found

    shown = eventually(agrees)
    of_api = shown["API process"]
    [process] = psutil.Process(api.process.pid).children()
    started = of_api.pop("Started").split(", ")[1]
    assert started in {clock(1000 * (process.create_time() + wait)) for wait in range(-1, 15)}
    assert of_api == {
        "Buraq": __version__,
        "Python": platform.python_version(),
        "With": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "Host": f"{socket.gethostname()}, pid {process.pid}",
        "Streams": "1 of 3,000",  # this page's; a quarter of the connections stays free for all else
    }
    assert_history(steady, shown["History"], "all of them")

    minute = steady.time()[0] // 60  # as if more had completed in one second than are kept
    steady.bitfield("buraq_tasks:stats").set("u32", f"#{(1 + minute % 61) * 128 + 5}", 7).execute()
    tab.page.reload()
    shown = show(tab, View("system", "a sample")).evaluate(FACTS)
    assert_history(steady, shown["History"], "a sample, 200 a second from each worker process")
    note = show(tab, View("tasks?state=completed", "charge-1")).locator(".tasks-note").inner_text()
    assert "of the completed at most 200 a second from each worker process" in note

    limit = steady.info()["used_memory"]
    steady.config_set("maxmemory", limit)
    tab.page.reload()
    said = show(tab, View("system", "it takes no more tasks")).locator(".notice", has_text="of the memory").inner_text()
    shares = {100 * used // limit for used in between(*asked[-1][:2], "used_memory", SLACK)}
    assert int(said.split("uses ")[1].split(" %")[0]) in shares


def assert_server(
    redis: Redis, shown: dict[str, str], before: dict[str, Any], after: dict[str, Any], ms: float
) -> None:
    """What is shown of the server has been so between two looks, with so many milliseconds from one to the other."""
    server = dict(shown)
    assert server.pop("Address").endswith(f"@127.0.0.1:{redis.connection_pool.connection_kwargs['port']}/0")
    assert 0 < float(server.pop("Round trip").removesuffix(" ms")) < ms
    assert server.pop("Version") == f"{after['valkey_version']}, {after['server_mode']}, {after['role']}"
    assert server.pop("Memory") in {
        f"{bytes_(used)} of 512 MiB, peak {bytes_(peak)}"
        for used in between(before, after, "used_memory", SLACK)
        for peak in between(before, after, "used_memory_peak", SLACK)
    }
    assert server.pop("Up") in {age(1000 * up) for up in between(before, after, "uptime_in_seconds")}
    assert server.pop("Commands") in {f"{rate(one['instantaneous_ops_per_sec'])} a second" for one in (before, after)}
    assert server.pop("Connections") in {whole(n) for n in between(before, after, "connected_clients")}
    assert server == {"When full": "noeviction", "On disk": "no append-only file", "Replicas": "0"}


PACKAGES = ("flask", "gevent", "gunicorn", "hiredis", "redis", "ujson")


def assert_history(redis: Redis, shown: dict[str, str], completed: str) -> None:
    oldest = min(int(redis.xrange(key, count=1)[0][0].split("-")[0]) for key in HISTORIES if redis.exists(key))
    ago, at = shown["Back to"].split(", ")
    assert ago in {f"{age(now_ms(redis) - late - oldest)} ago" for late in range(0, 15_000, 500)}
    assert {**shown, "Back to": at} == {
        "Kept": f"{sum(map(redis.xlen, HISTORIES))} of 80,000 tasks",
        "Back to": clock(oldest),
        "Completed": completed,
        "Failed": "all of them",
    }


def test_who_did_what_is_shown_as_it_was_written_down(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    api = start_api()
    for verb in ("pause", "resume", "pause"):
        assert api.request("POST", f"/api/v1/queues/mail/{verb}").status == 200
    assert api.request("POST", "/api/v1/tasks/later-1/cancel?queue=default").status == 200
    page = show(open_tab(api.url), View("system?tab=audit", "How many"))

    written = [(entry, json.loads(fields["action"])) for entry, fields in redis.xrevrange("buraq_tasks:audit")]
    shown = page.evaluate(ROWS)
    assert len(written) == 4
    for row, (entry, action) in zip(shown, written, strict=True):
        assert row.pop(0).startswith(clock(int(entry.split("-")[0])))
        names = ("who", "address", "action", "queue", "target", "count")
        assert row == [str(action.get(name, "")) for name in names]
    assert page.locator(".panel-foot").inner_text() == "4 shown"


SET = {
    "API_KEY": "0p3n-s3sam3",
    "CORS_ORIGINS": "http://a.example,http://b.example",
    "DLQ_MAX_AGE": "1234567s",
    "HISTORY_LENGTH": "120000",
    "READ_ONLY": "true",
    "RETRY_BACKOFF": "250ms",
}
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "KiB": 1024, "MiB": 1024**2}
FOUND_OUT = {"DLQ_STREAM_NAME": "buraq_tasks_dlq", "CONSUMER_NAME": socket.gethostname()}


def in_force(written: str) -> str:
    """Return a value as it was written as the page has it: in seconds or bytes, and all digits of them."""
    sized = re.fullmatch(r"(\d+)(ms|s|m|h|KiB|MiB)", written)
    return f"{int(sized[1]) * UNITS[sized[2]]:.15g}{'' if 'B' in sized[2] else 's'}" if sized else written


def test_the_settings_are_those_that_were_set_and_else_those_of_the_docs(
    open_tab: OpenTab, start_api: StartApi, redis: Redis
) -> None:
    api = start_api(**SET)
    shown = show(open_tab(api.url), View("system?tab=settings", "REDIS_URL")).evaluate(ROWS)

    known = re.findall(r"^\| (`[A-Z].*) \| (.*) \| (.*) \|$", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    expected = {}
    for variables, default, words in known:
        variable = variables.split("`")[1]
        if variable in ("REDIS_URL", "LOG_FORMAT"):  # which the fixture has set
            continue
        value = in_force(SET.get(variable, FOUND_OUT.get(variable, default.strip("`"))))
        value = {"empty": "none", "0p3n-s3sam3": "***"}.get(value, re.sub("^:", "0.0.0.0:", value))
        expected[variable] = [value + "set" * (variable in SET), words.replace("`", "")]
    rows = {variable: rest for variable, *rest in shown}
    url = rows.pop("REDIS_URL")[0]
    assert re.fullmatch(r"redis://\w+:\*\*\*@127\.0\.0\.1:\d+/0set", url)
    assert rows.pop("LOG_FORMAT")[0] == "jsonset"
    assert rows == expected
