"""What the metrics port answers for the whole group, whichever process is asked."""

import time
from typing import Any

import pytest
import ujson

from buraq.config import Config
from buraq.worker.board import Board, Row
from buraq.worker.probes import BLOCKED_AFTER, SILENT_AFTER, Probes


class Port:
    """The metrics port of a group of processes."""

    def __init__(self, **settings: Any) -> None:
        self.board = Board()
        self._app = Probes(self.board, Config(**settings))

    def process(self, pid: int, *, valid: bool = True, reachable: bool = True) -> Row:
        """Add a process that consumes, or one that does not."""
        row = self.board.free_row()
        row.claim(pid, f"w{pid}")
        row.held(time.monotonic() + 10.0 if valid else 0.0, reachable)
        return row

    def get(self, path: str) -> tuple[str, dict[str, str], bytes]:
        said: list[tuple[str, list[tuple[str, str]]]] = []
        body = b"".join(self._app({"PATH_INFO": path}, lambda status, headers: said.append((status, headers))))
        [(status, headers)] = said
        assert dict(headers)["Content-Length"] == str(len(body))
        return status, dict(headers), body

    def says(self, path: str) -> tuple[int, list[str]]:
        status, headers, body = self.get(path)
        assert headers["Content-Type"] == "application/json"
        answer = ujson.loads(body)
        assert answer["status"] == ("failing" if answer["problems"] else "ok")
        return int(status[:3]), answer["problems"]


def stuck(row: Row, loop: str, seconds: float) -> None:
    row.watched(time.monotonic(), 0.0, "", seconds, loop)


def blocked(row: Row, task_type: str, seconds: float) -> None:
    row.watched(time.monotonic(), seconds, task_type, 0.0, "")


def test_a_group_that_consumes_is_alive_and_ready() -> None:
    port = Port()
    port.process(1)
    port.process(2)

    assert port.says("/livez") == (200, [])
    assert port.says("/readyz") == (200, [])


def test_a_group_without_a_process_is_not_ready_and_yet_alive() -> None:
    port = Port()

    assert port.says("/livez") == (200, [])
    assert port.says("/readyz") == (503, ["no worker process has started"])


@pytest.mark.parametrize("loop", ["fetch", "settle", "promote", "reclaim", "control"])
def test_a_loop_that_stands_still_makes_the_group_unhealthy_and_is_named(loop: str) -> None:
    port = Port()
    port.process(1)
    stuck(port.process(2), loop, 25)

    code, problems = port.says("/livez")

    assert code == 503
    assert problems == [f"process 2: the {loop} loop has not moved for 25 s"]
    assert port.says("/readyz") == (503, problems)


def test_a_lease_thread_that_does_not_look_is_named_within_ten_seconds() -> None:
    port = Port()
    row = port.process(1)
    row.watched(time.monotonic() - SILENT_AFTER + 1, 0.0, "", 0.0, "")
    assert port.says("/livez") == (200, [])

    row.watched(time.monotonic() - SILENT_AFTER - 0.5, 0.0, "", 0.0, "")

    assert port.says("/livez") == (503, ["process 1: the lease loop has not moved for 10 s"])


def test_a_blocked_hub_is_not_ready_after_ten_seconds_and_no_reason_to_kill_before_max_blocked() -> None:
    port = Port(max_blocked=60.0)
    row = port.process(1)
    port.process(2)

    blocked(row, "resize", BLOCKED_AFTER)
    assert port.says("/readyz") == (200, [])

    blocked(row, "resize", 14)
    assert port.says("/livez") == (200, [])
    problem = "process 1: a task of type resize has let nothing else run for 14 s"
    assert port.says("/readyz") == (503, [problem])

    blocked(row, "none", 61)
    problem = "process 1: something that is no task has let nothing else run for 61 s"
    assert port.says("/livez") == (503, [problem])
    assert port.says("/readyz") == (503, [problem])


def test_a_loop_of_a_process_that_stops_may_stand_still() -> None:
    port = Port()
    port.process(1)
    leaving = port.process(2)
    leaving.retire()
    stuck(leaving, "fetch", 25)

    assert port.says("/livez") == (200, [])
    assert port.says("/readyz") == (200, [])


def test_redis_being_away_makes_nobody_unhealthy_and_the_group_not_ready() -> None:
    port = Port()
    port.process(1, valid=False, reachable=False)

    assert port.says("/livez") == (200, [])
    code, problems = port.says("/readyz")
    assert code == 503
    assert "Redis" in problems[0]


def test_one_process_that_consumes_makes_the_group_ready() -> None:
    port = Port()
    port.process(1, valid=False)
    port.process(2)

    assert port.says("/readyz") == (200, [])


def test_a_group_in_which_all_stop_is_not_ready() -> None:
    port = Port()
    port.process(1).retire()

    assert port.says("/readyz") == (503, ["process 1: stopping"])


def test_metrics_are_prometheus_text() -> None:
    status, headers, body = Port().get("/metrics")

    assert status == "200 OK"
    assert headers["Content-Type"].startswith("text/plain")
    assert b"# HELP" in body


@pytest.mark.parametrize("path", ["/", "", "/health", "/livez/"])
def test_another_path_is_not_found_and_the_answer_says_which_are(path: str) -> None:
    status, _, body = Port().get(path)

    assert status == "404 Not Found"
    assert "/livez" in ujson.loads(body)["error"]
