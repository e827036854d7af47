"""The page over a cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clusters import Cluster
from tests.dashboard.browser import PHONE, Tab
from tests.dashboard.views import View, show
from tests.web.clients import ApiProcess

SYSTEM = View("system", "masters with shards")

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

# `fresh` comes first in each test: what comes first ends last, and a page would say of a cluster that it is away.


def test_the_system_view_has_a_row_for_each_master_of_a_cluster(
    fresh: Callable[..., Any], open_tab: Callable[..., Tab], start_api: Callable[..., ApiProcess]
) -> None:
    cluster: Cluster = fresh(Cluster, replicas=0, aof=False, kind="valkey")
    api = start_api(**cluster.settings("api"))
    tab = open_tab(api.url)

    page = show(tab, SYSTEM)

    rows = page.get_by_role("region", name="Cluster").locator("tbody tr").all_inner_texts()
    shown = [row.split("\t")[:3] for row in rows]
    assert sorted(address.strip() for address, _, _ in shown) == sorted(cluster.addresses)
    assert sorted(int(shards) for _, _, shards in shown) == [5, 5, 6]
    assert {version.split()[0] for _, version, _ in shown} == {"Valkey"}
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
