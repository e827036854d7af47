"""A shop's queue, for the pictures of the page: tasks of several types that run, fail and wait as those of a shop do.

`python -m tests.dashboard.shop` writes an hour of statistics, as of a shop that has run for long, and enqueues from
then on.
"""

import random
import struct
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sin
from typing import Any

from buraq import Buraq, Reject
from buraq.statistics import BOUNDS, COMPLETED, DEAD, ENQUEUED, MINUTES, RETRIED, RUN, SLOT, STAMP, WAIT

queue = Buraq()
rand = random.Random()


@queue.task(queue="mail", priority="high")
def send_receipt(order: int, address: str) -> None:
    time.sleep(rand.uniform(0.03, 0.15))
    if rand.random() < 0.004:
        raise ConnectionResetError("smtp.shop.example: connection reset by peer")


@queue.task
def resize_image(image: str, width: int) -> None:
    time.sleep(rand.uniform(0.05, 0.3))


@queue.task(priority="high", max_retries=2, backoff=1.5)
def charge_card(order: int, cents: int) -> None:
    time.sleep(rand.uniform(0.15, 0.6))
    if order % 12 == 0:
        _authorize(order, cents)


def _authorize(order: int, cents: int) -> None:
    try:
        raise TimeoutError("timed out after 5.0 s")
    except TimeoutError as error:
        raise ConnectionError(f"the bank did not answer for order {order}") from error


@queue.task(max_retries=1, backoff=1.0)
def sync_inventory(warehouse: str, skus: list[str]) -> None:
    time.sleep(rand.uniform(0.3, 1.2))
    if skus[0].startswith("BAG-9"):
        stock: dict[str, int] = {}
        stock[skus[0]] -= 1


@queue.task(max_retries=2, backoff=0.8)
def call_webhook(url: str, event: str) -> None:
    time.sleep(rand.uniform(0.1, 0.4))
    if "legacy" in url:
        raise ConnectionRefusedError(f"nobody listens at {url}")


@queue.task(queue="reports", priority="low", keep_result=True)
def generate_report(month: str, pages: int) -> dict[str, Any]:
    time.sleep(rand.uniform(3, 8))
    return {"file": f"reports/{month}.pdf", "pages": pages}


@queue.task(queue="reports", priority="low")
def import_feed(url: str) -> None:
    time.sleep(rand.uniform(0.4, 1.5))
    if rand.random() < 0.25:
        raise Reject(f"{url} is not XML: no element found, line 1, column 0")


@queue.task(queue="mail")
def remind_cart(cart: int) -> None: ...


@queue.task(queue="newsletter", priority="low")
def send_newsletter(issue: int, subscriber: int) -> None: ...


@dataclass(frozen=True)
class Kind:
    """How often a task comes, in tasks a second, how long it runs, in seconds, and how often it fails."""

    enqueue: Callable[[], object]
    queue: str
    rate: float
    runs: tuple[float, float]
    fails: float = 0.0


def order() -> int:
    return rand.randint(48_000, 49_999)


def sku() -> str:
    return f"{rand.choice(['MUG', 'TEE', 'CAP', 'BAG'])}-{rand.randint(100, 999)}"


PARTNERS = ["https://erp.partner.example/hook"] * 6 + ["https://legacy.partner.example/hook"]
KINDS = [
    Kind(lambda: send_receipt.enqueue(order(), f"customer{order()}@mail.example"), "mail", 6, (0.03, 0.15), 0.004),
    Kind(lambda: resize_image.enqueue(f"img/{sku()}.jpg", rand.choice([320, 640])), "default", 5, (0.05, 0.3)),
    Kind(lambda: charge_card.enqueue(order(), rand.randint(499, 19_900)), "default", 2.5, (0.15, 0.6), 0.12),
    Kind(lambda: sync_inventory.enqueue("rotterdam", [sku(), sku()]), "default", 1.2, (0.3, 1.2), 0.06),
    Kind(lambda: call_webhook.enqueue(rand.choice(PARTNERS), "order.paid"), "default", 1, (0.1, 0.4), 0.14),
    Kind(lambda: generate_report.enqueue("2026-11", rand.randint(4, 60)), "reports", 0.45, (3, 8)),
    Kind(lambda: import_feed.enqueue("https://feeds.example/prices.xml"), "reports", 0.2, (0.4, 1.5), 0.25),
]


def write_past(minutes: int = 60) -> None:
    """Write the statistics of the last hour, in the format of `buraq/statistics.py`: a wave, and an incident in it."""
    now = int(time.time()) // 60
    for name in {kind.queue for kind in KINDS}:
        key = queue.backend.names.queue(name).statistics
        for minute in range(now - minutes, now + 1):
            numbers = past_minute(name, minute - now, minute, (time.time() % 60) / 60 if minute == now else 1.0)
            queue.backend.server.shared.command("SETRANGE", key, 4 * MINUTES.at(minute), numbers)


def past_minute(name: str, ago: int, minute: int, share: float) -> bytes:
    """Return what a minute, or a share of it, was like, as it is kept."""
    numbers = [0] * SLOT
    numbers[STAMP] = minute
    trouble = 1.0 if -27 <= ago <= -21 else 0.0
    for kind in KINDS:
        if kind.queue != name:
            continue
        runs = round(60 * share * kind.rate * (1 + 0.22 * sin(ago / 7) + rand.uniform(-0.06, 0.06)))
        failed = round(runs * min(0.5, kind.fails * (1 + 3.5 * trouble)))
        dead = round(failed * (0.25 + 0.2 * trouble))
        for counter, count in ((ENQUEUED, runs), (COMPLETED, runs - failed), (RETRIED, failed - dead), (DEAD, dead)):
            numbers[counter] += count
        for _ in range(runs):
            run = rand.uniform(*kind.runs) * (1 + 2.0 * trouble * rand.random())
            numbers[RUN + bisect_left(BOUNDS, run)] += 1
            wait = rand.expovariate(1 / (0.004 + (0.9 * trouble if name != "mail" else 0)))
            numbers[WAIT + bisect_left(BOUNDS, wait)] += 1
    return struct.pack(f">{SLOT}I", *numbers)


def fill() -> None:
    """Enqueue what is not there to be run soon."""
    for cart in range(40):
        remind_cart.options(delay=rand.uniform(120, 5400)).enqueue(7000 + cart)
    send_newsletter.enqueue_many([{"issue": 18, "subscriber": number} for number in range(5)])
    queue.enqueue("transcode_video", {"video": 12})  # a type that nobody knows, and entries that nobody can read
    for raw in ('{"order": 1', '{"order": 2'):
        queue.backend.server.shared.command(
            "XADD", queue.backend.names.queue("default").streams["n"], "*", "payload", raw
        )


def produce() -> None:
    """Enqueue for ever, with a burst now and then, as when somebody uploads a catalogue."""
    bursts = time.monotonic() + 15
    kinds, rates = [kind.enqueue for kind in KINDS], [kind.rate for kind in KINDS]
    while True:
        rand.choices(kinds, rates)[0]()
        time.sleep(rand.expovariate(sum(rates)))
        if time.monotonic() > bursts:
            bursts += 30
            for image in range(60):
                resize_image.enqueue(f"img/catalogue-{image:03}.jpg", 640)


if __name__ == "__main__":
    for step in (write_past, fill, partial(print, "filled", flush=True), produce):
        step()
