"""Frames carry whatever a task may be or end in, and nobody waits for the rest of one from a process that died."""

import socket

import pytest

from buraq.task import COMPLETED, Completed, Dead, Outcome, Released, Retried
from buraq.worker.frames import bytes_of, pack, read_outcome, receive, text_of, write_outcome


@pytest.mark.parametrize(
    "outcome",
    [
        COMPLETED,
        Completed('{"name":"Zoë"}'.encode(), 3_600_000),
        Retried(1500, b'{"id":"t1"}', True, "ValueError: no"),
        Retried(0, b"{}", False),
        Dead("crashed", "Crashed: …", "Traceback"),
        Released(),
    ],
)
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack({"outcome": write_outcome(outcome)}))
        read = read_outcome(next(receive(theirs))["outcome"])

    assert read == outcome
    assert (read is COMPLETED) == (outcome is COMPLETED)


def test_a_payload_passes_byte_by_byte() -> None:
    raw = bytes(range(256)) + b'"\\ud800"' + "🐎".encode()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(pack({"raw": text_of(raw)}))

        assert bytes_of(next(receive(theirs))["raw"]) == raw


def test_what_breaks_off_in_the_middle_is_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(pack({"n": 1}) + pack({"n": 2})[:-1])

        assert list(receive(theirs)) == [{"n": 1}]
