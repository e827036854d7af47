"""Huey."""

import os

import stopwatch
from huey import RedisHuey

# Each worker holds a connection, and redis-py gives out no more than a hundred unless told.
huey = RedisHuey("bench", url=f"{os.environ['REDIS_URL']}?max_connections=20000", results=False)


@huey.task()
def noop(user_id, template):
    stopwatch.noop()


@huey.task()
def sleep(seconds):
    stopwatch.sleep(seconds)


def one(task, payloads):
    function = {"noop": noop, "sleep": sleep}[task]
    for payload in payloads:
        function(**payload)
