"""The demo shows tasks that flow, and leaves no process and no file behind, however it ends."""

import http.client
import os
import re
import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import LIMIT, Done, Running
from tests.servers import PATIENCE, Server

pytestmark = pytest.mark.e2e

MARK = "BURAQ_TEST_DEMO"


class Traces:
    """What a demo may leave behind: files in a TMPDIR of its own, and processes that have its mark."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.env = {"TMPDIR": str(folder), MARK: self.mark}

    def processes(self) -> list[str]:
        found = []
        for process in psutil.process_iter():
            try:
                # A server writes its title over its environment, so it is told by its directory.
                ours = process.environ().get(MARK) == self.mark
                if ours or Path(process.cwd()).is_relative_to(self.folder):
                    found.append(f"{process.pid} {' '.join(process.cmdline())}")
            except (psutil.Error, OSError):
                continue
        return found

    def left(self) -> tuple[list[str], list[str]]:
        return self.processes(), sorted(os.listdir(self.folder))


@pytest.fixture
def traces() -> Iterator[Traces]:
    # Short, because the embedded server has a socket in it.
    with tempfile.TemporaryDirectory(prefix="d") as folder:
        yield Traces(Path(folder))


@pytest.fixture
def flowing(start: Callable[..., Running], traces: Traces, eventually: Callable[..., object]) -> Callable[..., Running]:
    """Start a demo and return when tasks flow."""

    def demo(*options: str, url: str | None = None, **settings: str) -> Running:
        def begin() -> Running:
            return start("demo", *options, url=url, **{"SHUTDOWN_TIMEOUT": "300ms", **traces.env, **settings})

        running = begin()

        def flows() -> bool:
            nonlocal running
            if running.process.poll() is not None and "the port is taken" in running.output:
                running = begin()  # another test's process took it between the demo's look and its worker's start
            assert running.process.poll() is None, running.output
            return re.search(r"completed [1-9]", running.output) is not None

        eventually(flows, timeout=LIMIT)
        return running

    return demo


def test_a_demo_of_some_seconds_runs_tasks_and_leaves_nothing(run: Callable[..., Done], traces: Traces) -> None:
    done = run("demo", "--seconds", "5", url=None, **traces.env)

    assert done.code == 0, done.err
    assert traces.left() == ([], [])
    summary = re.search(r"In all: completed (\d+)  failed (\d+)  dead (\d+)", done.out)
    assert summary, done.out
    assert int(summary[1]) > 0 and int(summary[2]) > 0
    # One a second, unless the machine stood still.
    assert 0 < len(re.findall(r"^ +\ds  completed", done.out, re.MULTILINE)) <= 5


def test_a_demo_says_where_to_look_and_is_there(flowing: Callable[..., Running], traces: Traces) -> None:
    demo = flowing()

    api = re.search(r"http://(127\.0\.0\.1:\d+)/api/health", demo.output)
    metrics = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", demo.output)
    assert api and metrics, demo.output
    answers = {}
    for address, path in ((api[1], "/api/health"), (metrics[1], "/metrics"), (api[1], "/")):
        connection = http.client.HTTPConnection(address, timeout=PATIENCE)
        connection.request("GET", path)
        response = connection.getresponse()
        answers[path] = response.read().decode()
        assert response.status == 200
        connection.close()
    assert '<div id="root">' in answers["/"]
    assert f"curl -N http://{api[1]}/api/stream" in demo.output


def test_one_ctrl_c_leaves_nothing(flowing: Callable[..., Running], traces: Traces) -> None:
    demo = flowing()

    demo.press_ctrl_c()

    assert demo.wait() == 0, demo.output
    assert traces.left() == ([], [])
    assert "In all: completed" in demo.output


def test_sigterm_leaves_nothing(flowing: Callable[..., Running], traces: Traces) -> None:
    demo = flowing()

    demo.process.terminate()

    assert demo.wait() == 0, demo.output
    assert traces.left() == ([], [])


def test_a_second_ctrl_c_hurries(
    flowing: Callable[..., Running], traces: Traces, eventually: Callable[..., object]
) -> None:
    demo = flowing(SHUTDOWN_TIMEOUT="300s", MOCK_TASK_INTERVAL="20ms")  # one that sleeps for 20 s is running by then
    began = time.monotonic()

    demo.press_ctrl_c()
    eventually(lambda: "Stopping" in demo.output)
    demo.press_ctrl_c()

    assert demo.wait() == 0, demo.output
    assert time.monotonic() - began < 60, "it does not wait for the task"
    assert traces.left() == ([], [])


def test_a_ctrl_c_before_all_is_up_leaves_nothing(
    start: Callable[..., Running], traces: Traces, eventually: Callable[..., object]
) -> None:
    demo = start("demo", url=None, **traces.env)
    eventually(lambda: len(traces.processes()) >= 4, every=0.005)

    demo.press_ctrl_c()

    assert demo.wait() == 0, demo.output
    assert traces.left() == ([], [])


def test_a_demo_that_is_killed_takes_all_its_parts_along(
    flowing: Callable[..., Running], traces: Traces, eventually: Callable[..., object]
) -> None:
    demo = flowing()

    demo.process.send_signal(signal.SIGKILL)

    eventually(lambda: traces.left() == ([], []))


def test_a_part_that_ends_ends_the_demo_with_code_1(
    flowing: Callable[..., Running], traces: Traces, eventually: Callable[..., object]
) -> None:
    demo = flowing()
    [api] = [child.pid for child in psutil.Process(demo.process.pid).children() if "api" in child.cmdline()]

    os.kill(api, signal.SIGKILL)

    assert demo.wait() == 1, demo.output
    assert "the API ended with status -9" in demo.output
    eventually(lambda: traces.processes() == [])


def test_a_server_that_is_given_is_used_and_left_running(
    run: Callable[..., Done], traces: Traces, fresh: Callable[..., Server]
) -> None:
    server = fresh(Server)  # without users: the demo's names are its own, and the rules are for the usual ones
    done = run("demo", "--seconds", "2", "--no-api", url=server.url, **traces.env)

    assert done.code == 0, done.err
    assert server.url in done.out
    assert "/api/" not in done.out
    assert server.client().exists("buraq_demo:queues")
    assert traces.left() == ([], [])


def test_a_server_that_is_away_is_code_3(run: Callable[..., Done], traces: Traces) -> None:
    done = run("demo", url="redis://127.0.0.1:1/0", **traces.env)

    assert done.code == 3
    assert "cannot reach Redis" in done.err
    assert traces.left() == ([], [])


def test_taken_ports_move(flowing: Callable[..., Running], traces: Traces) -> None:
    first = flowing()
    second = flowing()

    def places(demo: Running) -> set[str]:
        return set(re.findall(r"http://127\.0\.0\.1:(\d+)/(?:metrics|api/health)", demo.output))

    assert len(places(first) | places(second)) == 4


def test_a_port_chosen_by_hand_and_taken_is_code_2(run: Callable[..., Done], traces: Traces, server: Server) -> None:
    done = run("demo", url=None, API_PORT=f"127.0.0.1:{server.port}", **traces.env)

    assert done.code == 2
    assert f"API_PORT='127.0.0.1:{server.port}' cannot be used" in done.err
    assert traces.left() == ([], [])


def test_demos_that_start_at_the_same_moment_do_not_fight_for_ports(
    start: Callable[..., Running], traces: Traces, eventually: Callable[..., object]
) -> None:
    demos = [start("demo", url=None, SHUTDOWN_TIMEOUT="300ms", **traces.env) for _ in range(2)]

    eventually(lambda: all(re.search(r"completed [1-9]", demo.output) for demo in demos), timeout=LIMIT)

    ports = [re.findall(r"http://127\.0\.0\.1:(\d+)/(?:metrics|api/health)", demo.output) for demo in demos]
    assert len({port for pair in ports for port in pair}) == 4
