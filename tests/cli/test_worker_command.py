"""`buraq worker` runs what it was pointed at, drains when told to, and starts again on a change."""

import json
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis

from buraq import Buraq
from tests.cli.conftest import LIMIT, Done, Running, environment
from tests.servers import Server

pytestmark = pytest.mark.e2e

TASKS = """
import os
from buraq import Buraq
queue = Buraq()

@queue.task
def note(text: str) -> None:
    line = f"{text} {os.environ['REDIS_URL'].split(':')[0]}"
    queue.backend.server.client().xadd("buraq_tasks:noted", {"line": line})  # where the worker's user may write
"""

ASKING = (
    TASKS
    + """
import subprocess, sys

ASK = "import signal; print([s.name for s in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(s) == signal.SIG_IGN])"

@queue.task
def ask() -> None:
    note(subprocess.check_output([sys.executable, "-c", ASK], text=True).strip())
"""
)

# The second process fails when it has been told to stop, because the first one has.
BROKEN_TWICE = """
import os, signal, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
try:
    os.symlink("here", "first")
except FileExistsError:
    while not told:
        time.sleep(0.01)
1 / 0
"""


@pytest.fixture
def tasks(module: Callable[..., Path]) -> Path:
    return module("tasks", TASKS)


def noted(redis: Redis) -> list[str]:
    return [line.split()[0] for line in lines(redis)]


def lines(redis: Redis) -> list[str]:
    return [fields["line"] for _, fields in redis.xrange("buraq_tasks:noted")]


def enqueue(run: Callable[..., Done], text: str, *options: str) -> None:
    done = run("enqueue", "note", f'{{"text": "{text}"}}', *options)
    assert done.code == 0, done.err


def test_a_burst_works_off_what_there_is_and_exits_0(run: Callable[..., Done], tasks: Path, redis: Redis) -> None:
    for number in range(3):
        enqueue(run, f"t{number}")

    done = run("worker", "tasks", "--burst")

    assert done.code == 0, done.err
    assert sorted(noted(redis)) == ["t0", "t1", "t2"]


def test_a_burst_whose_rest_is_refused_by_the_server_names_it_and_exits_1(
    run: Callable[..., Done], module: Callable[..., Path], redis: Redis
) -> None:
    module(
        "refused",
        "from buraq import Buraq, Reject\nqueue = Buraq()\n\n@queue.task\ndef no():\n    raise Reject('no')\n",
    )
    run("enqueue", "no", "--queue", "mail")
    redis.set("buraq_tasks:mail_dlq", "somebody's")

    done = run("worker", "refused", "--burst", "--processes", "2", SHUTDOWN_TIMEOUT="1s")

    assert done.code == 1
    [line] = [line for line in map(json.loads, done.err.splitlines()) if line["event"].startswith("burst ends without")]
    assert (line["outcomes"], line["broken_keys"]) == ("mail:1", "buraq_tasks:mail_dlq")
    assert redis.xlen("buraq_tasks:mail_front") == 1, "the next worker runs it again"


def test_a_burst_goes_on_in_the_successors_of_its_processes(
    run: Callable[..., Done], module: Callable[..., Path], redis: Redis, server: Server
) -> None:
    module(
        "slow", TASKS.replace("def note", "def slow").replace("    line =", "    import time; time.sleep(0.03); line =")
    )
    queue = Buraq(redis_url=server.url)
    for number in range(300):
        queue.enqueue("slow", {"text": f"t{number}"})

    done = run("worker", "slow", "--burst", "--max-tasks", "50", "--concurrency", "2", "--processes", "2")

    assert done.code == 0, done.err
    assert sorted(noted(redis)) == sorted(f"t{number}" for number in range(300))
    assert '"worker process relieved: its successor consumes"' in done.err


def test_a_worker_takes_tasks_from_the_queues_it_was_told(run: Callable[..., Done], tasks: Path, redis: Redis) -> None:
    for queue in ("default", "mail", "bulk"):
        enqueue(run, queue, "--queue", queue)

    run("worker", "tasks", "--burst", "--queues", "mail,bulk")

    assert sorted(noted(redis)) == ["bulk", "mail"]


def test_the_target_can_come_from_the_variable(run: Callable[..., Done], tasks: Path, redis: Redis) -> None:
    enqueue(run, "t1")

    assert run("worker", "--burst", BURAQ_APP="tasks:queue").code == 0
    assert noted(redis) == ["t1"]


def test_tasks_see_the_same_server_as_the_command_line(
    run: Callable[..., Done], tasks: Path, redis: Redis, server: Server
) -> None:
    enqueue(run, "t1")

    done = run("-u", server.unix_url, "worker", "tasks", "--burst", url=None, BURAQ_REDIS_URL="redis://127.0.0.1:1")

    assert done.code == 0, done.err
    assert lines(redis) == ["t1 unix"]


def test_an_embedded_server_is_started_once_for_all_and_ends(
    run: Callable[..., Done], module: Callable[..., Path], tmp_path: Path
) -> None:
    module(
        "own",
        """
import os, pathlib
from buraq import Buraq
queue = Buraq()

@queue.task
def note() -> None:
    pathlib.Path("noted").write_text(os.environ["REDIS_URL"])
""",
    )
    url = f"embedded://{tmp_path}/kept"
    run("enqueue", "note", url=url)

    assert run("worker", "own", "--burst", "--processes", "2", url=url).code == 0
    assert (tmp_path / "noted").read_text().startswith("unix://")
    assert not (tmp_path / "kept" / "server.json").exists()


