"""streaQ."""

import asyncio
import os
from contextlib import asynccontextmanager

import book
from streaq import Worker

worker = Worker(
    redis_url=os.environ["REDIS_URL"],
    concurrency=int(os.environ["SLOTS"]),
    idle_timeout=float(os.environ["WINDOW"]),
    grace_period=30,
)


@worker.task(ttl=0, max_tries=None)
async def nap(task: str, seconds: float) -> None:
    book.note("start", task)
    await asyncio.sleep(seconds)
    book.note("end", task)


@worker.task(ttl=0, max_tries=None)
def burn(task: str, seconds: float) -> None:  # a plain function: it runs in a thread
    book.burn(task, seconds)


@asynccontextmanager
async def connected():
    async with worker:
        yield


async def send(kind, task, seconds):
    await {"nap": nap, "burn": burn}[kind].enqueue(task, seconds)
