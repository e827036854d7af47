"""Taskiq, on streams."""

import asyncio
import os
from contextlib import asynccontextmanager

import book
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(
    os.environ["REDIS_URL"],
    consumer_id="0",  # else what was enqueued before the first worker came is skipped
    idle_timeout=int(float(os.environ["WINDOW"]) * 1000),
    unacknowledged_lock_timeout=5,  # else a worker that is killed while it looks for the dead locks out all others
    xread_count=int(os.environ["SLOTS"]),
)


@broker.task(task_name="nap")
async def nap(task: str, seconds: float) -> None:
    book.note("start", task)
    await asyncio.sleep(seconds)
    book.note("end", task)


burn = broker.task(task_name="burn")(book.burn)  # a plain function: it runs in a thread


@asynccontextmanager
async def connected():
    await broker.startup()
    yield
    await broker.shutdown()


async def send(kind, task, seconds):
    await {"nap": nap, "burn": burn}[kind].kiq(task, seconds)
