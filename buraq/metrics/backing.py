"""The files that a process keeps its figures in, made so that a full disk cannot kill it.

prometheus-client maps sparse files: what is written to a part for which the disk has no room is no error there but
SIGBUS, the end of the process with all that it runs. Here the room is taken first. Where there is none, the log says
so, and new figures stay in memory until there is.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

from prometheus_client import mmap_dict, values

_FIRST = 1 << 16  # bytes that a file has at first, as prometheus-client makes it
_BESIDE_KEY = 40  # bytes that a value takes beside its key, at most
_AGAIN = 60.0  # seconds after which room is asked for again

_log = logging.getLogger(__name__)
_Files: Any = mmap_dict.MmapedDict  # it is not typed


def reserve(file: BinaryIO, size: int) -> None:
    """Have a file that is open for writing be `size` bytes long at least, all of them with their room on the disk.

    Raises `OSError` where there is none.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.seek(0, os.SEEK_END)
        file.write(bytes(max(0, size - file.tell())))
        file.flush()


class Backed(_Files):  # type: ignore[misc]
    """A file of values with room on the disk for all that it holds, and in memory those for which there was none."""

    def __init__(self, filename: str) -> None:
        self._path = Path(filename)
        self._kept: dict[str, tuple[float, float]] = {}  # values that have no room
        self._again = 0.0  # when room is asked for again, monotonic
        self._f: Any = None
        self._m: Any = None
        self._positions: dict[str, int] = {}
        self._used = self._capacity = 0

    def read_value(self, key: str) -> tuple[float, float]:
        """Return a value and its time; (0.0, 0.0) for one that there was not."""
        if key not in self._positions and not self._has_room(key):
            return self._kept.setdefault(key, (0.0, 0.0))
        value: tuple[float, float] = super().read_value(key)
        return value

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep a value: in the file, or in memory where that has no room."""
        if key in self._positions or self._has_room(key):
            self._kept.pop(key, None)
            super().write_value(key, value, timestamp)
        else:
            self._kept[key] = (value, timestamp)

    def _has_room(self, key: str) -> bool:
        """Make room for one value more. Returns False where the disk has none."""
        if time.monotonic() < self._again:
            return False
        try:
            if self._f is None:
                self._open()
            capacity, needed = self._capacity, self._used + len(key.encode()) + _BESIDE_KEY
            while capacity < needed:
                capacity *= 2
            if capacity > self._capacity:
                reserve(self._f, capacity)
                self._m, self._capacity = mmap.mmap(self._f.fileno(), capacity), capacity
        except OSError as error:
            self._again = time.monotonic() + _AGAIN
            told = {"file": str(self._path), "error": str(error)}
            _log.error("no room for metrics: new ones stay in memory, and are not shown", extra=told)
            return False
        return True

    def _open(self) -> None:
        """Open the file. One that is new gets its name when it has its room: others read all files that there are."""
        if self._path.exists():
            with self._path.open("r+b") as file:
                reserve(file, max(_FIRST, self._path.stat().st_size))
        else:
            new = self._path.with_suffix(".new")
            try:
                with new.open("wb") as file:
                    reserve(file, _FIRST)
                new.replace(self._path)
            finally:
                new.unlink(missing_ok=True)
        super().__init__(str(self._path))


def install() -> None:
    """Have prometheus-client keep the figures of this process, and of those forked from it, in such files.

    It has no setting for that: its own class is replaced where it makes its files.
    """
    maker: Any = values
    if getattr(maker, "MmapedDict", None) is _Files:
        maker.MmapedDict = Backed
