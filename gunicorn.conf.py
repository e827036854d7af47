"""How gunicorn runs the API: `gunicorn wsgi:app` in this folder. `buraq api` does the same without it."""

# Before anything that opens a socket or a lock is imported, or it would hold up all greenlets for ever after.
from gevent import monkey

monkey.patch_all()

import sys

from buraq.config import Config
from buraq.errors import ConfigError
from buraq.web.serve import settings

try:
    globals().update(settings(Config.from_env()))
except ConfigError as error:
    sys.exit(f"Error: {error}")
