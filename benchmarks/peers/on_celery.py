"""Celery."""

import os

import stopwatch
from celery import Celery

app = Celery("bench", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    worker_disable_rate_limits=True,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(user_id, template):
    stopwatch.noop()


@app.task(name="sleep")
def sleep(seconds):
    stopwatch.sleep(seconds)


def one(task, payloads):
    function = app.tasks[task]
    for payload in payloads:
        function.delay(**payload)


def bulk(task, payloads):
    # The documented way to enqueue many: one producer for all of them.
    function = app.tasks[task]
    with app.producer_pool.acquire(block=True) as producer:
        for payload in payloads:
            function.apply_async(kwargs=payload, producer=producer)
