"""Celery."""

import os

import book
from celery import Celery

window = int(float(os.environ["WINDOW"]))
app = Celery("faults", broker=os.environ["REDIS_URL"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    # The documentation asks for all three of these to be the same, and kombu's for the throttle to be 1 where the
    # timeout is low, else only every tenth look is one.
    broker_transport_options={
        "visibility_timeout": window,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_backend_transport_options={"visibility_timeout": window},
    visibility_timeout=window,
)
nap = app.task(name="nap")(book.nap)
burn = app.task(name="burn")(book.burn)


def send(kind, task, seconds):
    app.tasks[kind].delay(task, seconds)
