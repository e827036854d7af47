"""On a terminal, commands ask before they do much, show how far they are, and use bold type unless told not to."""

import io
import os
import pty
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from redis import Redis

from tests.cli.conftest import COMMAND, LIMIT, environment
from tests.servers import Server


@pytest.fixture
def on_terminal(server: Server, redis: Redis, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run `buraq` on a terminal of its own, type `typed`, and return its exit code and what the terminal showed."""

    def command(*arguments: str, typed: str = "", settings: Mapping[str, str] = {"TERM": "xterm"}) -> tuple[int, str]:
        ours, number = pty.openpty()
        theirs = io.FileIO(number, "r+")  # gevent puts off what os.close closes, and the end would never be seen
        env = environment(server.url, settings)
        process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=tmp_path, env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        theirs.close()
        os.write(ours, typed.encode())
        shown = b""
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:  # what Linux says at the end of a terminal
            pass
        finally:
            os.close(ours)
        return process.wait(LIMIT), shown.decode()

    return command


@pytest.mark.parametrize("command", ["replay", "purge"])
def test_a_no_changes_nothing(
    on_terminal: Callable[..., tuple[int, str]], bury: Callable[..., str], redis: Redis, command: str
) -> None:
    bury("t1")

    code, shown = on_terminal("dlq", command, "--all", typed="n\n")

    assert code == 1
    assert "1 dead letter" in shown and "[y/N]" in shown
    assert redis.xlen("buraq_tasks_dlq") == 1


@pytest.mark.parametrize("command", ["replay", "purge"])
def test_a_yes_goes_on_and_a_long_way_shows_a_bar(
    on_terminal: Callable[..., tuple[int, str]], bury: Callable[..., str], redis: Redis, command: str
) -> None:
    for number in range(600):
        bury(f"t{number}")

    code, shown = on_terminal("dlq", command, "--all", typed="y\n")

    assert code == 0
    assert "100%" in shown
    assert "600 dead letters." in shown
    assert redis.xlen("buraq_tasks_dlq") == 0


def test_no_color_is_respected(on_terminal: Callable[..., tuple[int, str]], bury: Callable[..., str]) -> None:
    bury("t1")

    _, plain = on_terminal("dlq", "list", settings={"TERM": "xterm", "NO_COLOR": "1"})
    _, bold = on_terminal("dlq", "list")

    assert "\x1b[1m" in bold
    assert "\x1b" not in plain


def test_a_table_is_cut_to_the_terminals_width(
    on_terminal: Callable[..., tuple[int, str]], bury: Callable[..., str]
) -> None:
    bury("t1", type="long" * 50)

    _, shown = on_terminal("dlq", "list", settings={"COLUMNS": "60", "TERM": "xterm", "NO_COLOR": "1"})

    assert max(len(line) for line in shown.splitlines()) == 60
