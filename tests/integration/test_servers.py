"""The servers that other tests are given can be stopped, killed and paused, and come back."""

import signal
import subprocess
import sys
from pathlib import Path

import gevent
import psutil
import pytest

from tests.servers import KINDS, PATIENCE, Server, eventually

pytestmark = pytest.mark.e2e


@pytest.mark.each_server
def test_each_kind_of_server_serves_the_tests(redis, server):
    name = "valkey_version" if server.kind == "valkey" else "redis_version"

    assert redis.dbsize() == 0
    assert int(redis.info("server")[name].split(".")[0]) >= 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_restarted_server_is_where_it_was_with_what_it_kept(fresh_server, kind):
    server: Server = fresh_server(kind, aof=True)
    pid = server.pid
    client = server.client()
    client.set("greeting", "hello")

    server.restart(signal.SIGKILL)

    assert client.get("greeting") == "hello"
    assert server.pid != pid


def test_a_server_without_aof_forgets(fresh_server):
    server = fresh_server()
    with server.client() as client:
        client.set("greeting", "hello")

    server.restart()

    assert server.client().get("greeting") is None


def test_a_paused_server_answers_later(fresh_server):
    server = fresh_server()
    client = server.client()
    server.pause()
    answer = gevent.spawn(client.ping)
    gevent.sleep(0)
    assert not answer.dead

    server.resume()

    assert answer.get(timeout=PATIENCE)


def test_a_paused_server_can_be_stopped(fresh_server):
    server = fresh_server()
    server.pause()

    server.stop()

    assert not server.running


def test_a_server_and_its_folder_go_with_a_test_process_that_is_killed():
    program = (
        "import sys; from tests.servers import Server; server = Server('valkey', aof=True).start();"
        "print(server.pid, server.home, flush=True); sys.stdin.read()"
    )
    tests = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        pid, home = tests.stdout.readline().split()
        assert psutil.pid_exists(int(pid))
        assert Path(home).exists()

        tests.kill()

    eventually(lambda: not psutil.pid_exists(int(pid)))
    eventually(lambda: not Path(home).exists())
