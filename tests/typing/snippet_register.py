"""What `@queue.task` takes, and what the public names are."""

from datetime import timedelta

import buraq
from buraq import Backoff, Buraq, Reject, Retry, Snooze, Task, current_task

queue = Buraq(redis_url="redis://localhost:6379/0")


@queue.task()
def plain() -> None: ...


@queue.task(backoff=Backoff(base=1.0, cap=60.0), timeout=timedelta(seconds=3), keep_result=True)
def one() -> int:
    return 1


@queue.task(backoff=lambda attempt: attempt * 2.0, dont_retry_on=ValueError)
def two() -> None:
    task: Task = current_task()
    if task.attempt > 1:
        raise Reject("enough")
    raise Snooze(timedelta(minutes=1)) from Retry(after=2.5)


@queue.task(retries=3)  # error: Unexpected keyword argument "retries"
def wrong_option() -> None: ...


@queue.task(delay=3)  # error: Unexpected keyword argument "delay"
def option_of_one_enqueue() -> None: ...


@queue.task(max_retries="3")  # error: No overload variant
def wrong_type() -> None: ...


queue.task(3)  # error: No overload variant
version: str = buraq.__version__
error: type[buraq.BuraqError] = buraq.QueueUnavailable
