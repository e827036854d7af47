"""The HTTP API: a blueprint for any Flask app, and an app of its own around it."""

from buraq.web.application import create_app
from buraq.web.blueprint import blueprint

__all__ = ["blueprint", "create_app"]
