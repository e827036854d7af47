"""A small shop: a Flask app with a factory, routes and a rate limit of its own, and a task queue."""

from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from buraq.web import blueprint
from shop.routes import routes
from shop.tasks import queue

limiter = Limiter(get_remote_address, default_limits=["5 per minute"], storage_uri="memory://")


def create_app(**config: object) -> Flask:
    """Return the app. Buraq's settings come from BURAQ_… in its config, else from the environment."""
    app = Flask(__name__)
    app.config.update(SHOP_NAME="Corner Shop", ORDERS_FOLDER="orders")
    app.config.from_prefixed_env("SHOP")
    app.config.update(config)

    queue.init_app(app)
    limiter.init_app(app)
    app.register_blueprint(routes)

    # The API and the metrics of the queue, beside the shop's own routes. It has a limit of its own, so the shop's
    # default limit, which is for customers, is taken off it.
    api = blueprint(name="queue_api")
    limiter.exempt(api)
    app.register_blueprint(api, url_prefix="/queue")
    return app
