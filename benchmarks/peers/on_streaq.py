"""streaQ."""

import asyncio
import os
from contextlib import asynccontextmanager

import stopwatch
import uvloop
from streaq import Worker

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

worker = Worker(
    redis_url=os.environ["REDIS_URL"],
    concurrency=int(os.environ.get("BENCH_CONCURRENCY", "16")),
    anyio_kwargs={"use_uvloop": True},
)


@worker.task(ttl=0, silent=True)
async def noop(user_id: int, template: str) -> None:
    stopwatch.noop()


@worker.task(ttl=0, silent=True)
async def sleep(seconds: float) -> None:
    stopwatch.start()
    await asyncio.sleep(seconds)
    stopwatch.end()


@asynccontextmanager
async def connected():
    async with worker:
        yield


async def one(task, payloads):
    function = {"noop": noop, "sleep": sleep}[task]
    for payload in payloads:
        await function.enqueue(**payload)


async def bulk(task, payloads):
    function = {"noop": noop, "sleep": sleep}[task]
    for first in range(0, len(payloads), 1000):
        await worker.enqueue_many([function.enqueue(**payload) for payload in payloads[first : first + 1000]])
