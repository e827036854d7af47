"""A task function is called, and enqueued, as its signature says."""

from datetime import UTC, datetime, timedelta

from buraq import Buraq, TaskFunction, TaskHandle

queue = Buraq()


@queue.task
def bare(user_id: int, template: str = "welcome") -> str:
    return template


@queue.task(name="full", queue="mail", max_retries=5, timeout=30, priority="high", retry_on=(OSError,), concurrency=50)
def full(user_id: int, *, urgent: bool) -> None: ...


text: str = bare(1)
number: int = bare(1)  # error: Incompatible types in assignment
bare("1")  # error: incompatible type "str"; expected "int"

handle: TaskHandle = bare.enqueue(1)
bare.enqueue(1, "reset")
bare.enqueue(user_id=1, template="reset")
bare.enqueue("1")  # error: incompatible type "str"; expected "int"
bare.enqueue(1, 2)  # error: incompatible type "int"; expected "str"
bare.enqueue()  # error: Missing positional argument "user_id"
bare.enqueue(1, "reset", 3)  # error: Too many arguments
bare.enqueue(usr_id=1)  # error: Unexpected keyword argument "usr_id"

full.enqueue(1, urgent=True)
full.enqueue(1)  # error: Missing named argument "urgent"
full.enqueue(1, True)  # error: Too many positional arguments

other: TaskFunction[[str], str] = bare  # error: Incompatible types in assignment
full.options(delay=60, idempotency_key="k", id="x", group="g", queue="bulk").enqueue(1, urgent=False)
full.options(delay=timedelta(minutes=1)).enqueue("1", urgent=False)  # error: incompatible type "str"; expected "int"
full.options(at=datetime.now(UTC), timeout=timedelta(seconds=2)).enqueue(1, urgent=False)
full.options(at="tomorrow")  # error: incompatible type "str"
full.options(dealy=60)  # error: Unexpected keyword argument "dealy"

handles: list[TaskHandle] = bare.enqueue_many([{"user_id": n} for n in range(10)])
bare.enqueue_many([1, 2])  # error: incompatible type

queue.enqueue("bare", {"user_id": 1}, delay=1.5)
queue.enqueue(bare)  # error: incompatible type
queue.enqueue("bare", user_id=1)  # error: Unexpected keyword argument "user_id"
