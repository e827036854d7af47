"""Dramatiq."""

import os

import dramatiq
import stopwatch
from dramatiq.brokers.redis import RedisBroker

# Each worker acknowledges on a connection of its own, and redis-py gives out no more than a hundred unless told.
dramatiq.set_broker(RedisBroker(url=f"{os.environ['REDIS_URL']}?max_connections=20000"))


@dramatiq.actor
def noop(user_id, template):
    stopwatch.noop()


@dramatiq.actor
def sleep(seconds):
    stopwatch.sleep(seconds)


def one(task, payloads):
    function = {"noop": noop, "sleep": sleep}[task]
    for payload in payloads:
        function.send(**payload)
