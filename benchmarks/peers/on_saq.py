"""SAQ."""

import asyncio
import os
from contextlib import asynccontextmanager

import stopwatch
import uvloop
from saq import Queue

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "10"))

# Each slot waits on a connection of its own, and redis-py gives out no more than a hundred unless told. The queue reads
# and enqueues no more than 20 tasks at once unless told.
queue = Queue.from_url(f"{os.environ['REDIS_URL']}?max_connections=20000", max_concurrent_ops=max(20, CONCURRENCY))


async def noop(ctx, *, user_id, template):
    stopwatch.noop()


async def sleep(ctx, *, seconds):
    stopwatch.start()
    await asyncio.sleep(seconds)
    stopwatch.end()


settings = {
    "queue": queue,
    "functions": [noop, sleep],
    "concurrency": CONCURRENCY,
}


@asynccontextmanager
async def connected():
    await queue.connect()
    yield
    await queue.disconnect()


async def one(task, payloads):
    for payload in payloads:
        # With one attempt, the default, a task whose worker dies is given up.
        await queue.enqueue(task, ttl=-1, retries=3, **payload)
