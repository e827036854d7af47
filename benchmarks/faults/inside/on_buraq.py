"""Buraq, with its defaults."""

import book

from buraq import Buraq

queue = Buraq()
nap = queue.task(name="nap")(book.nap)
burn = queue.task(name="burn")(book.burn)


def send(kind: str, task: str, seconds: float) -> None:
    queue.enqueue(kind, {"task": task, "seconds": seconds})
