"""Threads, forks and imports keep out of each other's way: what a process holds at a fork is held in the child."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from buraq.app import Buraq
from buraq.broker import LOST_SHOWN_MS
from buraq.config import Config
from buraq.worker.farewells import MOST, Farewells
from tests.servers import Server
from tests.worker.parts import lease_of

LONG = 30.0  # seconds


def test_the_lease_of_a_dead_process_is_ended_on_all_its_queues(app: Buraq, server: Server, redis: Redis) -> None:
    app.enqueue("t", queue="default")
    app.enqueue("t", queue="mail")
    lease_of(app, "default", "mail", name="w~0000dead")
    living = lease_of(app, "default", "mail", name="w~00000001")

    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    farewells.end_lease("w~0000dead")

    assert farewells.wait(LONG)
    for broker in living.brokers:
        assert redis.zrange(broker.keys.leases, 0, -1) == ["w~00000001"]
        dead, alive = broker.keys.worker("w~0000dead"), broker.keys.worker("w~00000001")
        assert (redis.hget(dead, "died"), redis.hget(alive, "died")) == ("1", None)
        assert 0 < redis.pttl(dead) <= LOST_SHOWN_MS


def test_what_never_had_a_lease_leaves_nothing_for_ever(app: Buraq, server: Server, redis: Redis) -> None:
    app.enqueue("t")

    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    farewells.end_lease("w~0000dead")

    assert farewells.wait(LONG)
    assert 0 < redis.pttl(app.backend.broker("default").keys.worker("w~0000dead")) <= LOST_SHOWN_MS


def test_who_forks_waits_until_no_thread_is_at_it(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    server.pause()
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    farewells.end_lease("w~0000dead")

    assert not farewells.wait(0.05), "the server has not answered yet"

    server.resume()
    assert farewells.wait(LONG)


def test_a_server_that_is_away_holds_nobody_up_for_long(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    server.stop()
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    farewells.end_lease("w~0000dead")

    assert farewells.wait(LONG)


def test_a_server_that_refuses_costs_no_traceback(
    app: Buraq, server: Server, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    redis.set(app.backend.names.queues, "no set")  # as BUSY, while somebody's script runs
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    farewells.end_lease("w~0000dead")

    assert farewells.wait(LONG)
    assert capfd.readouterr().err == ""


def test_before_the_first_fork_all_is_imported_that_a_connection_needs() -> None:
    program = """
from gevent import monkey
monkey.patch_all()
import sys
from buraq.worker.group import import_all
from buraq.scripts import load
import_all()
known = set(sys.modules)
assert load.cache_info().currsize > 10
import socket
socket.getaddrinfo("127.0.0.1", 1)
socket.getaddrinfo("localhost", 1)
print(*set(sys.modules) - known)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_farewell_leaves_no_descriptor_behind_and_its_thread_stays(app: Buraq, server: Server) -> None:
    here = Path("/proc/self")
    if not (here / "task").is_dir():
        pytest.skip("/proc is not here to count them")
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    others = {one.name for one in (here / "task").iterdir()}

    def after_one_more() -> tuple[int, set[str]]:
        farewells.end_lease("w~0000dead")
        assert farewells.wait(LONG)
        return len(list((here / "fd").iterdir())), {one.name for one in (here / "task").iterdir()} - others

    descriptors, threads = after_one_more()
    rows = [after_one_more() for _ in range(10)]

    # A child that is forked while a thread is about to end cannot end itself: greenlet's lock is held in it for ever.
    assert {frozenset(row[1]) for row in rows} == {frozenset(threads)}
    assert rows[-1][0] <= descriptors + 1


def test_farewells_to_many_at_once_are_said_side_by_side_by_a_few_threads(fresh_server: Callable[..., Server]) -> None:
    server = fresh_server()
    redis = server.client()
    redis.sadd("buraq_tasks:queues", "default")
    names = [f"w~{n:08x}" for n in range(30)]
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    server.pause()
    for name in names:
        farewells.end_lease(name)
    server.resume()

    assert farewells.wait(LONG)
    assert [redis.hget(f"buraq_tasks:worker:{name}", "died") for name in names] == ["1"] * 30
    assert farewells.threads == MOST


def test_a_farewell_that_fails_costs_no_other(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    farewells = Farewells(Config.from_env({"REDIS_URL": server.url}))
    said: list[str] = []

    def end(name: str) -> None:
        said.append(name)
        if len(said) == 1:
            raise ValueError("nobody expects this")

    monkeypatch.setattr(farewells, "_end_lease", end)
    farewells.end_lease("w~00000001")
    assert farewells.wait(LONG)
    farewells.end_lease("w~00000002")
    assert farewells.wait(LONG)

    assert said == ["w~00000001", "w~00000002"]
    assert "it runs out" in caplog.text
