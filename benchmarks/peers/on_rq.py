"""RQ."""

import os

import stopwatch
from redis import Redis
from rq import Queue, Retry
from rq.serializers import JSONSerializer

RETRY = Retry(max=3)  # without, a task whose worker dies is given up
queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]), serializer=JSONSerializer)


def noop(user_id, template):
    stopwatch.noop()


def sleep(seconds):
    stopwatch.sleep(seconds)


def one(task, payloads):
    for payload in payloads:
        queue.enqueue(f"on_rq.{task}", kwargs=payload, result_ttl=0, retry=RETRY)


def bulk(task, payloads):
    for first in range(0, len(payloads), 1000):
        queue.enqueue_many(
            [
                Queue.prepare_data(f"on_rq.{task}", kwargs=payload, result_ttl=0, retry=RETRY)
                for payload in payloads[first : first + 1000]
            ]
        )
