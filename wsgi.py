"""The API for any WSGI server: `gunicorn wsgi:app`, which reads gunicorn.conf.py beside this file."""

from buraq.web import create_app

app = create_app()
