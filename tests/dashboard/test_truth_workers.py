"""What a worker process says of itself in the server is what the page shows of it, and what the system knows of it."""

import os
import socket
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from redis import Redis

from buraq import Buraq
from buraq.version import __version__
from tests.dashboard.browser import Tab
from tests.dashboard.conftest import Worker
from tests.dashboard.figures import age, bytes_, clock, cpu, pace, rate, short, span
from tests.dashboard.held import now_ms
from tests.dashboard.views import View, figure, paces, show
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]

BASES = {"default": "buraq_tasks", "mail": "buraq_tasks:mail"}
HOUR, DAY = 3_600_000, 86_400_000
SINCE = 2 * HOUR + 302_000  # ms; written "2 h 5 m", now and in almost a minute
SAID: dict[str, dict[str, Any]] = {
    "w~00000001": {"cpu": "12.5", "memory_mb": "48.3", "slots": 10, "hub_lag_ms": "0.4", "host": "box", "pid": 12},
    "w~00000002": {
        "cpu": "97.4",
        "memory_mb": "1503.7",
        "slots": 1000,
        "hub_lag_ms": "1250.6",
        "host": "hut",
        "pid": 7,
    },
    "w~00000003": {"cpu": "0.0", "memory_mb": "96.1", "slots": 250, "hub_lag_ms": "3.2", "host": "box", "pid": 99},
}
RATES = {
    "w~00000001": {"completed_s": "4.2", "retried_s": "0.3", "dead_s": "0.1"},
    "w~00000002": {"completed_s": "1830.5", "retried_s": "0", "dead_s": "0"},
    "w~00000003": {"completed_s": "7.0", "retried_s": "0", "dead_s": "0"},
}


@pytest.fixture
def crew(workplace: Workplace, redis: Redis) -> Workplace:
    """Three processes: one works, one drains, one is lost."""
    statuses = {"w~00000001": "active", "w~00000002": "draining", "w~00000003": "active"}
    for name, said in SAID.items():
        process = Workplace(workplace.app, redis, name)
        more = {"status": statuses[name], "version": "0.9.9", "started_ms": int(now_ms(redis)) - 3 * DAY - SINCE}
        process.lease("default", "mail", ttl_ms=DAY, queues="default,mail", **more, **said, **RATES[name])
    for base in BASES.values():
        redis.zincrby(f"{base}:leases", -SINCE, "w~00000001")
        redis.zincrby(f"{base}:leases", -SINCE - DAY, "w~00000003")
    return workplace


class Known:
    """A process as the server knows it: what it said, its lease, and how many tasks it was handed."""

    def __init__(self, redis: Redis, name: str) -> None:
        self.id, self.now = name, now_ms(redis)
        self.said: dict[str, str] = redis.hgetall(f"buraq_tasks:worker:{name}")
        self.until = redis.zscore("buraq_tasks:leases", name)
        assert self.until is not None
        # Before it has fetched for the first time it says of no queue that it reads it; by its leases it does.
        leased = [queue for queue, base in BASES.items() if redis.zscore(f"{base}:leases", name)]
        self.queues = self.said["queues"].split(",") if self.said.get("queues") else leased
        self.handed = sum(
            consumer["pending"]
            for stream in redis.scan_iter(_type="stream")
            for group in redis.xinfo_groups(stream)
            for consumer in redis.xinfo_consumers(stream, group["name"])
            if consumer["name"] == name
        )

    @property
    def status(self) -> str:
        return self.said["status"] if self.until > self.now else "lost"

    @property
    def seen(self) -> float:
        return self.until - int(self.said["lease_ttl_ms"])

    @property
    def slots(self) -> str:
        return f"{self.handed}/{short(int(self.said['slots']))}"

    @property
    def memory(self) -> str:
        return bytes_(float(self.said["memory_mb"]) * 1e6)

    @property
    def lag(self) -> str:
        return span(float(self.said["hub_lag_ms"]))

    def a_second(self, *names: str) -> str:
        return "–" if self.status == "lost" else rate(sum(float(self.said[f"{name}_s"]) for name in names))

    def row(self) -> list[str]:
        """Return what the table of all has to show."""
        per = "" if self.status == "lost" else "/s"
        return [
            f"{self.id}{self.said['host']} · pid {self.said['pid']}",
            self.status + (f"{age(self.now - self.seen)} ago" if self.status == "lost" else ""),
            self.slots,
            cpu(float(self.said["cpu"])),
            self.memory,
            self.lag,
            self.a_second("completed") + per,
            self.a_second("retried", "dead") + per,
            "".join(self.queues),
            age(self.now - int(self.said["started_ms"])),
        ]

    def facts(self) -> dict[str, str]:
        """Return what its own view has to show; without how long ago it was last seen."""
        per = "" if self.status == "lost" else " a second"
        started = int(self.said["started_ms"])
        return {
            "Slots": self.slots,
            "CPU": f"{float(self.said['cpu']):g} % of a core",
            "Memory": self.memory,
            "Hub lag": f"{self.lag} at most, in the last minute",
            "Completed": self.a_second("completed") + per,
            "Retried": self.a_second("retried") + per,
            "Queues": ", ".join(self.queues),
            "Host": f"{self.said['host']}, pid {self.said['pid']}",
            "Version": self.said["version"],
            "Started": f"{age(self.now - started)} ago, {clock(started)}",
        }


