"""Which view answers which operation of the contract, and who may ask for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from flask import Response

from buraq.web import contract
from buraq.web.v1 import changes, figures, letters, many, queues, system, tasks, who, workers
from buraq.web.v1.call import Call

READ, CHANGE, OPEN = "read", "change", "open"  # open: everybody, while Redis is away too


class View(NamedTuple):
    """A view, and what one must be allowed to have it."""

    run: Callable[[Call], Response]
    needs: str = READ


@dataclass(frozen=True)
class Route:
    """A path of the contract, and its views by method."""

    path: str
    views: dict[str, View]

    @property
    def endpoint(self) -> str:
        """Its name in Flask."""
        return "v1" + re.sub(r"\W+", "_", self.path.removeprefix("/api")).rstrip("_")

    @property
    def rule(self) -> str:
        """Its path as Flask writes it. What is variable may hold a slash."""
        return re.sub(r"\{(\w+)\}", r"<path:\1>", self.path)

    @property
    def methods(self) -> list[str]:
        """The methods that it takes."""
        return methods_for(self.views)

    def operation(self, method: str) -> dict[str, object]:
        """Return what the contract says of a method."""
        return contract.operations()[method, self.path]


def methods_for(views: Iterable[str]) -> list[str]:
    """Return the methods that a path takes which has views for these."""
    found = list(views)
    return [*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"]


def _reads(path: str, run: Callable[[Call], Response]) -> Route:
    return Route(path, {"GET": View(run)})


def _changes(path: str, run: Callable[[Call], Response]) -> Route:
    return Route(path, {"POST": View(run, CHANGE)})


ROUTES = (
    _reads("/api/v1/overview", queues.get_overview),
    _reads("/api/v1/queues", queues.list_queues),
    _reads("/api/v1/queues/{queue}", queues.get_queue),
    _changes("/api/v1/queues/{queue}/pause", queues.pause_queue),
    _changes("/api/v1/queues/{queue}/resume", queues.resume_queue),
    Route("/api/v1/tasks", {"GET": View(tasks.list_tasks), "POST": View(changes.enqueue_task, CHANGE)}),
    _reads("/api/v1/tasks/{id}", tasks.get_task),
    _changes("/api/v1/tasks/{id}/cancel", changes.cancel_task),
    _reads("/api/v1/task-types", tasks.list_types),
    _reads("/api/v1/dead-letters", letters.list_letters),
    _reads("/api/v1/dead-letters/groups", letters.list_groups),
    _reads("/api/v1/dead-letters/export", letters.export),
    _changes("/api/v1/dead-letters/replay", many.replay_letters),
    _changes("/api/v1/dead-letters/delete", many.delete_letters),
    Route(
        "/api/v1/dead-letters/{id}",
        {"GET": View(letters.get_letter), "DELETE": View(changes.delete_letter, CHANGE)},
    ),
    _changes("/api/v1/dead-letters/{id}/replay", changes.replay_letter),
    _reads("/api/v1/operations", many.list_operations),
    _reads("/api/v1/operations/{id}", many.get_operation),
    _changes("/api/v1/operations/{id}/stop", many.stop_operation),
    _reads("/api/v1/workers", workers.list_workers),
    _reads("/api/v1/workers/{id}", workers.get_worker),
    _reads("/api/v1/statistics", figures.get_statistics),
    Route(
        "/api/v1/session",
        {"GET": View(who.get_session, OPEN), "POST": View(who.sign_in, OPEN), "DELETE": View(who.sign_out, OPEN)},
    ),
    _reads("/api/v1/audit", who.list_audit),
    _reads("/api/v1/system", system.get_system),
    Route("/api/openapi.json", {"GET": View(system.get_openapi, OPEN)}),
)
BY_ENDPOINT = {route.endpoint: route for route in ROUTES}
