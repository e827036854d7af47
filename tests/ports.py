"""Ports for what tests start. Somebody's may be free, and taken before it is used: by a neighbour of the same fleet, or
by the other process that runs tests.
"""

import os
from collections import deque

from buraq.embedded.watcher import free_port as _free_port

_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
# One that takes the place of a crashed one has the next number.
_MINE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
_given: deque[int] = deque(maxlen=1000)


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens, and that nobody else was given lately."""
    while True:
        port = _free_port()
        if port % _PROCESSES == _MINE and port not in _given:
            _given.append(port)
            return port
