"""A page that looks on while 20,000 events a second arrive does not grow."""

import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.servers import eventually
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

RATE = 20_000  # events a second
STEP = 20_000  # events between two looks at the heap
WARM = 2  # steps until all that is kept is full: lines of the log, cards of the board
STEPS = 3  # after these
# Bytes of heap that an event may leave behind. One that is kept takes 160; what is compiled meanwhile has its share.
LEFT = 25
LIFE = ("Pending", "Processing", "Failed", "Pending", "Processing", "Completed", "Pending", "Processing", "DLQ")

# Counts what reaches the page, and with `all` has the server leave out nothing. The page's own code is as it is.
WATCH = """(all) => {
  globalThis.arrived = 0;
  globalThis.gaps = 0;
  globalThis.drawn = 0;
  const draw = () => { globalThis.drawn += 1; requestAnimationFrame(draw); };
  requestAnimationFrame(draw);
  globalThis.EventSource = class extends EventSource {
    constructor(address, options) {
      const url = new URL(address);
      if (all) url.searchParams.delete("limit");
      super(url, options);
      this.addEventListener("message", () => { globalThis.arrived += 1; });
      this.addEventListener("gap", () => { globalThis.gaps += 1; });
      this.addEventListener("skipped", ({ data }) => { globalThis.arrived += JSON.parse(data).count; });
    }
  };
}"""


def lives(start_us: int) -> Iterator[str]:
    """Yield events as the scripts publish them: each task fails, runs again, ends or is buried."""
    number = 0
    while True:
        for step, kind in enumerate(LIFE):
            number += 1
            event: dict[str, Any] = {
                "type": kind,
                "task_id": f"task-{number // 9}-{step // 6}",
                "worker_id": "" if kind == "Pending" else "web-1~00000001-7",
                "task_type": ("charge", "welcome", "report")[number % 3],
                "queue": "default",
                "at": start_us + number * 1_000_000 // RATE,
                "attempt": 1 + step % 6 // 3,
            }
            if kind in ("Failed", "DLQ"):
                event |= {"duration_ms": 12, "error": "ConnectionError: the bank does not answer"}
            yield json.dumps(event)


class Storm:
    """Publishes events at RATE."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._events = lives(time.time_ns() // 1000)

    def blow(self, count: int) -> None:
        """Publish so many, a fiftieth of a second's at once."""
        due = time.monotonic()
        for _ in range(0, count, RATE // 50):
            pipe = self._redis.pipeline(transaction=False)
            for _ in range(RATE // 50):
                pipe.publish("buraq_events", next(self._events))
            pipe.execute()
            due += 1 / 50
            time.sleep(max(0.0, due - time.monotonic()))  # the pace of the load, not a wait


def heap(devtools: "CDPSession") -> int:
    """Return the bytes of what the page still holds."""
    devtools.send("HeapProfiler.collectGarbage")
    used: int = devtools.send("Runtime.getHeapUsage")["usedSize"]
    return used


@pytest.mark.parametrize(
    ("view", "all_of_them"),
    [("", False), ("live", True)],
    ids=["the overview, as it asks for them", "the log, all of them"],
)
def test_with_20_000_events_a_second_the_heap_does_not_grow(
    open_tab: Callable[..., Tab],
    start_api: Callable[..., ApiProcess],
    redis: Redis,
    workplace: Workplace,
    view: str,
    all_of_them: bool,
) -> None:
    tab = open_tab(start_api().url, reduced_motion="no-preference")
    tab.page.add_init_script(f"({WATCH})({json.dumps(all_of_them)})")
    page = tab.go(view)
    tab.page.locator(".side .pulse", has_text="Live").wait_for()
    eventually(lambda: redis.pubsub_numsub("buraq_events")[0][1] == 1)
    storm, devtools = Storm(redis), tab.context.new_cdp_session(page)
    storm.blow(WARM * STEP)

    held, began, first = [], drawn(page), page.evaluate("arrived")
    for _ in range(STEPS):
        arrived, gaps = page.evaluate("[arrived, gaps]")
        storm.blow(STEP)
        # On a machine that is too slow for it the API leaves some out, and says so.
        enough = f"arrived >= {arrived + STEP} || gaps > {gaps}"
        eventually(lambda enough=enough: page.evaluate(enough))
        held.append(heap(devtools))

    (frames, seconds), arrived = drawn(page), page.evaluate("arrived") - first
    print(f"{arrived:,} events, {(frames - began[0]) / (seconds - began[1]):.0f} frames a second, heap {held}")
    # Where many were left out, what is compiled meanwhile is no less.
    assert held[-1] - held[0] < LEFT * max(arrived, STEPS * STEP), held
    assert frames > began[0], "it draws all the while"
    places = page.evaluate("[...document.querySelectorAll('.rows-row')].map((row) => row.style.transform)")
    assert len(places) == len(set(places)), "no row of the log lies upon another"
    assert bool(places) is (view == "live")


def drawn(page: "Page") -> tuple[int, float]:
    """Return how many frames were drawn, and the time in seconds."""
    found: tuple[int, float] = page.evaluate("[drawn, performance.now() / 1000]")
    return found
