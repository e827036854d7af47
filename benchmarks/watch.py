"""Somebody who watches the events: reads them from a raw socket as cheaply as can be, and counts them.

In a process of its own, so that it takes nothing from the worker; the kernel hands it many at once.
"""

from __future__ import annotations

import os
import socket
import threading
from urllib.parse import urlsplit

from benchmarks import cue
from benchmarks.harness import cpu

AT_ONCE = 1 << 20
A_WAKE_UP = 64 << 10  # bytes that have to be there before it is woken
AT_LEAST_EVERY = 0.1  # seconds; then it takes what there is
MARK = b'"task_id"'  # each event has one
LAST = b"pong\r\n"  # the answer to what is asked in the end: it comes after all that was published before


class Watcher:
    """Hears a channel until it is told to stop."""

    def __init__(self, url: str, channel: str) -> None:
        server = urlsplit(url)
        self._socket = socket.create_connection((server.hostname, server.port))
        self._socket.sendall(f"SUBSCRIBE {channel}\r\n".encode())
        self._socket.recv(4096)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, A_WAKE_UP)
        self._socket.settimeout(AT_LEAST_EVERY)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self.events = 0
        self.bytes = 0

    def start(self) -> None:
        """Begin to hear."""
        self._thread.start()

    def stop(self) -> None:
        """Hear what is still there, and end."""
        self._over.set()
        self._socket.sendall(b"PING\r\n")
        self._thread.join()

    def _listen(self) -> None:
        buffer = bytearray(AT_ONCE)
        view, kept = memoryview(buffer), 0
        while True:
            try:
                size = self._socket.recv_into(view[kept:])
            except TimeoutError:
                self._socket.setblocking(False)
                try:
                    size = self._socket.recv_into(view[kept:])
                except BlockingIOError:
                    size = 0
                self._socket.settimeout(AT_LEAST_EVERY)
            self.bytes += size
            end = kept + size
            self.events += buffer.count(MARK, 0, end)
            if self._over.is_set() and buffer.find(LAST, 0, end) >= 0:
                return
            kept = min(end, len(MARK) - 1)  # a mark may begin in this read and end in the next
            buffer[:kept] = buffer[end - kept : end]


def main() -> None:
    """Watch."""
    watcher = Watcher(os.environ["REDIS_URL"], "buraq_events")
    cue.wait_to_begin()
    used = cpu()
    watcher.start()
    cue.wait_to_end()
    watcher.stop()
    cue.tell({"cpu": cpu() - used, "events": watcher.events, "bytes": watcher.bytes})


if __name__ == "__main__":
    main()
