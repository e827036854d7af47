"""What the shop does in the background. The queue is there before any app: `init_app` joins the two."""

from pathlib import Path

from flask import current_app

from buraq import Buraq

queue = Buraq()


@queue.task(max_retries=5, timeout=30)
def confirm_order(number: int) -> None:
    """Write the confirmation of an order. Each task has a fresh app context, so `current_app` and `g` work."""
    folder = Path(current_app.config["ORDERS_FOLDER"])
    folder.mkdir(parents=True, exist_ok=True)
    text = f"{current_app.config['SHOP_NAME']}: your order {number} is on its way.\n"
    (folder / f"{number}.txt").write_text(text, encoding="utf-8")
