"""SAQ."""

import asyncio
import os
from contextlib import asynccontextmanager

import stopwatch
import uvloop
from saq import Queue

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

# Each worker holds a connection, and redis-py gives out no more than a hundred unless told.
queue = Queue.from_url(f"{os.environ['REDIS_URL']}?max_connections=5000")


async def noop(ctx, *, user_id, template):
    stopwatch.noop()


async def sleep(ctx, *, seconds):
    stopwatch.start()
    await asyncio.sleep(seconds)
    stopwatch.end()


settings = {
    "queue": queue,
    "functions": [noop, sleep],
    "concurrency": int(os.environ.get("BENCH_CONCURRENCY", "10")),
}


@asynccontextmanager
async def connected():
    await queue.connect()
    yield
    await queue.disconnect()


async def one(task, payloads):
    for payload in payloads:
        await queue.enqueue(task, ttl=-1, **payload)
