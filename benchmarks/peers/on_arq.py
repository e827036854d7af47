"""arq."""

import asyncio
import os
from contextlib import asynccontextmanager

import stopwatch
import uvloop
from arq import create_pool
from arq.connections import RedisSettings

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

SERVER = RedisSettings.from_dsn(os.environ["REDIS_URL"])
LOGGING = {"version": 1}  # its own writes two lines for each task
pool = None


async def noop(ctx, user_id, template):
    stopwatch.noop()


async def sleep(ctx, seconds):
    stopwatch.start()
    await asyncio.sleep(seconds)
    stopwatch.end()


class WorkerSettings:
    functions = (noop, sleep)
    redis_settings = SERVER
    max_jobs = int(os.environ.get("BENCH_CONCURRENCY", "10"))
    poll_delay = 0.01
    keep_result = 0
    log_results = False


@asynccontextmanager
async def connected():
    global pool
    pool = await create_pool(SERVER)
    yield
    await pool.aclose()


async def one(task, payloads):
    for payload in payloads:
        await pool.enqueue_job(task, **payload)
