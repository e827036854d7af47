"""The documentation's code runs as it stands, and the README's program does what the README says."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.pages import EXAMPLES, PAGES, ROOT, blocks
from tests.servers import PATIENCE, Server, eventually

pytestmark = pytest.mark.e2e

# Runs the blocks of a page one after the other, as if they were one program, and names the page's lines in a traceback.
DRIVER = """
import json, subprocess, sys

names = {"__name__": "__main__"}
for page, line, language, text in json.load(sys.stdin):
    if language == "python":
        exec(compile("\\n" * (line - 1) + text, page, "exec"), names)
    else:
        subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True, stdin=subprocess.DEVNULL)
"""

RUNNING = [page for page in PAGES if EXAMPLES not in page.parents and any(block.runs for block in blocks(page))]


@pytest.fixture
def env(server: Server, redis: Redis, tmp_path: Path) -> dict[str, str]:
    """What a user's shell would have set, with ports that nobody uses."""
    plain = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "BURAQ_TEST_RUN") if name in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    python_path = f"{tmp_path}:{ROOT}"
    return {**plain, "PATH": path, "PYTHONPATH": python_path, "REDIS_URL": server.url, "METRICS_PORT": "127.0.0.1:0"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the files that the pages tell their readers to write."""
    for page in PAGES:
        for block in blocks(page):
            if block.file:
                (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_code_of_a_page_runs(page: Path, here: Path, env: dict[str, str], server: Server) -> None:
    if page.name == "building-from-scratch.md":  # what it builds has keys of its own, which no rule of ours is for
        env["REDIS_URL"] = server.own_url
    code = [
        (str(page.relative_to(ROOT)), block.line, block.language, block.text)
        for block in blocks(page)
        if block.runs and not block.file
    ]
    command = [sys.executable, "-W", "error", "-c", DRIVER]
    done = subprocess.run(
        command, input=json.dumps(code), cwd=here, env=env, capture_output=True, text=True, timeout=5 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def start(here: Path, env: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command as the README shows it. What still runs in the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*command: str) -> subprocess.Popen[str]:
        with (here / "log").open("a") as log:
            started.append(
                subprocess.Popen(
                    command, cwd=here, env=env, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
                )
            )
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_the_readmes_program_gets_its_result_from_the_readmes_worker(
    start: Callable[..., subprocess.Popen[str]], here: Path, redis: Redis
) -> None:
    text = (ROOT / "README.md").read_text()
    assert "\nburaq worker tasks:queue\npython tasks.py\n" in text

    worker = start("buraq", "worker", "tasks:queue")
    eventually(lambda: "consuming" in (here / "log").read_text() or None)
    output, _ = start("python", "tasks.py").communicate(timeout=2 * PATIENCE)

    assert output.strip().endswith("hello Ada, hello Ada"), (here / "log").read_text()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert redis.xlen("buraq_tasks") == 0


def test_a_burst_works_off_what_the_readmes_program_enqueues(
    start: Callable[..., subprocess.Popen[str]], here: Path, redis: Redis
) -> None:
    task_id = start("buraq", "enqueue", "greet", '{"name": "Ada"}').communicate(timeout=2 * PATIENCE)[0].strip()
    assert redis.xlen("buraq_tasks") == 1

    worker = start("buraq", "worker", "tasks:queue", "--burst")

    assert worker.wait(2 * PATIENCE) == 0, (here / "log").read_text()
    assert redis.get(f"buraq_tasks:result:{task_id}") == '"hello Ada"'
    assert redis.xlen("buraq_tasks") == 0
