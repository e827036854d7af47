"""RQ. Its jobs are named after their tasks: what it stores is compressed, and would not be found by what is in it."""

import os

import book
from redis import Redis
from rq import Queue, Retry

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))
TASKS = {"nap": book.nap, "burn": book.burn}


def send(kind, task, seconds):
    # Results are kept for a moment: with a result_ttl of 0 the clean-up of a job that was recovered fails in RQ 3.0.0,
    # and it is run again until its retries are used up.
    queue.enqueue(
        TASKS[kind], task, seconds, job_id=task, retry=Retry(max=20), job_timeout=int(seconds) + 600, result_ttl=5
    )
