"""An operation on many dead letters is worked on by one process at a time."""

from redis import Redis

from buraq import Buraq
from buraq.operations import Operations
from tests.servers import Server


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
