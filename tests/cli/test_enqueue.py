"""`buraq enqueue` adds what it was asked for, or says what is wrong with it and adds nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis import Redis

from buraq.cli.root import buraq
from tests.cli.conftest import Done

SHOP = """
from buraq import Buraq
queue = Buraq()

@queue.task(queue="mail", max_retries=9)
def send_mail(user_id: int) -> None: ...
"""


def only_task(redis: Redis, stream: str = "buraq_tasks") -> dict[str, Any]:
    [(_, fields)] = redis.xrange(stream)
    return dict(json.loads(fields["payload"]))


def test_a_task_is_added_and_its_id_is_printed(run: Callable[..., Done], redis: Redis) -> None:
    done = run("enqueue", "mail", '{"user_id": 123, "template": "welcome"}')

    task = only_task(redis)
    assert (done.code, done.out) == (0, f"{task['id']}\n")
    assert (task["type"], task["payload"]) == ("mail", {"user_id": 123, "template": "welcome"})


def test_options_are_the_tasks(run: Callable[..., Done], redis: Redis) -> None:
    run(
        *("enqueue", "mail", "--queue", "bulk", "--priority", "low", "--id", "t1", "--idempotency-key", "k1"),
        *("--max-retries", "0", "--timeout", "30s"),
    )

    task = only_task(redis, "buraq_tasks:bulk_low")
    assert (task["id"], task["idempotency_key"], task["max_retries"]) == ("t1", "k1", 0)
    assert task["timeout"] == 30_000_000_000
    assert redis.get("idemp:k1") == "t1"


@pytest.mark.parametrize(
    ("options", "seconds"), [(("--delay", "10m"), 600), (("--at", "2100-01-01T00:00:00+00:00"), None)]
)
def test_a_task_can_wait(run: Callable[..., Done], redis: Redis, options: tuple[str, str], seconds: int | None) -> None:
    run("enqueue", "mail", "--id", "t1", *options)

    [(_, due_ms)] = redis.zrange("buraq_tasks:scheduled", 0, -1, withscores=True)
    expected = redis.time()[0] + seconds if seconds else 4_102_444_800
    assert abs(due_ms / 1000 - expected) < 20


def test_the_payload_can_come_from_standard_input(run: Callable[..., Done], redis: Redis) -> None:
    run("enqueue", "mail", "-", input='{"user_id": 5}\n')

    assert only_task(redis)["payload"] == {"user_id": 5}


def test_a_task_that_is_there_already_is_not_added_again(run: Callable[..., Done], redis: Redis) -> None:
    run("enqueue", "mail", "--id", "t1")

    again = run("enqueue", "mail", "--id", "t1", "--json")

    assert again.json() == {"id": "t1", "type": "mail", "queue": "default", "created": False}
    assert redis.xlen("buraq_tasks") == 1


def test_with_a_target_the_task_functions_options_hold(
    run: Callable[..., Done], redis: Redis, module: Callable[..., Path]
) -> None:
    module("shop", SHOP)

    run("enqueue", "send_mail", '{"user_id": 1}', BURAQ_APP="shop")

    assert only_task(redis, "buraq_tasks:mail")["max_retries"] == 9


def test_with_a_target_a_payload_that_does_not_fit_is_code_2(
    run: Callable[..., Done], redis: Redis, module: Callable[..., Path]
) -> None:
    module("shop", SHOP)

    done = run("--app", "shop", "enqueue", "send_mail", '{"user": 1}')

    assert done.code == 2
    assert "user_id" in done.err
    assert redis.keys("buraq_tasks*") == []


def test_with_a_target_an_unknown_type_is_added_with_a_warning(
    run: Callable[..., Done], redis: Redis, module: Callable[..., Path]
) -> None:
    module("shop", SHOP)

    done = run("--app", "shop", "enqueue", "send_male")

    assert done.code == 0
    assert "did you mean 'send_mail'" in done.err


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ('{"user_id": }', "JSON is no JSON at line 1, column 13"),
        ('{"a": 1,\n "b" 2}', "line 2, column 6"),
        ("[1]", "JSON is a list: a payload is an object"),
        ("null", "JSON is null"),
        ('{"a": NaN}', "NaN is not a finite number"),
        ("", "JSON is no JSON at line 1"),
    ],
)
def test_a_wrong_payload_is_code_2_and_says_where(payload: str, said: str) -> None:
    done = CliRunner().invoke(buraq, ["-u", "redis://127.0.0.1:1", "enqueue", "mail", payload])

    assert said in done.output
    assert done.exit_code == 2


def test_a_payload_that_cannot_travel_is_code_2(run: Callable[..., Done], redis: Redis) -> None:
    done = run("enqueue", "mail", '{"a": {"b": 1e999}}')

    assert (done.code, "a.b: inf is not a finite number" in done.err) == (2, True)
    assert redis.keys("buraq_tasks*") == []