ROWS = """() => [...document.querySelectorAll("tbody tr")].map(
  (row) => [...row.cells].map((cell) => cell.textContent))"""
FACTS = """() => Object.fromEntries([...document.querySelectorAll('[aria-label="Facts"] dt')].map(
  (name) => [name.textContent, name.nextElementSibling.textContent]))"""


def test_workers_are_shown_with_what_they_wrote_in_the_server(
    open_tab: OpenTab, start_api: StartApi, crew: Workplace, redis: Redis
) -> None:
    known = [Known(redis, name) for name in SAID]
    assert [one.status for one in known] == ["active", "draining", "lost"]
    tab = open_tab(start_api().url)

    page = show(tab, View("workers", "Hub lag"))
    assert page.evaluate(ROWS) == [one.row() for one in known]

    for one in known:
        page = show(tab, View(f"workers/{one.id}", "Running here"))
        shown = page.evaluate(FACTS)
        seen = shown.pop("Last seen")
        assert shown == one.facts()
        assert seen.endswith(f" ago, {clock(one.seen)}")
        assert one.id == "w~00000002" or seen.startswith(age(one.now - one.seen))
        assert page.get_by_role("region", name="Tasks that run here").locator("tbody tr").count() == one.handed

    page = show(tab, View("", "Tasks on their way"))
    assert (figure(page, "Workers"), figure(page, "Running")) == ("1", "1")
    strip = page.locator(".strip").inner_text()
    assert "1 lost" in strip and f"of {known[0].said['slots']} slots" in strip
    lost = page.locator('.react-flow__node[data-id="worker:w~00000003"]')
    assert lost.text_content() == f"w~00000003lostLast seen {age(known[2].now - known[2].seen)} ago. " + (
        "What it held runs elsewhere."
    )
    sinks = {"completed": "completed_s", "scheduled": "retried_s", "dead": "dead_s"}
    for one in known:
        alive = one.status != "lost"
        assert paces(page, f'^="{one.id}>"') == {
            f"{one.id}>{sink}": pace(float(one.said[name])) if alive else 0 for sink, name in sinks.items()
        }


def test_many_workers_are_one_node_for_each_host_with_their_sums(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, redis: Redis
) -> None:
    for number in range(11):
        process = Workplace(workplace.app, redis, f"p-{number:02}")
        said = {"cpu": 3.5 * number, "memory_mb": 50 + number, "slots": 20, "hub_lag_ms": 7 * number}
        process.lease("default", host=("box", "hut")[number % 2], **said)
    redis.hset("buraq_tasks:worker:w~00000001", "host", "box")
    hosts: dict[str, list[Known]] = {}
    for name in redis.zrange("buraq_tasks:leases", 0, -1):
        known = Known(redis, name)
        hosts.setdefault(known.said["host"], []).append(known)
    page = show(open_tab(start_api().url), View("", "Tasks on their way"))
    page.locator('[data-id="worker:box"]').wait_for()

    for host, of_it in hosts.items():
        share = sum(float(one.said["cpu"]) for one in of_it) / len(of_it)
        assert page.locator(f'[data-id="worker:{host}"]').text_content() == (
            f"{host}{len(of_it)} processes"
            f"slots{sum(one.handed for one in of_it)}/{short(sum(int(one.said['slots']) for one in of_it))}"
            f"cpu{cpu(share)}{bytes_(sum(float(one.said['memory_mb']) * 1e6 for one in of_it))}"
            f"worst lag {span(max(float(one.said['hub_lag_ms']) for one in of_it))}"
        )
    assert "2 queues, 12 worker processes" in page.get_by_role("region", name="Worker map").inner_text()


def test_what_a_real_worker_says_of_itself_is_what_the_system_knows_of_it(
    open_tab: OpenTab, start_api: StartApi, start_worker: Callable[..., Worker], queue: Buraq, redis: Redis
) -> None:
    worker = start_worker(LEASE_TTL="60s")
    for number in range(2):
        queue.enqueue("hold", {"gate": f"gate-{number}"})
    [name] = redis.zrange("buraq_tasks:leases", 0, -1)
    eventually(lambda: Known(redis, name).handed == 2)
    process = psutil.Process(int(redis.hget(f"buraq_tasks:worker:{name}", "pid") or 0))
    process.suspend()  # so that it says nothing new
    known = Known(redis, name)

    page = show(open_tab(start_api().url), View("workers", "Hub lag"))
    shown: Any = page.evaluate(ROWS)

    up = shown[0].pop()
    assert shown == [known.row()[:-1]]
    assert up in {age(now_ms(redis) - ms - int(known.said["started_ms"])) for ms in range(0, 15_000, 500)}
    assert worker.process.pid in [parent.pid for parent in process.parents()]
    assert (known.said["host"], known.said["slots"], known.said["version"]) == (socket.gethostname(), "5", __version__)
    assert float(known.said["memory_mb"]) == pytest.approx(process.memory_info().rss / 1e6, rel=0.25)
    assert 0 <= float(known.said["cpu"]) <= 100 * (os.cpu_count() or 1)
    assert int(known.said["started_ms"]) / 1000 == pytest.approx(process.create_time(), abs=20)
