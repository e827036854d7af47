"""What processes counted that have ended: kept in one file for all of them.

Each process has files of its own, which stay when it ends, for what it counted has happened. A group that replaces its
processes would have thousands after some days, and whoever is asked for the figures reads every one of them.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("counter", "histogram", "summary")  # whose values can be added up; of gauges each mode has its own rule
GONE = "gone"  # in the place of a process id
UNREADABLE = (struct.error, RuntimeError, ValueError)  # what is raised of a file that was not written whole
_LOCK = "folding.lock"
_PATIENCE = 1.0  # seconds for which the lock is waited for: who holds it may be stopped, and the arbiter has more to do
_BESIDE_KEY = 40  # bytes that a value takes in a file beside its key, at most


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Have the files stay as they are inside the block: figures must not be read twice, or not at all.

    Raises `OSError` when that cannot be had within a second.
    """
    with _locked(folder, alone=False):
        yield


def fold(folder: Path, pid: int) -> None:
    """Add what a process counted that has ended to what those before it did, and remove its files.

    Raises `OSError` where that cannot be done, as on a full disk: what it has not added stays in files of its own.
    """
    with _locked(folder, alone=True):
        for kind in KINDS:
            own = folder / f"{kind}_{pid}.db"
            if own.exists():
                _add(own, folder / f"{kind}_{GONE}.db")
                own.unlink(missing_ok=True)


def _add(source: Path, target: Path) -> None:
    """Add the values of one file to another, all or none: what breaks half way would be counted again."""
    from prometheus_client import mmap_dict

    from buraq.metrics.backing import reserve

    files: Any = mmap_dict.MmapedDict
    try:
        values = list(files.read_all_values_from_file(str(source)))
    except UNREADABLE:  # it died before it had written its first one whole
        return
    if not values:
        return
    if target.exists():
        values += files.read_all_values_from_file(str(target))
    sums: dict[str, float] = {}
    for key, value, _, _ in values:
        sums[key] = sums.get(key, 0.0) + value
    new = target.with_suffix(".new")
    try:
        with new.open("wb") as file:  # what is written through a mapping needs its room beforehand
            reserve(file, sum(len(key.encode()) + _BESIDE_KEY for key in sums))
        written = files(str(new))
        try:
            for key, total in sums.items():
                written.write_value(key, total, 0.0)
        finally:
            written.close()
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(folder: Path, alone: bool) -> Iterator[None]:
    import fcntl  # not everywhere, and needed where gunicorn runs alone

    how = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB
    until = time.monotonic() + _PATIENCE
    with (folder / _LOCK).open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, how)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise
            time.sleep(0.01)
        yield
