"""How gunicorn runs the shop. A stream of events holds its connection, so the workers are greenlets, not threads."""

# First of all: what opens sockets or locks must find them patched.
from gevent import monkey

monkey.patch_all()

from buraq import metrics

worker_class = "gevent"
worker_connections = 1000
control_socket_disable = True

# Several processes answer on one port: they share their figures, and one that ended takes its gauges along.
metrics.prepare_multiprocess()


def child_exit(server, worker):
    metrics.forget_process(worker.pid)
