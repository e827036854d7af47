"""The arbiter answers probes while a task holds each of its worker processes, and leaves the port alone else."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ujson

from buraq.config import Config
from buraq.worker import deputy as module
from buraq.worker.board import Board, Row
from buraq.worker.deputy import Deputy
from buraq.worker.probes import Probes
from tests.pages import ROOT


class Door:
    """The metrics port of a group, as its arbiter has it."""

    def __init__(self) -> None:
        self.board = Board()
        self.deputy = Deputy(self.board, Probes(self.board, Config(), counting=False))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self._clients: list[socket.socket] = []

    def process(self, pid: int, blocked: float = 0.0, looked_ago: float = 0.0, reachable: bool = True) -> Row:
        """Add a process whose hub has not turned for so long."""
        row = self.board.free_row()
        row.claim(pid, f"w{pid}")
        row.held(time.monotonic() + 10.0, reachable)
        row.watched(time.monotonic() - looked_ago, blocked, "resize", 0.0, "")
        return row

    def knock(self, request: str = "") -> socket.socket:
        """Connect, and ask for something."""
        client = socket.create_connection(self._listener.getsockname(), timeout=30)
        self._clients.append(client)
        client.sendall(request.encode())
        return client

    def step(self) -> int:
        return self.deputy.step([self._listener])

    def close(self) -> None:
        for one in (*self._clients, self._listener):
            one.close()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """A port whose arbiter has time, and takes nobody for held because the machine stood still for a second."""
    monkeypatch.setattr(module, "_TURN", 30.0)
    monkeypatch.setattr(module, "_SILENT_AFTER", 15.0)
    monkeypatch.setattr(module, "SILENT_AFTER", 60.0)  # as much longer as it is
    door = Door()
    yield door
    door.close()


def get(path: str, method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n"


def answer(client: socket.socket) -> tuple[str, bytes]:
    """Read an answer to its end; return its first line and its body."""
    data = b""
    while part := client.recv(65536):
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode().splitlines()[0], body


def test_a_thread_that_waits_for_the_server_is_held_by_no_task(door: Door) -> None:
    door.process(7, looked_ago=20, reachable=False)
    door.knock(get("/metrics"))

    assert door.step() == 0


def test_a_probe_is_told_which_task_holds_the_only_process(door: Door) -> None:
    door.process(7, blocked=14)
    ready, live = door.knock(get("/readyz?verbose")), door.knock(get("/livez"))

    assert door.step() == 2

    first, body = answer(ready)
    assert first == "HTTP/1.1 503 Service Unavailable"
    problem = "process 7: a task of type resize has let nothing else run for 14 s"
    assert ujson.loads(body) == {"status": "failing", "problems": [problem]}
    first, body = answer(live)
    assert (first, ujson.loads(body)) == ("HTTP/1.1 200 OK", {"status": "ok", "problems": []})


def test_a_process_whose_lease_thread_cannot_run_either_is_answered_for(door: Door) -> None:
    door.process(7, looked_ago=20)
    client = door.knock(get("/livez"))

    assert door.step() == 1
    assert ujson.loads(answer(client)[1])["problems"] == ["process 7: the lease loop has not moved for 20 s"]


def test_while_one_process_turns_its_own_answer_is_waited_for(door: Door) -> None:
    door.process(1, blocked=14)
    door.process(2)
    client = door.knock(get("/livez"))

    assert door.step() == 0
    client.settimeout(0.0)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_while_no_process_has_started_nobody_is_answered_for(door: Door) -> None:
    door.knock(get("/livez"))

    assert not door.deputy.needed
    assert door.step() == 0


COUNTED = """
from buraq.metrics import TaskMetrics
counting = TaskMetrics(known=["mail"])
counting.completed("mail", 0.02, 0.001)
counting.redis_up(True)
counting.flush()
"""


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the figures, with what a process that has ended has counted."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    subprocess.run([sys.executable, "-c", COUNTED], check=True, cwd=ROOT, timeout=120)
    return tmp_path


def test_a_scraper_gets_the_figures_that_the_processes_share(door: Door, figures: Path) -> None:
    door.process(7, blocked=2)
    client = door.knock(get("/metrics"))

    assert door.step() == 1

    first, body = answer(client)
    assert first == "HTTP/1.1 200 OK"
    assert b'buraq_tasks_processed_total{status="success",task_type="mail"} 1.0' in body
    assert b"buraq_redis_up 1.0" in body


def test_figures_that_cannot_be_read_do_not_end_the_parent(door: Door, figures: Path) -> None:
    (figures / "counter_1.db").write_bytes(b"\xff\xff\xff\x7f")
    (figures / "gauge_1.db").write_bytes(b"")
    door.process(7, blocked=2)
    client = door.knock(get("/metrics"))

    assert door.step() == 1
    assert client.recv(1) == b""


def test_another_path_is_not_found(door: Door) -> None:
    door.process(7, blocked=2)
    client = door.knock(get("/"))

    assert door.step() == 1
    assert answer(client)[0] == "HTTP/1.1 404 Not Found"


def test_a_head_request_gets_no_body(door: Door) -> None:
    door.process(7, blocked=2)
    client = door.knock(get("/livez", "HEAD"))

    assert door.step() == 1
    assert answer(client) == ("HTTP/1.1 200 OK", b"")


def test_who_says_nothing_or_has_gone_holds_up_nobody(door: Door) -> None:
    door.process(7, blocked=2)
    door.knock()
    door.knock().close()
    client = door.knock(get("/livez"))

    assert door.step() == 3
    assert answer(client)[0] == "HTTP/1.1 200 OK"


def test_many_who_say_nothing_do_not_keep_the_arbiter_from_its_children(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TURN", 0.5)
    door.process(7, blocked=2)
    for _ in range(20):
        door.knock()

    assert 0 < door.step() < 10
