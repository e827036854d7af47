"""The servers that other tests are given can be stopped, killed and paused, and come back."""

import signal

import gevent
import pytest

from tests.servers import KINDS, Server

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

    assert answer.get(timeout=5)


def test_a_paused_server_can_be_stopped(fresh_server):
    server = fresh_server()
    server.pause()

    server.stop()

    assert not server.running
