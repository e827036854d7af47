"""The real command, run as a user would run it, and dead letters to work with."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from buraq.config import SETTINGS
from tests.security.rules import USERS
from tests.servers import PATIENCE, Server

COMMAND = [sys.executable, "-m", "buraq"]
LIMIT = 120.0  # seconds that no command here may take


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


def environment(url: str | None, settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without any setting of Buraq's but these."""
    known = {variable for setting in SETTINGS for variable in setting.variables}
    kept = {name: value for name, value in os.environ.items() if name not in known and not name.startswith("BURAQ_APP")}
    return {**kept, **({"REDIS_URL": url} if url else {}), **settings}


@pytest.fixture
def run(server: Server, redis: Redis, tmp_path: Path) -> Callable[..., Done]:
    """Run `buraq` to its end in an empty folder, on the session's server: `run("status", LOG_LEVEL="debug")`."""

    def command(*arguments: str, input: str = "", url: str | None = server.url, **settings: str) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment(url, settings),
            input=input,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert "\nTraceback" not in f"\n{done.stderr}", done.stderr  # that of a user's module is shown indented
        return Done(done.returncode, done.stdout, done.stderr)

    return command


class Running:
    """A command that runs; what it writes goes to a file, so that it never waits for its reader."""

    def __init__(self, arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> None:
        self._out = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # closed by close()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        """All that it and its children wrote so far."""
        size = os.fstat(self._out.fileno()).st_size
        return os.pread(self._out.fileno(), size, 0).decode()

    def press_ctrl_c(self) -> None:
        """Send SIGINT as a terminal does, to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, timeout: float = LIMIT) -> int:
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it still ran after {timeout:g} s:\n{self.output}")

    def close(self) -> None:
        """End it, if it runs: with mercy, and then without."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._out.close()


@pytest.fixture
def start(server: Server, redis: Redis, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start `buraq` and leave it running: `start("worker", "tasks")`; what still runs in the end is ended.

    To the server a worker is the worker's user, and the API the API's.
    """
    running: list[Running] = []

    def command(*arguments: str, url: str | None = "", **settings: str) -> Running:
        where = (server.url_of(arguments[0]) if arguments[0] in USERS else server.url) if url == "" else url
        running.append(Running(arguments, tmp_path, environment(where, settings)))
        return running[-1]

    yield command
    for one in running:
        one.close()


@pytest.fixture
def bury(redis: Redis) -> Callable[..., str]:
    """Put a dead letter there as the worker does: `bury("t1", type="mail")`; returns its entry id."""

    def letter(task_id: str, queue: str = "", reason: str = "exhausted", raw: str | None = None, **members: Any) -> str:
        base = f"buraq_tasks:{queue}" if queue else "buraq_tasks"
        task = {"id": task_id, "type": "mail", "payload": {"user_id": 1}, "max_retries": 1, "current_retries": 1}
        fields = {
            "payload": json.dumps({**task, **members}) if raw is None else raw,
            "reason": reason,
            "died_at": "1763740000000",
            "error": "ValueError: no such user",
            "traceback": "Traceback …\nValueError: no such user",
        }
        entry = str(redis.xadd(f"{base}_dlq", fields))
        if raw is None:
            redis.hset(f"{base}:index", task_id, f"d{entry}")
        redis.sadd("buraq_tasks:queues", queue or "default")
        return entry

    return letter


@pytest.fixture
def module(tmp_path: Path) -> Callable[..., Path]:
    """Write a module into the folder that commands run in: `module("tasks", "…")`."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        return path

    return write
