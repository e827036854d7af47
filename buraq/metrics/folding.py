"""What processes counted that have ended: kept in one file for all of them.

Each process has files of its own, which stay when it ends, for what it counted has happened. A group that replaces its
processes would have thousands after some days, and whoever is asked for the figures reads every one of them.
"""

from __future__ import annotations

import contextlib
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = ("counter", "histogram", "summary")  # whose values can be added up; of gauges each mode has its own rule
GONE = "gone"  # in the place of a process id
_LOCK = "folding.lock"


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Have the files stay as they are inside the block: figures must not be read twice, or not at all."""
    with _locked(folder, alone=False):
        yield


def fold(folder: Path, pid: int) -> None:
    """Add what a process counted that has ended to what those before it did, and remove its files."""
    with _locked(folder, alone=True):
        for kind in KINDS:
            own = folder / f"{kind}_{pid}.db"
            if own.exists():
                _add(own, folder / f"{kind}_{GONE}.db")
                own.unlink(missing_ok=True)


def _add(source: Path, target: Path) -> None:
    """Add the values of one file to another, all or none: what breaks half way would be counted again."""
    from prometheus_client import mmap_dict

    files: Any = mmap_dict.MmapedDict
    try:
        values = list(files.read_all_values_from_file(str(source)))
    except (struct.error, RuntimeError, ValueError):  # it died before it had written its first one whole
        return
    new = target.with_suffix(".new")
    new.unlink(missing_ok=True)
    if target.exists():
        shutil.copyfile(target, new)
    sums = files(str(new))
    try:
        for key, value, _, _ in values:
            sums.write_value(key, sums.read_value(key)[0] + value, 0.0)
    finally:
        sums.close()
    new.replace(target)


@contextlib.contextmanager
def _locked(folder: Path, alone: bool) -> Iterator[None]:
    import fcntl  # not everywhere, and needed where gunicorn runs alone

    with (folder / _LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
