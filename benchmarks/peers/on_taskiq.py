"""Taskiq, on streams and on lists."""

import asyncio
import os
from contextlib import asynccontextmanager

import stopwatch
import uvloop
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker, RedisStreamBroker

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())  # its worker takes uvloop by itself, its producer does not

if os.environ["BENCH_VARIANT"] == "streams":
    broker = RedisStreamBroker(os.environ["REDIS_URL"], xread_count=1000)
else:
    broker = ListQueueBroker(os.environ["REDIS_URL"])
broker = broker.with_serializer(ORJSONSerializer())


@broker.task(task_name="noop")
async def noop(user_id, template):
    stopwatch.noop()


@broker.task(task_name="sleep")
async def sleep(seconds):
    stopwatch.start()
    await asyncio.sleep(seconds)
    stopwatch.end()


@asynccontextmanager
async def connected():
    await broker.startup()
    yield
    await broker.shutdown()


async def one(task, payloads):
    function = {"noop": noop, "sleep": sleep}[task]
    for payload in payloads:
        await function.kiq(**payload)
