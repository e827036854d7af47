"""`buraq status` and `buraq workers` show what is there."""

from collections.abc import Callable
from pathlib import Path

from redis import Redis

from tests.cli.conftest import Done, Running

SLEEPER = """
import time
from buraq import Buraq
queue = Buraq()

@queue.task
def sleep_long() -> None:
    time.sleep(60)
"""


def test_an_empty_server_has_one_empty_queue_and_no_worker(run: Callable[..., Done]) -> None:
    shown = run("status").out

    assert "QUEUE    WAITING  OLDEST  RUNNING  SCHEDULED  DEAD" in shown
    assert "default        0       -        0          0     0" in shown
    assert "No worker process" in shown


def test_tasks_are_counted_where_they_are(run: Callable[..., Done], bury: Callable[..., str]) -> None:
    run("enqueue", "t")
    run("enqueue", "t", "--queue", "bulk", "--delay", "1h")
    bury("d1")

    shown = run("status", "--json").json()
    queues = {queue["queue"]: queue for queue in shown["queues"]}

    assert [queues["default"][what] for what in ("waiting", "running", "scheduled", "dead")] == [1, 0, 0, 1]
    assert [queues["bulk"][what] for what in ("waiting", "running", "scheduled", "dead")] == [0, 0, 1, 0]
    assert queues["default"]["oldest"] > 0
    assert shown["server"]["name"] == "Valkey"
    assert shown["server"]["version"][0].isdigit()


def test_a_key_that_was_overwritten_hides_only_its_own_figure_and_is_named(
    run: Callable[..., Done], bury: Callable[..., str], redis: Redis
) -> None:
    run("enqueue", "t", "--queue", "mail")
    bury("d1")
    redis.set("buraq_tasks:mail_dlq", "of the wrong type")

    shown = run("status")
    queues = {line.split()[0]: line.split()[1:] for line in shown.out.splitlines() if line[:4] in ("defa", "mail")}

    assert queues["default"] == ["0", "-", "0", "0", "1"]
    assert [queues["mail"][n] for n in (0, 2, 3, 4)] == ["1", "0", "0", "?"]
    assert "buraq_tasks:mail_dlq holds another type of value" in shown.err
    written = {queue["queue"]: queue for queue in run("status", "--json").json()["queues"]}
    assert written["mail"]["broken"] == ["buraq_tasks:mail_dlq"]
    assert "broken" not in written["default"]


def test_the_names_of_a_target_hold(run: Callable[..., Done], module: Callable[..., Path], redis: Redis) -> None:
    module("shop", "from buraq import Buraq\nqueue = Buraq(stream_name='buraq_tasks_shop')\n")
    run("--app", "shop", "enqueue", "t")

    assert redis.xlen("buraq_tasks_shop") == 1
    assert run("status", "--json", BURAQ_APP="shop").json()["server"]["stream_name"] == "buraq_tasks_shop"


def test_a_worker_process_is_shown_with_what_it_does(
    run: Callable[..., Done],
    start: Callable[..., Running],
    module: Callable[..., Path],
    eventually: Callable[..., object],
) -> None:
    module("sleeper", SLEEPER)
    run("enqueue", "sleep_long")
    start("worker", "sleeper", "--concurrency", "7", SHUTDOWN_TIMEOUT="0")

    def busy() -> dict[str, object] | None:
        found = run("workers", "--json").json()
        return found[0] if found and found[0]["in_flight"] == 1 else None

    shown = eventually(busy)
    assert isinstance(shown, dict)
    assert (shown["status"], shown["slots"], shown["queues"]) == ("active", 7, ["default"])
    table = run("workers").out.splitlines()
    assert table[0].split() == ["WORKER", "STATUS", "BUSY", "CPU", "MEMORY", "UP", "QUEUES"]
    assert " active  1/7 " in table[1]
    assert run("status", "--json").json()["queues"][0]["running"] == 1
