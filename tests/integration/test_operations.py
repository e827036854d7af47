"""An operation on many dead letters is worked on by one process at a time."""

import json

import pytest
from redis import Redis

from buraq import Buraq
from buraq.operations import Operations
from tests.proxy import Fault, Proxy, When, script
from tests.servers import Server


def bury(redis: Redis, count: int) -> list[tuple[str, str]]:
    """Add dead letters. Returns queue and entry of each."""
    raw = [json.dumps({"id": f"t{n}", "type": "t", "payload": {}}) for n in range(count)]
    return [("default", redis.xadd("buraq_tasks_dlq", {"payload": one, "reason": "retries"})) for one in raw]


END = 0


def nth_script(number: int) -> When:
    scripts = iter(range(1, 100))
    return lambda request: script(request) and next(scripts) == number


def end_of_batch(request: bytes) -> bool:
    return b"updated_ms" in request


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("replay", [("cut_request", 2), ("cut_request", 2)]),
        ("replay", [("cut_reply", 1), ("cut_reply", 1)]),
        ("delete", [("cut_reply", 1), ("cut_request", END)]),
        ("delete", [("cut_request", 1), ("cut_request", END), ("cut_request", END)]),
    ],
)
def test_what_is_interrupted_again_and_again_in_one_batch_counts_each_dead_letter_once(
    server: Server, redis: Redis, kind: str, faults: list[tuple[Fault, int]]
) -> None:
    with Proxy(server) as proxy:
        operations = Operations(Buraq(redis_url=proxy.url).backend)
        operations._run(operations.begin(kind, "me", ["default"], None, bury(redis, 1)).id)  # the script is loaded
        named = bury(redis, 240) + [("default", f"1-{n}") for n in range(10)]
        operation = operations.begin(kind, "me", ["default"], None, named)
        for fault, number in faults:
            hit = proxy.hit_next(fault, nth_script(number) if number != END else end_of_batch)
            operations._run(operation.id)
            assert hit.hit.is_set()

        operations._run(operation.id)

        found = operations.get(operation.id)
    assert found is not None
    assert (found.state, found.seen, found.done, found.gone) == ("done", 250, 240, 10)


def test_who_has_lost_an_operation_to_another_process_leaves_it_to_that(server: Server, redis: Redis) -> None:
    backend = Buraq(redis_url=server.url).backend
    operations = Operations(backend)
    operation = operations.begin("delete", "me", ["default"], {}, ())
    redis.set(backend.names.runner(operation.id), "another process")

    operations._run(operation.id)

    assert redis.get(backend.names.runner(operation.id)) == "another process"
    found = operations.get(operation.id)
    assert found is not None
    assert found.state == "running"


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(("kind", "number"), [("replay", 2), ("delete", 1)])
@pytest.mark.parametrize("fault", ["cut_request", "cut_reply"])
def test_what_was_done_when_the_server_went_away_in_the_middle_of_a_batch_is_counted(
    server: Server, redis: Redis, named: bool, kind: str, number: int, fault: Fault
) -> None:
    with Proxy(server) as proxy:
        operations = Operations(Buraq(redis_url=proxy.url).backend)
        operations._run(operations.begin(kind, "me", ["default"], None, bury(redis, 1)).id)  # the script is loaded
        letters = bury(redis, 200)
        chosen = (None, letters) if named else ({}, ())
        operation = operations.begin(kind, "me", ["default"], *chosen)
        scripts = iter(range(1, 100))
        hit = proxy.hit_next(fault, lambda request: script(request) and next(scripts) == number)

        operations._run(operation.id)

        interrupted = operations.get(operation.id)
        assert hit.hit.is_set() and interrupted is not None and interrupted.state == "running"
        operations._run(operation.id)

        found = operations.get(operation.id)
    assert found is not None
    assert (found.state, found.total, found.seen, found.done, found.gone) == ("done", 200, 200, 200, 0)