def test_a_target_that_cannot_be_imported_ends_the_worker_with_code_2(
    run: Callable[..., Done], module: Callable[..., Path]
) -> None:
    module("broken", "1 / 0\n")

    done = run("worker", "broken", METRICS_PORT="127.0.0.1:0")

    assert done.code == 2
    assert "target 'broken': importing broken failed" in done.err
    assert "ZeroDivisionError" in done.err


def test_a_second_process_that_cannot_import_the_target_does_not_break_off_the_stop(
    run: Callable[..., Done], module: Callable[..., Path]
) -> None:
    module("broken", BROKEN_TWICE)

    done = run("worker", "broken", "--processes", "2", METRICS_PORT="127.0.0.1:0")

    assert done.code == 2, done.err
    assert "HaltServer" not in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_exits_0(
    start: Callable[..., Running],
    run: Callable[..., Done],
    tasks: Path,
    redis: Redis,
    eventually: Callable[..., object],
    number: signal.Signals,
) -> None:
    worker = start("worker", "tasks")
    enqueue(run, "t1")
    eventually(lambda: noted(redis) == ["t1"])

    worker.process.send_signal(number)

    assert worker.wait() == 0, worker.output


def test_a_program_that_replaces_its_standard_error_stops_cleanly(
    start: Callable[..., Running],
    run: Callable[..., Done],
    tasks: Path,
    redis: Redis,
    eventually: Callable[..., object],
) -> None:
    tasks.write_text(TASKS + "import io, sys\nsys.stderr = io.StringIO()\n")
    worker = start("worker", "tasks")
    enqueue(run, "t1")
    eventually(lambda: noted(redis) == ["t1"])

    worker.process.terminate()

    assert worker.wait() == 0, worker.output
    assert '"stopped"' in worker.output
    assert "Traceback" not in worker.output


def test_programs_that_tasks_start_are_ended_by_a_ctrl_c_or_a_hangup_as_any_other(
    run: Callable[..., Done], module: Callable[..., Path], redis: Redis
) -> None:
    module("asking", ASKING)
    assert run("enqueue", "ask").code == 0

    assert run("worker", "asking", "--burst").code == 0

    assert noted(redis) == ["[]"]


def test_two_workers_on_one_host_start_without_settings(
    start: Callable[..., Running], tasks: Path, eventually: Callable[..., object]
) -> None:
    workers = [start("worker", "tasks"), start("worker", "tasks")]

    def places() -> set[str]:
        found = [re.search(r"http://localhost:(\d+)/metrics", worker.output) for worker in workers]
        assert all(found), [worker.output for worker in workers]
        return {match[1] for match in found if match}

    assert len(eventually(places)) == 2  # type: ignore[arg-type]


def test_a_metrics_port_chosen_by_hand_and_taken_is_code_2(
    start: Callable[..., Running], run: Callable[..., Done], tasks: Path, server: Server
) -> None:
    done = run("worker", "tasks", METRICS_PORT=f"127.0.0.1:{server.port}")

    assert done.code == 2
    assert "METRICS_PORT=" in done.err


# -- reload


def changed(tasks: Path, text: str) -> None:
    tasks.write_text(TASKS.replace('f"{text} ', f'f"{{text}}-{text} '))


def test_a_change_drains_the_worker_and_starts_it_with_the_new_code(
    start: Callable[..., Running],
    run: Callable[..., Done],
    tasks: Path,
    redis: Redis,
    eventually: Callable[..., object],
) -> None:
    worker = start("worker", "tasks", "--reload")
    enqueue(run, "t1")
    eventually(lambda: noted(redis) == ["t1"])

    changed(tasks, "new")
    eventually(lambda: worker.output.count('"consuming"') >= 2)  # one that sees half of the file starts again
    enqueue(run, "t2")
    eventually(lambda: noted(redis) == ["t1", "t2-new"])

    assert "tasks.py changed" in worker.output
    assert '"stopped"' in worker.output
    worker.press_ctrl_c()
    assert worker.wait() == 0, worker.output


def test_code_that_cannot_start_waits_for_the_next_change(
    start: Callable[..., Running],
    run: Callable[..., Done],
    tasks: Path,
    redis: Redis,
    eventually: Callable[..., object],
) -> None:
    tasks.write_text("1 / 0\n")
    worker = start("worker", "tasks", "--reload")
    eventually(lambda: "ended with status 2" in worker.output)

    tasks.write_text(TASKS)
    enqueue(run, "t1")

    eventually(lambda: noted(redis) == ["t1"])


def test_a_supervisor_that_is_killed_takes_its_worker_along(
    start: Callable[..., Running], tasks: Path, eventually: Callable[..., object]
) -> None:
    worker = start("worker", "tasks", "--reload")
    eventually(lambda: '"consuming"' in worker.output)
    children = psutil.Process(worker.process.pid).children(recursive=True)
    assert len(children) >= 2

    worker.process.kill()

    eventually(lambda: not any(child.is_running() for child in children))


def test_without_watchfiles_reload_names_the_extra(tmp_path: Path, server: Server) -> None:
    (tmp_path / "watchfiles.py").write_text("raise ImportError\n")
    program = textwrap.dedent(
        """
        import sys
        sys.path.insert(0, sys.argv.pop(1))
        from buraq.cli.__main__ import main
        main()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path), "worker", "tasks", "--reload"],
        env=environment(server.url, {}),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )

    assert (done.returncode, "pip install 'buraq-queue[reload]'" in done.stderr) == (2, True)
