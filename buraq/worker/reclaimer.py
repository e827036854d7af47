"""Takes the entries of dead worker processes and gives them another chance, or buries them."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import ujson

from buraq.attempts import add as add_attempt
from buraq.broker import RECLAIM_BATCH, Broker, Reclaimable
from buraq.config import Config
from buraq.connection import SharedLink
from buraq.deadletters import ShardLetters
from buraq.groups import LetterGroup
from buraq.keys import DEAD, FRONT, LETTERS, SUSPECTS
from buraq.records import write
from buraq.replies import checked, unix_ms
from buraq.task import Dead, Delivery, Undecodable, decode
from buraq.worker.lease import Lease, leases_of
from buraq.worker.loop import Loop

log = logging.getLogger(__name__)

SUSPECT_DEATHS = 2  # from so many deaths on a task is a suspect
MOST_DEATHS = 5  # a task with retries is buried when its deaths exceed this, or its retries
FOREIGN_IDLE_MS = 3600 * 1000  # a consumer that is not ours is left alone unless idle for so long
OUR_NAME = re.compile(r"~[0-9a-f]{8}$")
_TRIM_EVERY = 60.0
_FIRST_LOOK, _NEXT_LOOK = 0.1, 1.0  # seconds; what a group held waits for its successor, which waits for its lease


def target_of(deaths: int, max_retries: int) -> str:
    """Return where a task goes whose process has died `deaths` times: front, suspects or the dead letters."""
    if deaths > (0 if max_retries == 0 else max(max_retries, MOST_DEATHS)):
        return DEAD
    return SUSPECTS if deaths >= SUSPECT_DEATHS else FRONT


class Reclaimer(Loop):
    """Looks for consumers without a valid lease and takes what is pending under their names.

    Only of those whose death an arbiter has seen, until our own lease has been held for two renewals without a lapse:
    after an outage longer than a lease everybody has lapsed, and the first one back would rob the living.
    """

    name = "reclaim"
    interval = _FIRST_LOOK

    def __init__(
        self,
        link: SharedLink,
        lease: Lease,
        brokers: Callable[[], tuple[Broker, ...]],
        reclaimed: Callable[[int, int], None],
        letters: Callable[[str], ShardLetters],
        config: Config,
    ) -> None:
        super().__init__()
        self._link = link
        self._lease = lease
        self._brokers = brokers
        self._reclaimed = reclaimed
        self._letters = letters
        self._config = config
        self._trimmed = 0.0

    def step(self) -> None:
        """Look once at each queue."""
        if time.monotonic() - self._trimmed > _TRIM_EVERY:
            self._trimmed = time.monotonic()
            self.trim()
        self.interval = _NEXT_LOOK if self._lease.valid else _FIRST_LOOK
        if self._lease.valid:
            self.each(self._brokers(), self.look)

    def look(self, broker: Broker) -> None:
        """Reclaim from every process of one queue that is dead, as far as may be told yet."""
        streams = broker.keys.streams
        asks = [("XINFO", "CONSUMERS", streams[letter], broker.group) for letter in LETTERS]
        rows, clock, *consumers = self._link.commands(
            [("ZRANGE", broker.keys.leases, 0, -1, "WITHSCORES"), ("TIME",), *asks]
        )
        now_ms, leases = unix_ms(clock), leases_of(checked(rows))
        gone: list[tuple[str, str]] = []
        for letter, reply in zip(LETTERS, consumers, strict=True):
            if isinstance(reply, Exception):
                continue  # no such stream or group: the fetcher makes it
            for row in reply:
                facts = dict(zip(row[::2], row[1::2], strict=False))
                name = facts[b"name"].decode(errors="replace")
                if leases.get(name, 0.0) > now_ms or name == self._lease.name:
                    continue
                if OUR_NAME.search(name) or int(facts[b"idle"]) > FOREIGN_IDLE_MS:
                    gone.append((letter, name))
        if self._lease.held < 2:
            gone = self._seen_to_die(broker, gone)
        for letter, name in gone:
            self._take_from(broker, letter, name)

    def _seen_to_die(self, broker: Broker, gone: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return those of the silent whose arbiter has seen them die."""
        replies = self._link.commands([broker.died_question(name) for _, name in gone]) if gone else []
        return [who for who, died in zip(gone, replies, strict=True) if checked(died) is not None]

    def _take_from(self, broker: Broker, letter: str, dead: str) -> None:
        """Take all that is pending of one stream under a dead process's name, batch by batch."""
        stream = broker.keys.streams[letter]
        while not self.stopping:
            words = ("XPENDING", stream, broker.group, "-", "+", RECLAIM_BATCH, dead)
            pending, clock = self._link.commands([words, ("TIME",)])
            asks = [("XRANGE", stream, row[0], row[0]) for row in checked(pending)]
            # A refusal must not pass for an entry without a body: its deaths would begin anew.
            bodies = [checked(body) for body in self._link.commands(asks)] if asks else []
            now_ms = unix_ms(clock)
            entries = [
                self._judge(broker, letter, row[0], body, dead, now_ms - int(row[2]))
                for row, body in zip(pending, bodies, strict=True)
            ]
            reply = self._link.call(broker.reclaim(letter, self._lease.name, dead, entries))
            self.tick()
            if reply[0] != b"OK":
                return
            again, buried = int(reply[1]), int(reply[2])
            if again or buried:
                facts = {"worker": dead, "again": again, "buried": buried, "queue": broker.keys.name}
                log.warning("reclaimed from a dead worker process", extra=facts)
                self._reclaimed(again, buried)
            if len(pending) < RECLAIM_BATCH:
                return

    def _judge(self, broker: Broker, letter: str, entry: bytes, body: Any, worker: str, started_ms: int) -> Reclaimable:
        fields = body[0][1] if body else []
        delivery = Delivery(broker.keys, letter, entry, fields, 0)
        deaths = delivery.deaths + 1
        queue = ujson.dumps(broker.keys.name)
        try:
            task = decode(delivery.raw or b"")
        except Undecodable:  # whoever fetches it next will bury it, and say why
            return Reclaimable(entry, "", FRONT, deaths, f'"worker_id":"","queue":{queue}', "")
        note = f'"worker_id":"","task_type":{ujson.dumps(task.type)},"queue":{queue},"deaths":{deaths}'
        target = target_of(deaths, task.max_retries)
        attempts = add_attempt(delivery.attempts, "died", task.attempt, worker, started_ms, None)
        if target != DEAD:
            return Reclaimable(entry, task.id, target, deaths, note, "", attempts)
        raw = delivery.raw or b""
        kept = write(raw, task, worker, deaths, attempts, reason="crashed") if self._config.history_length else ""
        group = LetterGroup.of(task.type, Dead("crashed"))
        return Reclaimable(
            entry, task.id, target, deaths, note, task.idempotency_key, attempts, group.id, group.facts, kept
        )

    def trim(self) -> None:
        """Delete the dead letters that DLQ_MAX_AGE and DLQ_MAX_LENGTH no longer keep."""
        age, length = self._config.dlq_max_age, self._config.dlq_max_length
        if age is None and length is None:
            return
        now_ms = int(time.time() * 1000 + self._lease.clock_ahead_ms)

        def trim(broker: Broker) -> None:
            letters = self._letters(broker.keys.name)
            while letters.trim(int(age * 1000) if age is not None else None, length, now_ms):
                self.tick()

        self.each(self._brokers(), trim)
