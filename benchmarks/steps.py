"""What each step of a task's life costs the server, and the process that takes it.

Every transition by itself, on one connection, one task a call and many a call. Nothing else runs, so that the server's
CPU is the step's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import ujson
from redis import Redis

from benchmarks.harness import WARM_UP_RUNS, Figures, fresh_server, parser, report, server_cpu, summary, url_of
from buraq import Buraq
from buraq.broker import Broker, Item, Reclaimable, Replayable
from buraq.connection import Link
from buraq.groups import LetterGroup
from buraq.keys import FRONT, NORMAL
from buraq.records import write
from buraq.replies import checked
from buraq.task import COMPLETED, Dead, Delivery, Released, Retried, decode

LIVING, DEAD = "living~00000001", "dying~00000002"
HOUR_MS = 3_600_000
DIED = Dead("max_retries", "ValueError: nobody is there", 'Traceback:\n  File "tasks.py", line 1, in noop\n' * 8)


class Life:
    """A queue on an empty server, whose every transition is called here, and measured."""

    def __init__(self, client: Redis, tasks: int, at_once: int) -> None:
        self.figures: dict[str, Figures] = {}
        self._client, self._tasks, self._at_once = client, tasks, at_once
        backend = Buraq(redis_url=url_of(client)).backend
        self._broker: Broker = backend.broker("default")
        self._link: Link = backend.server.link()
        self._numbers = iter(range(1, 1 << 60))
        self._link.commands(self._broker.group_commands())
        self._renew()

    def measured(self, step: str, act: Callable[[], int]) -> None:
        """Do a step with all tasks, and note what each of them cost in microseconds. `act` returns how many calls."""
        self._client.config_resetstat()
        servers, own = server_cpu(self._client), time.process_time()
        calls = act()
        own, servers = time.process_time() - own, server_cpu(self._client) - servers
        said: dict[str, Any] = self._client.info("commandstats")
        command = said.get("cmdstat_evalsha") or said["cmdstat_xreadgroup"]
        tasks = self._tasks if step != "lease" else calls
        self.figures[step] = {
            "server µs": servers / tasks * 1e6,
            "of it in the command µs": command["usec"] / tasks,
            "caller µs": own / tasks * 1e6,
        }

    # -- steps; those that return a number are what is measured

    def enqueue(self, due: str = "") -> int:
        """Accept all tasks, at once or due later."""
        return self._each(range(self._tasks), lambda some: self._enqueue_some(some, due))

    def _enqueue_some(self, some: Sequence[int], due: str) -> None:
        number = next(self._numbers)
        items = [Item(self._id(n), NORMAL, due, "", self._payload(n)) for n in some]
        self._link.call(self._broker.enqueue(items, "producer", number))

    def _id(self, number: int) -> str:
        return f"{number:032x}"

    def _payload(self, number: int) -> bytes:
        task = {"id": self._id(number), "type": "noop", "payload": {"user_id": number}}
        told = {"created_at": "2026-11-28T12:00:00.000000Z", "max_retries": 3, "current_retries": 0}
        return str(ujson.dumps(task | told)).encode()

    def fetch(self, who: str = LIVING, letter: str = NORMAL, into: list[Delivery] | None = None) -> int:
        """Hand all out, and read them."""
        calls, keys, stream = 0, self._broker.keys, self._broker.keys.streams[letter]
        words = ("XREADGROUP", "GROUP", self._broker.group, who, "COUNT", self._at_once, "STREAMS", stream, ">")
        while reply := checked(self._link.commands([words])[0]):
            calls += 1
            for entry, fields in reply[0][1]:
                delivery = Delivery(keys, letter, entry, fields, 0)
                delivery.task = decode(delivery.raw or b"")
                if into is not None:
                    into.append(delivery)
        return calls

    def fetched(self, letter: str = NORMAL, who: str = LIVING) -> list[Delivery]:
        """Hand all out, and return them. Raises RuntimeError where the step before has lost some."""
        found: list[Delivery] = []
        self.fetch(who, letter, found)
        if len(found) != self._tasks:
            raise RuntimeError(f"{len(found):,} of {self._tasks:,} tasks are in {self._broker.keys.streams[letter]}")
        return found

    def settle(self, deliveries: Sequence[Delivery], outcome: Any) -> int:
        """Write the outcome of all of them."""
        for delivery in deliveries:
            delivery.outcome = outcome
            delivery.record = self._record(delivery) if outcome is DIED or isinstance(outcome, Retried) else ""
        return self._each(
            deliveries, lambda some: self._link.call(self._broker.settle(some, LIVING, next(self._numbers), 0, ""))
        )

    def _record(self, delivery: Delivery) -> str:
        assert delivery.task is not None
        return write(delivery.raw or b"", delivery.task, LIVING, 0, b"", error=DIED.error, traceback=DIED.traceback)

    def promote(self) -> int:
        """Move all that is due."""
        calls = 0
        while int(checked(self._link.call(self._broker.promote(self._now_ms + HOUR_MS, self._at_once)))[0]):
            calls += 1
        return calls

    def replay(self) -> int:
        """Put all dead letters back."""
        kin = LetterGroup.of("noop", DIED)
        rows = self._link.commands([("XRANGE", self._broker.keys.dlq, "-", "+")])[0]
        letters = [
            Replayable(entry.decode(), decode(found[b"payload"]), found[b"payload"], b"", kin.id)
            for entry, fields in rows
            for found in [dict(zip(fields[::2], fields[1::2], strict=True))]
        ]
        return self._each(letters, lambda some: self._link.call(self._broker.replay(some)))

    def reclaim(self, held: Sequence[Delivery]) -> int:
        """Take all from a process that has no lease."""
        entries = [
            Reclaimable(delivery.entry, delivery.task.id, FRONT, 1, '"worker_id":"","task_type":"noop"', "")
            for delivery in held
            if delivery.task
        ]
        return self._each(
            entries, lambda some: self._link.call(self._broker.reclaim(NORMAL, LIVING, DEAD, some, self._now_ms))
        )

    def cancel(self) -> int:
        """Take all back, one by one: no call cancels several."""
        for number in range(self._tasks):
            self._link.call(self._broker.cancel(self._id(number)))
        return self._tasks

    def lease(self) -> int:
        """Renew the lease of a process a thousand times."""
        for _ in range(1000):
            self._renew()
        return 1000

    def _renew(self) -> None:
        facts = {f"fact_{number}": "some text" for number in range(15)}
        self._link.call(self._broker.lease(LIVING, 24 * HOUR_MS, dict(facts)))

    @property
    def _now_ms(self) -> int:
        return int(time.time() * 1000)

    def _each(self, things: Sequence[Any], do: Callable[[Any], object]) -> int:
        calls, rest = 0, iter(things)
        while some := list(islice(rest, self._at_once)):
            do(some)
            calls += 1
        return calls


def lived(client: Redis, tasks: int, at_once: int) -> dict[str, Figures]:
    """Have tasks go through every step, and return what each cost."""
    life = Life(client, tasks, at_once)
    life.measured("enqueue", life.enqueue)
    found: list[Delivery] = []
    life.measured("fetch", lambda: life.fetch(into=found))
    life.measured("complete", lambda: life.settle(found, COMPLETED))
    life.enqueue()
    found = life.fetched()
    life.measured("hand back", lambda: life.settle(found, Released()))
    found = life.fetched(FRONT)
    payload = found[0].raw or b""
    life.measured("retry", lambda: life.settle(found, Retried(1000, payload, error=DIED.error)))
    life.measured("promote", life.promote)
    found = life.fetched()
    life.measured("bury", lambda: life.settle(found, DIED))
    life.measured("replay", life.replay)
    found = life.fetched(who=DEAD)
    life.measured("reclaim", lambda: life.reclaim(found))
    life.settle(life.fetched(FRONT), COMPLETED)
    life.measured("enqueue, due later", lambda: life.enqueue(f"+{HOUR_MS}"))
    if at_once == 1:
        life.measured("cancel", life.cancel)
        life.measured("lease", life.lease)
    return life.figures


def rounds(options: argparse.Namespace) -> Iterator[tuple[str, Figures]]:
    """Yield what each step cost, round by round."""
    runs, warm_up = (1, 0) if options.quick else (options.runs, WARM_UP_RUNS)
    for number in range(warm_up + runs):
        for at_once, tasks in ((1, options.tasks // 10), (options.at_once, options.tasks)):
            with fresh_server() as client:
                figures = lived(client, tasks, at_once)
            if number >= warm_up:
                yield from ((f"{step}, {at_once} a call", seen) for step, seen in figures.items())


def main() -> None:
    """Measure all steps."""
    made = parser(__doc__)
    made.add_argument("--tasks", type=int, default=20_000, help="in calls of many; a tenth of them one by one")
    made.add_argument("--at-once", type=int, default=100, help="tasks in a call of many")
    options = made.parse_args()
    if options.quick:
        options.tasks, options.at_once = 200, 10
    seen: dict[str, list[Figures]] = {}
    for case, figures in rounds(options):
        seen.setdefault(case, []).append(figures)
    cases = [summary(case, rows) for case, rows in seen.items()]
    report("steps", cases, vars(options), keep=not options.quick, folder=options.results)


if __name__ == "__main__":
    main()
