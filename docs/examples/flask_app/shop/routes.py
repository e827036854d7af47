"""The shop's own routes."""

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from shop.tasks import confirm_order

routes = Blueprint("shop", __name__)


@routes.get("/")
def home() -> ResponseReturnValue:
    return f"Welcome to {current_app.config['SHOP_NAME']}!\n"


@routes.post("/orders/<int:number>")
def order(number: int) -> ResponseReturnValue:
    """Accept an order; the confirmation is written by a worker."""
    # Whoever sends an order twice gets one confirmation: the second task is a duplicate of the first.
    task = confirm_order.options(idempotency_key=f"confirm:{number}").enqueue(number)
    return jsonify(order=number, task=task.id), 202
