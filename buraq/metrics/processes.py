"""Several processes behind one port: the folder in which they share their figures."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from buraq.metrics.folding import fold

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_prepared: dict[int, str] = {}  # process that prepared a folder -> the folder
_made: set[str] = set()  # folders that we have made: nobody reads there who does not know of our lock


def prepare_multiprocess() -> str:
    """Have all processes that are forked from this one share their figures; return the folder that they share.

    Call it once, in the parent, before user code is imported. Uses PROMETHEUS_MULTIPROC_DIR when it is set, and forgets
    what processes left there that no longer live; else makes a folder that goes away with this process. Raises
    RuntimeError when prometheus_client was imported before: its figures would stay apart.
    """
    given = os.environ.get(FOLDER)
    if given and given == _prepared.get(os.getpid()):
        return given  # asked again, as by gunicorn when it reads its configuration anew
    if "prometheus_client" in sys.modules and not given:
        raise RuntimeError(
            f"prometheus_client was imported before prepare_multiprocess(): set {FOLDER} to an empty folder, "
            "or import what needs it later"
        )
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        _forget_the_dead(Path(given))
        _prepared[os.getpid()] = given
        _back_the_files()
        return given
    folder = tempfile.mkdtemp(prefix="buraq-metrics-")
    os.environ[FOLDER] = folder
    _made.add(folder)
    _prepared[os.getpid()] = folder
    owner = os.getpid()

    def remove() -> None:
        # Forked children inherit this function, and the folder is still their parent's.
        if os.getpid() == owner:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    _back_the_files()
    return folder


def _back_the_files() -> None:
    from buraq.metrics import backing  # which imports prometheus_client: that reads the folder's name then

    backing.install()


def _forget_the_dead(folder: Path) -> None:
    """Remove the files of earlier runs: their counters would never start at 0 again."""
    for path in folder.glob("*.db"):
        pid = path.stem.rpartition("_")[2]
        if pid.isdecimal() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def is_ours(folder: str) -> bool:
    """Whether we have made a folder, or the process that this one was forked from."""
    return folder in _made


def forget_process(pid: int) -> None:
    """Drop the gauges of a process that ended. What it counted stays: that happened. For gunicorn's `child_exit`."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return
    from prometheus_client.multiprocess import mark_process_dead

    with contextlib.suppress(FileNotFoundError):
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
    if is_ours(folder):
        with contextlib.suppress(OSError):  # a full disk, or somebody who holds the lock: then its files stay
            fold(Path(folder), pid)
