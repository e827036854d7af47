"""The page over a cluster."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from buraq import Buraq
from buraq.config import Config
from tests.clusters import Cluster
from tests.dashboard.browser import PHONE, Tab
from tests.dashboard.figures import age, bytes_, whole
from tests.dashboard.held import SLACK, between
from tests.dashboard.views import View, show
from tests.web.clients import ApiProcess

if TYPE_CHECKING:
    from playwright.sync_api import Route

SYSTEM = View("system", "masters with shards")

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

# `fresh` comes first in each test: what comes first ends last, and a page would say of a cluster that it is away.


ROWS = """() => Object.fromEntries([...document.querySelectorAll('[aria-label="Cluster"] tbody tr')].map((row) => {
  const [address, ...others] = [...row.cells].map((cell) => cell.textContent);
  return [address, others];
}))"""


def test_the_system_view_has_a_row_for_each_master_of_a_cluster_with_what_it_says_of_itself(
    fresh: Callable[..., Any], open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess]
) -> None:
    cluster: Cluster = fresh(Cluster, replicas=0, aof=False, kind="valkey")
    app = Buraq(Config.from_env(cluster.settings("producer", ENQUEUE_TIMEOUT="30s")))
    for number in range(300):  # with these ids some lie on each shard
        app.enqueue("charge", {}, id=f"charge-{number}")
    api, asked = start_api(**cluster.settings("api")), []
    tab = open_tab(api.url)

    def look() -> dict[str, dict[str, Any]]:
        return {f"127.0.0.1:{node.port}": node.ask("INFO") for node in cluster.nodes}

    def bracket(route: "Route") -> None:
        """Ask the masters right before the API does, and right after."""
        before, answer = look(), route.fetch()
        asked.append((before, look()))
        route.fulfill(response=answer)

    tab.page.route("**/api/v1/system", bracket)
    page = show(tab, SYSTEM)
    shown = page.evaluate(ROWS)

    assert shown.keys() == set(cluster.addresses)
    assert page.get_by_text(f"{len(cluster.nodes)} masters with shards").is_visible()
    held = {f"127.0.0.1:{node.port}": {key.split("}")[0] for key in node.ask("KEYS *")} for node in cluster.nodes}
    assert sum(map(len, held.values())) == 16
    for address, row in shown.items():
        before, after = (one[address] for one in asked[-1])
        version, shards, replicas, memory, when_full, on_disk, _, connections, round_trip, up = row
        assert version == f"Valkey {after['valkey_version']}"
        assert shards == str(len(held[address]))
        assert memory in {
            f"{bytes_(used)}, peak {bytes_(peak)}"
            for used in between(before, after, "used_memory", SLACK)
            for peak in between(before, after, "used_memory_peak", SLACK)
        }
        assert (replicas, when_full, on_disk) == ("0", "noeviction", "no append-only file")
        # One of them is the test's own, which asks, and is gone when the API does, or nearly so.
        assert connections in {whole(n - own) for n in between(before, after, "connected_clients") for own in (0, 1)}
        assert float(round_trip.removesuffix(" ms")) > 0
        assert up in {age(1000 * n) for n in between(before, after, "uptime_in_seconds")}
    assert page.get_by_role("region", name="API process").is_visible()


def test_the_table_of_masters_is_for_everybody_and_for_a_phone(
    fresh: Callable[..., Any], open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess]
) -> None:
    # None of them writes an append-only file, so there are warnings too.
    api = start_api(**fresh(Cluster, replicas=0, aof=False, kind="valkey").settings("api"))

    for options in ({"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": PHONE}):
        tab = open_tab(api.url, **options)
        page = show(tab, SYSTEM)
        assert page.get_by_role("region", name="Cluster").get_by_role("row").count() == 4, "its head, and each master"
        assert tab.barriers() == [], options
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), options
