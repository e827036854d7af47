"""A real Chromium, and tabs in it that note whatever a good page does not do."""

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.sweeper import folder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

WIDE: "ViewportSize" = {"width": 1440, "height": 900}
PHONE: "ViewportSize" = {"width": 390, "height": 844}
BARRIERS = """async () => {
  const options = { resultTypes: ["violations"], preload: false };
  const { violations } = await axe.run(document, options);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any, all }) => `${id}: ${html.slice(0, 160)} ${(any[0] ?? all[0])?.message ?? ""}`));
}"""
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Debian's own start script and a container's root both want no sandbox; the rest is what would call home.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_MS = 45_000


class Chromium:
    """A Chromium without a window. Raises FileNotFoundError where it or what drives it is missing."""

    def __init__(self) -> None:
        try:
            import axe_playwright_python
            from playwright.sync_api import expect, sync_playwright
        except ImportError as error:
            raise FileNotFoundError(f"{error.name} is not installed: see requirements-test.txt") from None
        found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            raise FileNotFoundError("chromium is not installed")
        self.axe = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
        self._binary = found
        self._driver = sync_playwright()
        expect.set_options(timeout=PATIENCE_MS)

    def __enter__(self) -> Self:
        home = folder("chromium-")  # it also writes where HOME is
        with contextlib.ExitStack() as started:
            driver = started.enter_context(self._driver)
            env = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
            self.browser: Browser = driver.chromium.launch(
                executable_path=self._binary, args=list(ARGUMENTS), env=env, timeout=3 * PATIENCE_MS
            )
            started.callback(self.browser.close)
            self._started = started.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._started.close()


class Tab:
    """A tab with a session of its own, on one site, that notes what it should not say or ask."""

    def __init__(self, chromium: Chromium, site: str, **options: Any) -> None:
        self.site = site.rstrip("/")
        self._axe = chromium.axe
        self._said: list[str] = []
        self._forgiven: list[str] = []
        self.asked: list[str] = []  # the address of each request
        # What moves has no fixed place and what fades in no contrast; both are tested where they are decided.
        options = {"viewport": WIDE, "reduced_motion": "reduce", **options}
        self.context = chromium.browser.new_context(**options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self._said.append(f"error: {error}"))
        self.context.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._said.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        self.asked.append(url)
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob", "about") and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self._said.append(f"asked another host: {url}")

    @property
    def origin(self) -> str:
        parts = urlsplit(self.site)
        return f"{parts.scheme}://{parts.netloc}"

    def go(self, view: str = "") -> "Page":
        """Open a view of the page: `go("tasks?state=failed")`."""
        self.page.goto(f"{self.site}/#/{view}")
        return self.page

    def barriers(self) -> list[str]:
        """What axe finds in the view between it and some of its readers."""
        self.page.evaluate(self._axe)
        found: list[str] = self.page.evaluate(BARRIERS)
        return found

    def forgive(self, pattern: str) -> None:
        """Expect a complaint, before or after this, because the test provokes it."""
        self._forgiven.append(pattern)

    @property
    def complaints(self) -> list[str]:
        """What it said or asked and should not have, and what was to be forgiven and never came."""
        wrong = [said for said in self._said if not any(re.search(pattern, said) for pattern in self._forgiven)]
        missing = [p for p in self._forgiven if not any(re.search(p, said) for said in self._said)]
        return wrong + [f"nothing was heard of {pattern}" for pattern in missing]

    def close(self) -> None:
        self.context.close()
