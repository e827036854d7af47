"""A consumer that keeps no books: what gevent, redis-py and the server allow, as a yardstick beside the worker.

It reads a batch, decodes, calls the function in a fresh context, and acknowledges, deletes and takes a batch out of
the index in one script. Nothing else: no lease, no reclaim, no retry, no timeout, no events, no metrics, no look at
what the server answered. When it dies, what it held stays where it is for ever. Nobody should use it.
"""

from gevent import monkey

monkey.patch_all()

import argparse
import contextvars
import os
import time
from collections.abc import Iterator

import gevent
import ujson
from gevent.event import Event
from gevent.queue import SimpleQueue
from redis import Redis

from benchmarks import cue
from benchmarks.children import STREAM
from benchmarks.harness import cpu

GROUP = "buraq_workers"
FETCH, SETTLE = 250, 500  # tasks of one round trip, at most
DONE = """
local n = #ARGV / 2
redis.call('XACK', KEYS[1], KEYS[3], unpack(ARGV, 1, n))
redis.call('XDEL', KEYS[1], unpack(ARGV, 1, n))
redis.call('HDEL', KEYS[2], unpack(ARGV, n + 1, 2 * n))
"""


class Floor:
    """Persistent greenlets between one that fetches and one that settles."""

    tasks = 0
    first, used_before = 0.0, 0.0

    def __init__(self, url: str, slots: int) -> None:
        self._url = url
        self._inbox: SimpleQueue[tuple[bytes, bytes]] = SimpleQueue()
        self._free = slots
        self._room, self._ended = Event(), Event()
        self._entries: list[bytes] = []
        self._ids: list[str] = []
        self._functions = {"noop": self._noop}
        self._current: contextvars.ContextVar[object] = contextvars.ContextVar("task")
        self._loops = [self._fetch, self._settle, *[self._slot] * slots]

    def start(self) -> None:
        """Begin to consume."""
        with Redis.from_url(self._url) as client:
            client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
        for loop in self._loops:
            gevent.spawn(loop)

    def _noop(self, user_id: int, template: str) -> None:
        if not self.tasks:
            self.first, self.used_before = time.monotonic(), cpu()
        self.tasks += 1

    def _fetch(self) -> None:
        connection = Redis.from_url(self._url, protocol=2).connection_pool.get_connection()
        while True:
            if not self._free:
                self._room.clear()
                self._room.wait()
            count = min(self._free, FETCH)
            connection.send_command(
                *("XREADGROUP", "GROUP", GROUP, f"floor-{os.getpid()}"),
                *("COUNT", count, "BLOCK", 2000, "STREAMS", STREAM, ">"),
            )
            for _, entries in connection.read_response() or ():
                self._free -= len(entries)
                for entry, fields in entries:
                    self._inbox.put((entry, fields[1]))

    def _slot(self) -> None:
        while True:
            entry, payload = self._inbox.get()
            task = ujson.loads(payload)
            contextvars.copy_context().run(self._call, task)
            self._entries.append(entry)
            self._ids.append(task["id"])
            self._free += 1
            self._ended.set()
            self._room.set()

    def _call(self, task: dict[str, object]) -> None:
        self._current.set(task)
        self._functions[task["type"]](**task["payload"])

    def _batches(self) -> Iterator[tuple[list[bytes], list[str]]]:
        while self._entries:
            entries, ids = self._entries[:SETTLE], self._ids[:SETTLE]
            del self._entries[:SETTLE], self._ids[:SETTLE]
            yield entries, ids

    def _settle(self) -> None:
        client = Redis.from_url(self._url, protocol=2)
        settled = client.register_script(DONE)
        client.script_load(DONE)
        connection = client.connection_pool.get_connection()
        while True:
            self._ended.wait()
            self._ended.clear()
            for entries, ids in self._batches():
                connection.send_command("EVALSHA", settled.sha, 3, STREAM, f"{STREAM}:index", GROUP, *entries, *ids)
                connection.read_response()


def main() -> None:
    """Consume."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=1000)
    floor = Floor(os.environ["REDIS_URL"], parser.parse_args().slots)
    cue.wait_to_begin()
    floor.start()
    cue.wait_to_end()
    cue.tell({"first": floor.first, "cpu": cpu() - floor.used_before, "tasks": floor.tasks, "peak": cue.peak_bytes()})


if __name__ == "__main__":
    main()
