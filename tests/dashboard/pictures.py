"""Takes the pictures of docs/dashboard.md, of a demo that has run for some minutes:

.venv/bin/python -m tests.dashboard.pictures [SECONDS]     with requirements-test.txt and requirements-dev.txt
"""

import io
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.dashboard.browser import Chromium, Tab
from tests.ports import free_port
from tests.servers import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 200_000
LIVELY = "40ms"  # between two made-up tasks


@contextmanager
def demo(seconds: float) -> Iterator[str]:
    """Run a demo, and yield its address when it has run for so many seconds."""
    port = free_port()
    ports = {"API_PORT": f"127.0.0.1:{port}", "METRICS_PORT": f"127.0.0.1:{free_port()}"}
    env = {**os.environ, **ports, "MOCK_TASK_INTERVAL": LIVELY, "LOG_LEVEL": "critical"}
    process = subprocess.Popen([sys.executable, "-m", "buraq", "demo"], env=env, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: urllib.request.urlopen(f"{url}/api/health").status == 200)
        time.sleep(seconds)  # for charts with something in them
        yield url
    finally:
        process.terminate()
        process.wait(30)


def overview(tab: Tab) -> "Page":
    page = tab.go()
    page.locator(".uplot canvas").first.wait_for()
    page.locator(".react-flow__node").nth(4).wait_for()
    page.locator(".flow-column [data-card]").nth(4).wait_for()
    return page


def dead_letters(tab: Tab) -> "Page":
    page = tab.go("dead-letters")
    page.get_by_role("button", name="Retry all").first.wait_for()
    return page


def task(tab: Tab) -> "Page":
    """Show a task that has failed more than once: a dead letter's."""
    page = dead_letters(tab)
    page.locator(".letter-link").first.click()
    page.get_by_role("button", name="Edit and retry").wait_for()
    return page


PICTURES = [("overview", "light", overview), ("overview", "dark", overview), ("dead-letters", "light", dead_letters)]
PICTURES += [("dead-letter", "dark", task)]


# In tracebacks, where this checkout lies is nobody's business.
SHORTENED = """(root) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(root, "/srv/shop");
}"""


def small(png: bytes) -> bytes:
    """Return a picture with 256 colours: a page has hardly more, and it takes a third."""
    from PIL import Image

    packed = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        packed, "PNG", optimize=True
    )
    return packed.getvalue()


def main(seconds: float) -> None:
    FOLDER.mkdir(exist_ok=True)
    with demo(seconds) as url, Chromium() as chromium:
        for name, scheme, show in PICTURES:
            size = {"width": 1440, "height": 1072 if name == "overview" else 900}
            tab = Tab(chromium, url, color_scheme=scheme, viewport=size)
            page = show(tab)
            page.wait_for_timeout(3000)  # until the charts are drawn and the columns are full
            page.mouse.move(0, 0)
            page.evaluate(SHORTENED, str(ROOT))
            picture = small(page.screenshot())
            if len(picture) > MOST_BYTES or tab.complaints:
                sys.exit(f"{name}, {scheme}: {len(picture)} bytes, {tab.complaints}")
            (FOLDER / f"{name}-{scheme}.png").write_bytes(picture)
            print(f"{name}-{scheme}.png  {len(picture):,} bytes")
            tab.close()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 180)
