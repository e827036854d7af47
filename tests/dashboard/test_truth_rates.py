"""How much goes in and out, how old what waits is, and how long it will be: as the server's own keys have it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.figures import age, bytes_, cpu, pace, percent, rate, short, span, whole
from tests.dashboard.held import Counts, Engraver, Waiting, nearest, now_ms
from tests.dashboard.views import View, paces, show
from tests.servers import Server, eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BASES = {"default": "buraq_tasks", "bulk": "buraq_tasks:bulk", "mail": "buraq_tasks:mail"}
MOST = {  # of each kind in a second: one queue shrinks, one grows, of one nothing is known
    "default": {"enqueued": 9, "completed": 12, "retried": 9, "dead": 1},
    "mail": {"enqueued": 400, "completed": 7, "retried": 30, "dead": 2},
}
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
# What the workplace has made: running, scheduled, dead, and the processes that read the queue.
COUNTS = {"default": (1, 4, 2, 1), "bulk": (0, 0, 0, 0), "mail": (0, 1, 1, 1)}
# The first is written "2 h 5 m", now and in almost a minute.
AGES = {"default": 2 * HOUR + 5.03 * MINUTE, "mail": 3 * DAY + 2.5 * HOUR, "bulk": 95_000}


@pytest.fixture
def busy(workplace: Workplace, redis: Redis) -> Workplace:
    """The workplace with a third queue, and with what has waited for long in each."""
    workplace.app.enqueue("report", {}, queue="mail", delay=7_318)
    redis.sadd("buraq_tasks:queues", "bulk")
    # Their ages get a second older in the middle of a second, and rates when it is over: never both between two looks.
    half = now_ms(redis) // 1000 * 1000 + 500
    for name, waited in AGES.items():
        task = {"id": f"{name}-old", "type": "charge", "payload": {}, "created_at": "2026-11-21T18:52:00Z"}
        redis.xadd(f"{BASES[name]}_low", {"payload": json.dumps(task)}, id=f"{half - waited:.0f}-0")
    return workplace


class Held:
    """What the server holds, with rates of just now, and what figures of it are at a moment, in unix ms."""

    def __init__(self, server: Server, redis: Redis) -> None:
        for name, most in MOST.items():
            Engraver(redis, BASES[name]).write(most)
        self.redis, self.began = redis, now_ms(redis)
        self.waiting = {name: Waiting(redis, base) for name, base in BASES.items()}
        self._counts = {(name,): Counts(server, base) for name, base in BASES.items()}
        self._counts[tuple(BASES)] = Counts(server, *BASES.values())

    def rates(self, moment: float, *names: str) -> dict[str, float]:
        return self._counts[names or tuple(BASES)].rates(int(moment // 1000))

    def age(self, moment: float, name: str) -> str:
        return age(self.waiting[name].oldest_ms(moment))

    def drained(self, moment: float, name: str) -> str:
        """Return how long until what waits is done, or that more comes than goes, or no more."""
        rates = self.rates(moment, name)
        net = round(rates["completed"] + rates["dead"] - rates["enqueued"], 1)
        return age(1000 * len(self.waiting[name]) / net) if net > 0 else "grows" if net else "stands"

    def moments(self) -> Iterator[float]:
        """Yield the moments that figures may be of: those since it began, and of just before."""
        return iter(range(int(self.began) // 1000 * 1000 - 3000, int(now_ms(self.redis)), 250))

    def agrees(self, look: Callable[[], Any], figures: Callable[["Held", float], Any]) -> None:
        """Assert that what is shown is what figures are at a moment.

        Ages are drawn anew each second, and rates when the page has heard of new ones, which may be late on a busy
        machine: then they are not of the same moment before the next time.
        """

        def agree() -> bool:
            shown = look()
            assert shown == nearest(shown, [figures(self, at) for at in self.moments()])
            return True

        eventually(agree, timeout=6)  # the rates are there for eight seconds, and go down to none in ten more


OVERVIEW = """() => Object.fromEntries([
  ...[...document.querySelectorAll(".strip a")].map((cell) => {
    const [name, ...parts] = [...cell.children].map((part) => part.textContent);
    return [name, [cell.title, ...parts]];
  }),
  ["note", document.querySelector(".flow-note").textContent],
  ...[...document.querySelectorAll(".react-flow__node")].map((node) => [node.dataset.id, node.textContent]),
])"""


def test_rates_and_ages_on_the_overview_are_those_of_the_server(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], server: Server, redis: Redis, busy: Workplace
) -> None:
    tab = open_tab(start_api().url)
    held = Held(server, redis)
    page = show(tab, View("", "Tasks on their way"))
    page.locator(".react-flow__node").first.wait_for()

    held.agrees(lambda: page.evaluate(OVERVIEW), lambda held, at: strip(held, at) | the_map(held, at))
    held.agrees(
        lambda: paces(page, '^="in:"'),
        lambda held, at: {f"in:{name}": pace(held.rates(at, name)["enqueued"]) for name in BASES},
    )


def test_what_waits_how_long_how_fast_and_until_when_of_each_queue_is_what_the_server_holds(
    open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess], server: Server, redis: Redis, busy: Workplace
) -> None:
    since = now_ms(redis) - AGES["default"]
    redis.hset("buraq_tasks:paused", "bulk", json.dumps({"at": int(since), "by": "ops"}))
    tab = open_tab(start_api().url)
    held = Held(server, redis)
    page = show(tab, View("queues", "Drained in"))
    held.agrees(lambda: page.evaluate(ROWS), lambda held, at: {name: row(held, at, name) for name in BASES})

    for name in BASES:
        held, page = Held(server, redis), show(tab, View(f"queues/{name}", "What waits, by line"))
        held.agrees(lambda page=page: page.evaluate(FACTS), lambda held, at, name=name: facts(held, at, name))
        said = page.locator(".notice").all_text_contents()
        assert [text.split(".")[0] for text in said if "Paused" in text] == ["Paused 2 h 5 m ago by ops"] * (
            name == "bulk"
        )

    page = show(tab, View("", "Tasks on their way"))
    assert "1 of 3 queues paused" in page.locator(".strip").inner_text()
    held, page = Held(server, redis), show(tab, View("live", "Nothing happens"))
    held.agrees(lambda: page.locator(".panel-foot span").last.inner_text(), in_and_out)


ROWS = """() => Object.fromEntries([...document.querySelectorAll("tbody tr")].map((row) => [
  row.querySelector("strong").textContent, [...row.cells].map((cell) => cell.textContent)]))"""
FACTS = """() => Object.fromEntries([...document.querySelectorAll("dl.figures dt")].map(
  (name) => [name.textContent, name.nextElementSibling.textContent]))"""


def row(held: Held, at: float, name: str) -> list[str]:
    rates = held.rates(at, name)
    running, scheduled, dead, workers = COUNTS[name]
    return [
        f"{name}paused 2 h 5 m" if name == "bulk" else name,
        whole(len(held.waiting[name])),
        "",
        held.age(at, name),
        whole(running),
        whole(scheduled),
        whole(dead),
        f"{rate(rates['enqueued'])}/s",
        f"{rate(rates['completed'] + rates['dead'])}/s",
        "–" if name == "bulk" else held.drained(at, name),
        short(workers) if workers else "none",
        "Resume" if name == "bulk" else "Pause",
    ]


def facts(held: Held, at: float, name: str) -> dict[str, str]:
    rates = held.rates(at, name)
    running, scheduled, dead, workers = COUNTS[name]
    first = {"default": ", the first within a minute", "mail": ", the first in 2 h 1 m", "bulk": ""}[name]
    return {
        "Waiting": whole(len(held.waiting[name])),
        "Oldest": held.age(at, name),
        "Running": whole(running),
        "Scheduled": whole(scheduled) + first,
        "Dead letters": whole(dead),
        "Enqueued": f"{rate(rates['enqueued'])} a second",
        "Completed": f"{rate(rates['completed'])} a second",
        "Drained in": "paused" if name == "bulk" else held.drained(at, name),
        "Workers": str(workers or "none"),
    }


def in_and_out(held: Held, at: float) -> str:
    rates = held.rates(at)
    return f"{rate(rates['enqueued'])} in, {rate(rates['completed'] + rates['dead'])} out, a second"


def strip(held: Held, at: float) -> dict[str, Any]:
    rates = held.rates(at)
    failed = rates["retried"] + rates["dead"]
    waiting = whole(sum(map(len, held.waiting.values())))
    return {
        "Waiting": [waiting, waiting, f"oldest {held.age(at, 'mail')}"],
        "Running": ["1", "1", "of 10 slots"],
        "Scheduled": ["5", "5", "first within a minute"],
        "Dead letters": ["3", "3", f"{rate(rates['dead'])}/s more" if rates["dead"] else "no new ones"],
        "Enqueued": [f"{rates['enqueued']:g} a second", rate(rates["enqueued"]), "tasks a second"],
        "Completed": [f"{rates['completed']:g} a second", rate(rates["completed"]), "tasks a second"],
        "Failing": [
            f"{rate(failed)} failed attempts a second",
            percent(failed / max(0.1, failed + rates["completed"])),
            f"{rate(failed)}/s, of all attempts",
        ],
        "Workers": ["1", "1", "all alive"],
        "note": f"A sample: at most 4 new cards a second, of {rate(rates['enqueued'])} tasks; "
        "each stays for half a second at least."
        if rates["enqueued"] > 4
        else "Some of each, as they move.",
    }


def the_map(held: Held, at: float) -> dict[str, str]:
    rates = held.rates(at)
    facts = held.redis.hgetall("buraq_tasks:worker:w~00000001")
    queues = {
        f"queue:{name}": f"{name}{len(held.waiting[name])} waiting{COUNTS[name][0]} runningoldest {held.age(at, name)}"
        for name in BASES
    }
    return queues | {
        "producers": f"Producers{rate(rates['enqueued'])}/senqueued",
        "worker:w~00000001": f"w~00000001slots1/{short(int(facts['slots']))}cpu{cpu(float(facts['cpu']))}"
        f"{bytes_(float(facts['memory_mb']) * 1e6)}worst lag {span(float(facts['hub_lag_ms']))}",
        "sink:completed": f"Completed{rate(rates['completed'])}/sreturned",
        "sink:scheduled": f"Scheduled again{rate(rates['retried'])}/s5 due later",
        "sink:dead": f"Dead letters{rate(rates['dead'])}/s3 kept",
    }
