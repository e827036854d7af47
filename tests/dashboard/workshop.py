"""The task functions of these tests: they go on, or fail, when the test says so."""

import os

from redis import Redis

from buraq import Buraq

queue = Buraq()


def town() -> Redis:
    """Return a client of what the tasks are about: not the queue's, whose user may do no more than Buraq has to."""
    return Redis.from_url(os.environ["TOWN_URL"])


@queue.task
def hold(gate: str) -> str:
    """Run until the test opens the gate."""
    opened = town().blpop([gate], 300)
    if opened is None:
        raise TimeoutError(f"nobody opened the gate {gate}")
    return gate


@queue.task
def ship(order: int) -> None:
    """Fail for ever, until the test has mended what is broken."""
    if not town().exists("mended"):
        raise ConnectionError("the warehouse does not answer")
