"""The charts: each of their points, and what they say of the whole, from the counters that the server keeps."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from redis import Redis

from tests.dashboard.browser import Tab
from tests.dashboard.figures import span, whole
from tests.dashboard.held import COUNTERS, Counts, Engraver, Numbers, added, nearest, now_ms, percentile
from tests.dashboard.views import View, show
from tests.servers import Server
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BASES = {"default": "buraq_tasks", "mail": "buraq_tasks:mail"}
MOST = {
    "default": {"enqueued": 9, "completed": 12, "retried": 9, "dead": 1},
    "mail": {"enqueued": 40, "completed": 17, "retried": 14, "dead": 8},
}
SHOWN = ("completed", "retried", "dead", "enqueued")
PARTS = ("completed", "failed", "dead")  # of a bar, from the bottom, as their colours are called
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
WIDE: Any = {"width": 2400, "height": 1200}  # a step of the day is some pixels wide

# Points at places of a chart, as a mouse does, and reads what is said of them; first what is said of the whole.
READ = """async (panel, places) => {
  const over = panel.querySelector(".u-over");
  const said = () => [...panel.querySelectorAll(".readout > span")].map((part) => part.textContent.trim());
  const { left, top, width, height } = over.getBoundingClientRect();
  const move = async (kind, place) => {
    const before = said().at(-1);
    const at = { clientX: Math.round(left + width * place), clientY: top + height / 2, bubbles: true };
    over.dispatchEvent(new MouseEvent(kind, at));
    for (let frame = 0; said().at(-1) === before && frame < 600; frame += 1) await new Promise(requestAnimationFrame);
    return said();
  };
  const points = [said()];
  for (const place of places) points.push(await move("mousemove", place));
  await move("mouseleave", 0);
  return { points, label: panel.querySelector(".plot").ariaLabel };
}"""
# Goes down in the middle of each bar, and notes from which pixel to which it has the colour of a part: from the bottom.
BARS = """(panel, [steps, names]) => {
  const canvas = panel.querySelector("canvas");
  const [box, from] = [panel.querySelector(".u-over"), canvas].map((part) => part.getBoundingClientRect());
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const probe = panel.appendChild(document.createElement("i"));
  const colours = names.map((name) => {
    probe.style.color = `var(--bar-${name})`;
    return getComputedStyle(probe).color.match(/\\d+/g).join();
  });
  probe.remove();
  const bars = Array.from({ length: steps }, (_, step) => {
    const x = Math.floor(box.left - from.left + (box.width * (step + 0.39)) / steps);
    const column = Array.from({ length: canvas.height }, (_, y) => {
      const at = 4 * (y * canvas.width + x);
      return pixels.data.slice(at, at + 3).join();
    });
    const bottom = Math.round(box.bottom - from.top);
    return colours.map((colour) =>
      column.includes(colour) ? [bottom - 1 - column.lastIndexOf(colour), bottom - column.indexOf(colour)] : null);
  });
  return { bars, height: box.height };
}"""


class Window(NamedTuple):
    name: str
    steps: int
    step_s: int
    bar: str

    def slots(self, counts: Counts, second: int) -> list[Numbers]:
        return counts.hour(second) if self.name == "hour" else counts.day(second)

    def times(self, second: int) -> list[str]:
        """Return when each step begins, as a clock on the wall shows it."""
        last = second // self.step_s
        began = [one * self.step_s for one in range(last - self.steps + 1, last + 1)]
        return [time.strftime("%H:%M", time.localtime(at)) for at in began]


HOUR, DAY = Window("hour", 60, 60, "a minute"), Window("day", 288, 300, "5 minutes")


def throughput(counts: Counts, window: Window, second: int, steps: list[int]) -> dict[str, Any]:
    slots = window.slots(counts, second)
    times = window.times(second)
    times[-1] += ", not full yet"

    def said(slot: Numbers, when: str) -> list[str]:
        return [*(f"{name.capitalize()} {whole(slot[COUNTERS[name]])}" for name in SHOWN), when]

    total = added(*slots)
    summed = ", ".join(f"{whole(total[COUNTERS[name]])} {name}" for name in SHOWN)
    return {
        "points": [said(total, f"a bar {window.bar}"), *(said(slots[step], times[step]) for step in steps)],
        "label": f"Tasks over the last {window.name}, a bar {window.bar}: {summed}.",
    }


def latency(counts: Counts, window: Window, second: int, steps: list[int], which: str) -> dict[str, Any]:
    slots, times = window.slots(counts, second), window.times(second)

    def said(slot: Numbers, when: str) -> list[str]:
        found = {name: percentile(slot, which, share) for name, share in SHARES.items()}
        return [*(f"{name} {'–' if ms is None else span(ms)}" for name, ms in found.items()), when]

    total = said(added(*slots), "log scale")
    return {
        "points": [total, *(said(slots[step], times[step]) for step in steps)],
        "label": f"{which.capitalize()} time over the last {window.name}: {', '.join(total[:-1])}.",
    }


def as_high_as(drawn: Any, counts: Counts, second: int) -> bool:
    """Whether each part of each bar goes from where it has to to where it has to, in pixels."""
    slots = counts.hour(second)
    parts = [[slot[COUNTERS[name]] for name in SHOWN[:3]] for slot in slots]
    most = max(*map(sum, parts), *(slot[COUNTERS["enqueued"]] for slot in slots[:-1]))
    pixel = drawn["height"] / (1.08 * most)
    for counted, bar in zip(parts, drawn["bars"], strict=True):
        below = 0
        for count, seen in zip(counted, bar, strict=True):
            ends = below * pixel, (below + count) * pixel
            below += count
            if count * pixel > 4 and (
                seen is None or any(abs(one - end) > 3 for one, end in zip(seen, ends, strict=True))
            ):
                return False
            if not count and seen is not None:
                return False
    return True


@pytest.mark.parametrize(
    ("address", "bases", "window"),
    [("", list(BASES.values()), HOUR), ("queues/mail?window=day", [BASES["mail"]], DAY)],
    ids=["all queues, the last hour", "one queue, the last day"],
)
def test_each_point_of_the_charts_is_what_the_server_counted(
    open_tab: Callable[..., Tab],
    start_api: Callable[..., ApiProcess],
    server: Server,
    redis: Redis,
    workplace: Workplace,
    address: str,
    bases: list[str],
    window: Window,
) -> None:
    for name, base in BASES.items():
        Engraver(redis, base).write(MOST[name])
    counts, began = Counts(server, *bases), int(now_ms(redis) // 1000)
    steps = list(range(window.steps - 1, -1, -max(1, window.steps // 60)))  # the last one, which is not full, and back
    page = show(open_tab(start_api().url, viewport=WIDE), View(address, "Throughput"))

    def read(title: str, places: list[float]) -> Any:
        panel = page.get_by_role("region", name=title)
        panel.locator(".u-over").wait_for()
        return panel.evaluate(READ, places)

    def seconds() -> range:
        return range(began - began % 60, int(now_ms(redis) // 1000) + 1, 60)

    def agrees(title: str, places: list[float], figures: Callable[[int], Any]) -> None:
        """Assert that a chart shows the figures of a second. While it is read a minute may end, and all of it move."""
        for tries_left in (2, 1, 0):
            shown = read(title, places)
            possible = [figures(second) for second in seconds()]
            if shown in possible or not tries_left:
                assert shown == nearest(shown, possible)
                return

    # Where a bar is, though the next is near.
    bars = [(step + 0.7) / window.steps for step in steps]
    agrees("Throughput", bars, lambda second: throughput(counts, window, second, steps))
    if window is HOUR:
        drawn = page.get_by_role("region", name="Throughput").evaluate(BARS, [window.steps, PARTS])
        assert any(as_high_as(drawn, counts, second) for second in seconds()), drawn

    for which in ("run", "wait"):
        page.get_by_role("button", name=which.capitalize(), exact=True).click()
        page.get_by_role("img", name=f"{which.capitalize()} time").wait_for()
        points = [step / (window.steps - 1) for step in steps]
        agrees("Latency", points, lambda second, which=which: latency(counts, window, second, steps, which))
