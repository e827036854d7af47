"""What there is no room for on a phone: nothing that matters is left out, and nothing lies on something else."""

from collections.abc import Callable

import pytest

from tests.dashboard.browser import PHONE, Tab
from tests.web.clients import ApiProcess
from tests.web.workplace import Workplace

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

OpenTab = Callable[..., Tab]
StartApi = Callable[..., ApiProcess]


@pytest.mark.parametrize(
    ("state", "error"), [("failed", "ValueError: no"), ("dead", "ConnectionError: the bank does not answer")]
)
def test_on_a_phone_a_task_that_went_wrong_says_why(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, state: str, error: str
) -> None:
    from playwright.sync_api import expect

    page = open_tab(start_api().url, viewport=PHONE, has_touch=True).go(f"tasks?state={state}")

    expect(page.locator(".task-row").get_by_text(error).first).to_be_visible()


OVERLAPS = """() => {
  const parts = [...document.querySelectorAll(".brand, .side-foot .button, .side-foot .pulse, .side-foot .segmented")];
  const boxes = parts.map((part) => [part.textContent || part.className, part.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], n) => [
    ...(a.left < 0 || a.right > innerWidth ? [`${one} is cut off`] : []),
    ...boxes.slice(n + 1)
      .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
      .map(([other]) => `${one} / ${other}`),
  ]);
}"""


@pytest.mark.parametrize("width", [390, 360])
def test_on_a_phone_signing_in_and_out_covers_nothing(
    open_tab: OpenTab, start_api: StartApi, workplace: Workplace, width: int
) -> None:
    tab = open_tab(start_api(API_KEY="0p3n-s3sam3").url, viewport={**PHONE, "width": width}, has_touch=True)
    page = tab.go()
    sign_in = page.get_by_role("button", name="Sign in")
    sign_in.wait_for()
    assert page.evaluate(OVERLAPS) == []

    sign_in.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("0p3n-s3sam3")
    dialog.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()
    page.get_by_role("button", name="Stop following").click()
    assert page.evaluate(OVERLAPS) == []
