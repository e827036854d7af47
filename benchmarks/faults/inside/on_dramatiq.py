"""Dramatiq."""

import os

import book
import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(
    RedisBroker(
        url=os.environ["REDIS_URL"],
        heartbeat_timeout=int(float(os.environ["WINDOW"]) * 1000),
        maintenance_chance=1_000_000,  # of a million commands: each looks for the dead
    )
)
TASKS = {"nap": dramatiq.actor(actor_name="nap")(book.nap), "burn": dramatiq.actor(actor_name="burn")(book.burn)}


def send(kind, task, seconds):
    TASKS[kind].send(task, seconds)
