"""RQ."""

import os

import stopwatch
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]), serializer=JSONSerializer)


def noop(user_id, template):
    stopwatch.noop()


def sleep(seconds):
    stopwatch.sleep(seconds)


def one(task, payloads):
    for payload in payloads:
        queue.enqueue(f"on_rq.{task}", kwargs=payload, result_ttl=0)


def bulk(task, payloads):
    for first in range(0, len(payloads), 1000):
        queue.enqueue_many(
            [
                Queue.prepare_data(f"on_rq.{task}", kwargs=payload, result_ttl=0)
                for payload in payloads[first : first + 1000]
            ]
        )
