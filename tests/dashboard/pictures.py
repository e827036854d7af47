"""Takes the pictures of docs/dashboard.md, of a shop that has run for some minutes:

.venv/bin/python -m tests.dashboard.pictures [SECONDS]     with requirements-test.txt and requirements-dev.txt
"""

import contextlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.dashboard.browser import PHONE, Chromium, Tab
from tests.dashboard.views import View, show
from tests.ports import free_port
from tests.servers import Server, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 200_000
EXACT = 192  # colours of a picture that stay as they are
APP = "tests.dashboard.shop:queue"


@contextlib.contextmanager
def shop(seconds: float) -> Iterator[str]:
    """Run a shop, and yield the address of its page when it has run for so many seconds."""
    with contextlib.ExitStack() as started:
        server = Server(aof=True, options=["--maxmemory", "256mb", "--maxmemory-policy", "noeviction"]).start()
        started.callback(server.remove)
        port = free_port()
        env = {**os.environ, "REDIS_URL": server.url, "LOG_LEVEL": "critical", "SHUTDOWN_TIMEOUT": "1s"}

        def run(*arguments: str, **more: str) -> subprocess.Popen[str]:
            own = {**env, "METRICS_PORT": f"127.0.0.1:{free_port()}", **more}
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], env=own, cwd=ROOT, text=True, stdout=subprocess.PIPE
            )
            started.callback(process.wait, 30)
            started.callback(process.terminate)
            return process

        producer = run("tests.dashboard.shop")
        assert producer.stdout is not None and producer.stdout.readline() == "filled\n"
        url = f"http://127.0.0.1:{port}"
        run("buraq", "api", APP, "--bind", f"127.0.0.1:{port}")
        eventually(lambda: urllib.request.urlopen(f"{url}/api/health").status == 200)
        act(url, "queues/newsletter/pause")
        quick = ("--queues", "default,mail,newsletter", "--processes", "2", "--concurrency", "3")
        run("buraq", "worker", APP, *quick, CONSUMER_NAME="web-1")
        run("buraq", "worker", APP, "--queues", "reports", "--concurrency", "3", CONSUMER_NAME="batch-1")
        time.sleep(seconds * 2 / 3)  # for charts with something in them
        act(url, "dead-letters/replay", {"filter": {"type": "sync_inventory"}})
        act(url, "dead-letters/delete", {"filter": {"reason": "rejected"}})
        time.sleep(seconds / 3)
        os.nice(15)  # what draws is not to keep the workers waiting, for their hub lag is in the pictures
        yield url


def act(url: str, path: str, body: object = None) -> None:
    """Do what somebody did by the page."""
    data, headers = json.dumps(body or {}).encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v1/{path}", data, headers))


# What an answer says of this machine and of this checkout is nobody's business.
def shortened(text: str) -> str:
    text = re.sub(rf'"hostname":"{re.escape(socket.gethostname())}"', '"hostname":"shop-1"', text)
    text = re.sub(r'"address":"redis://[^"]*"', '"address":"redis://valkey:6379/0"', text)
    text = re.sub(r"redis://127\.0\.0\.1:\d+/0", "redis://valkey:6379/0", text)
    return text.replace(f"{ROOT}/tests/dashboard/", "/srv/shop/").replace(f"{ROOT}/", "/srv/shop/lib/")


def shorten(route: "Route") -> None:
    answer = route.fetch()
    route.fulfill(response=answer, body=shortened(answer.text()))


def overview(page: "Page") -> None:
    page.locator(".uplot canvas").first.wait_for()
    page.locator(".react-flow__node").nth(4).wait_for()
    page.locator(".flow-column [data-card]").nth(4).wait_for()


def phone(page: "Page") -> None:
    page.locator(".flow-column [data-card]").first.wait_for()


def failed_task(page: "Page") -> None:
    """Show a task with all its attempts, and a traceback that has a cause."""
    page.locator("a", has_text="charge_card").nth(12).click()
    page.locator(".attempt-error").first.wait_for()


class Picture(NamedTuple):
    """What is shown at an address; `shows` brings it to where it is worth a picture, `sign` is a text that is there."""

    name: str
    address: str
    sign: str
    shows: Any = None
    size: "Any" = (1440, 900)


PICTURES = [
    Picture("overview", "", "Tasks on their way", overview, (1440, 1200)),
    Picture("queues", "queues", "Drained in", None, (1440, 480)),
    Picture("queue", "queues/reports", "High", None, (1440, 640)),
    Picture("tasks", "tasks?state=completed", "resize_image"),
    Picture("task", "tasks?state=failed&type=charge_card", "charge_card", failed_task),
    Picture("dead-letters", "dead-letters", "By type and error"),
    Picture("workers", "workers", "Hub lag", None, (1440, 480)),
    Picture("live", "live", "Completed"),
    Picture("system", "system", "Round trip", None, (1440, 640)),
    Picture("overview-phone", "", "Tasks on their way", phone, PHONE),
    Picture("dead-letters-phone", "dead-letters", "By type and error", None, PHONE),
]


def small(png: bytes) -> bytes:
    """Return a picture with 256 colours: a page has hardly more, and it takes a third.

    What is painted stays exact; the edges of letters, thousands of colours, share the rest of the palette.
    """
    import numpy as np
    from PIL import Image

    whole = Image.open(io.BytesIO(png)).convert("RGB")
    colours, place, count = np.unique(np.asarray(whole).reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    # A dot is small, and its colour says something; the greys of letters are many, and one is like the other.
    weight = count * (1 + np.ptp(colours.astype(int), axis=1) / 8)
    painted = colours[np.argsort(-weight)[:EXACT]]
    shared = Image.fromarray(colours[None]).quantize(256 - EXACT).getpalette()
    palette = np.concatenate([painted, np.reshape(shared, (-1, 3))[: 256 - EXACT]]).astype(np.uint8)
    # As Pillow would, but with all bits of a colour.
    apart = (colours[:, None].astype(int) - palette.astype(int)) ** 2
    nearest = apart.sum(axis=2).argmin(axis=1).astype(np.uint8)
    picture = Image.fromarray(nearest[place].reshape(whole.height, whole.width), "P")
    picture.putpalette(palette.flatten().tolist())
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def take(chromium: Chromium, url: str, picture: Picture, scheme: str) -> bytes:
    """Return one picture, and fail where the page complains of something."""
    if isinstance(picture.size, tuple):
        options: dict[str, Any] = {"viewport": {"width": picture.size[0], "height": picture.size[1]}}
    else:
        options = {"viewport": picture.size, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
    tab = Tab(chromium, url, color_scheme=scheme, **options)
    tab.page.route(re.compile(r"/api/v1/"), shorten)
    page = show(tab, View(picture.address, picture.sign))
    if picture.shows is not None:
        picture.shows(page)
    page.wait_for_timeout(3000)  # until the charts are drawn and the columns are full
    page.mouse.move(0, 0)
    taken = small(page.screenshot())
    page.unroute_all(behavior="wait")
    if len(taken) > MOST_BYTES or tab.complaints:
        sys.exit(f"{picture.name}, {scheme}: {len(taken)} bytes, {tab.complaints}")
    tab.close()
    return taken


def main(seconds: float, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with shop(seconds) as url, Chromium() as chromium:
        for picture in PICTURES:
            for scheme in ("light", "dark"):
                taken = take(chromium, url, picture, scheme)
                (folder / f"{picture.name}-{scheme}.png").write_bytes(taken)
                print(f"{picture.name}-{scheme}.png  {len(taken):,} bytes", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 180, Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER)
