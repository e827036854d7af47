"""`buraq bench` finds the benchmarks of a checkout, names them, and hands over to the one that is asked for."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import buraq
from tests.cli.conftest import COMMAND, LIMIT, Done, Running, environment

NAMES = ["process", "enqueue", "latency", "sleepers", "backlog", "api", "scaling", "steps", "versions", "peers"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., Done]:
    """Run `buraq` from a copy of the package that has no benchmarks beside it."""
    shutil.copytree(Path(buraq.__file__).parent, tmp_path / "site/buraq", ignore=shutil.ignore_patterns("__pycache__"))

    def command(*arguments: str, cwd: Path) -> Done:
        env = {**environment(None, {}), "PYTHONPATH": str(tmp_path / "site")}
        begun = [COMMAND[0], "-P", *COMMAND[1:], *arguments]
        done = subprocess.run(begun, cwd=cwd, env=env, capture_output=True, text=True, timeout=LIMIT)
        return Done(done.returncode, done.stdout, done.stderr)

    return command


def test_without_a_name_it_lists_the_benchmarks_with_their_questions(run: Callable[..., Done]) -> None:
    done = run("bench")

    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == NAMES
    assert "no-op tasks a second" in done.out.splitlines()[0]


def test_the_list_comes_as_json_too(run: Callable[..., Done]) -> None:
    listed = run("bench", "--json").json()

    assert [*listed] == NAMES
    assert all(listed.values())


def test_a_benchmark_that_does_not_exist_is_code_2_and_those_that_do_are_named(run: Callable[..., Done]) -> None:
    done = run("bench", "speed")

    assert done.code == 2
    assert len(done.err.splitlines()) == 1
    assert [name for name in ("speed", *NAMES) if name not in done.err] == []


def test_what_follows_the_name_is_the_benchmarks_own(run: Callable[..., Done]) -> None:
    help, wrong = run("bench", "sleepers", "--help"), run("bench", "sleepers", "--runs", "some")

    assert (help.code, "How many one-second tasks" in help.out) == (0, True)
    assert (wrong.code, "--runs: invalid int value" in wrong.err) == (2, True)


def test_a_wrong_setting_is_code_2_and_named(run: Callable[..., Done]) -> None:
    done = run("bench", "sleepers", "--quick", MAX_RETRIES="many")

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("Error: MAX_RETRIES='many' cannot be used")


def test_outside_of_a_checkout_it_is_code_4_and_says_how_to_get_one(
    installed: Callable[..., Done], tmp_path: Path
) -> None:
    done = installed("bench", cwd=tmp_path)

    assert done.code == 4
    assert len(done.err.splitlines()) == 1
    assert "git clone" in done.err


def test_a_checkout_is_found_in_the_current_folder_too(installed: Callable[..., Done]) -> None:
    done = installed("bench", cwd=ROOT)

    assert done.code == 0, done.err
    assert "sleepers" in done.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_whatever_ends_it_ends_its_servers_and_workers(
    start: Callable[..., Running], eventually: Callable[..., Any], number: signal.Signals
) -> None:
    running = start("bench", "sleepers", "--tasks", "2", "--runs", "1000")

    def at_work() -> list[psutil.Process]:
        children = psutil.Process(running.process.pid).children(recursive=True)
        return children if len(children) > 1 else []  # a server, and a worker that waits for its start or works

    children = eventually(at_work, timeout=LIMIT)
    running.process.send_signal(number)

    assert running.wait() == 128 + number
    assert psutil.wait_procs(children, timeout=LIMIT)[1] == []
