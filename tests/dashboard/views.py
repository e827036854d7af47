"""Every view of the page, and what shows that it has come to be there."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from redis import Redis

from tests.dashboard.browser import Tab

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


class View(NamedTuple):
    address: str
    sign: str  # a text in it that the others do not have


def views(redis: Redis) -> list[View]:
    """Return the views of what the fixture `workplace` has made; of lists that look the same, one."""
    letter, _ = redis.xrange("buraq_tasks_dlq", count=1)[0]
    return [
        View("", "Tasks on their way"),
        View("queues", "Drained in"),
        View("queues/default", "High"),
        View("tasks?state=waiting", "later-3"),
        View("tasks?state=completed", "charge-1"),
        View("tasks?state=failed", "charge-2"),
        View("tasks/charge-5?queue=default", "Attempt 1 running"),
        View("tasks/nobody", "No queue and no history knows this task"),
        View("dead-letters", "By type and error"),
        View(f"dead-letters/default:{letter}", "the bank does not answer"),
        View("workers", "Hub lag"),
        View("workers/w~00000001", "Running here"),
        View("live", "Pending"),
        View("system", "Round trip"),
        View("system?tab=settings", "REDIS_URL"),
        View("system?tab=audit", "Nobody has done anything"),
        View("nowhere", "There is no such page"),
    ]


def show(tab: Tab, view: View, state: Literal["visible", "attached"] = "visible") -> "Page":
    """Open a view, and wait until it is there; where its sign may be hidden, `attached`."""
    page = tab.go(view.address)
    main = page.locator("#content")
    # Not by `expect`, which looks again after half a second: there are many views.
    main.get_by_text(view.sign).or_(main.get_by_label(view.sign)).first.wait_for(state=state)
    main.locator(".bone").first.wait_for(state="detached")
    return page


def column(page: "Page", title: str) -> "Locator":
    """Return a column of the overview."""
    return page.locator(".flow-column", has=page.get_by_role("heading", name=title))


def card(page: "Page", title: str, task_id: str) -> "Locator":
    """Return the card of a task in a column of the overview."""
    return column(page, title).locator(f'[data-card="{task_id}"]')


PACES = """(edges) => Object.fromEntries(edges.map(
  (edge) => [edge.dataset.id, Number(edge.querySelector(".wire-pulse")?.classList[1].slice(5) ?? 0)]))"""


def paces(page: "Page", of: str) -> dict[str, int]:
    """Return how fast the wires of the worker map pulse whose ids match: 0, which is not at all, to 5."""
    wires = page.locator(f".react-flow__edge[data-id{of}]")
    wires.first.wait_for(state="attached")
    found: dict[str, int] = wires.evaluate_all(PACES)
    return found


def figure(page: "Page", label: str) -> str:
    """Return a figure of the strip, to the last digit."""
    cell = page.locator(".strip a", has=page.get_by_text(label, exact=True))
    return cell.get_attribute("title") or ""
