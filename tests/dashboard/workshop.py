"""The task functions of these tests: they go on, or fail, when the test says so."""

from buraq import Buraq

queue = Buraq()


@queue.task
def hold(gate: str) -> str:
    """Run until the test opens the gate."""
    opened = queue.backend.server.client().blpop([gate], 60)
    if opened is None:
        raise TimeoutError(f"nobody opened the gate {gate}")
    return gate


@queue.task
def ship(order: int) -> None:
    """Fail for ever, until the test has mended what is broken."""
    if not queue.backend.server.client().exists("mended"):
        raise ConnectionError("the warehouse does not answer")
