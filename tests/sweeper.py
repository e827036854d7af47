"""Folders that go with this process, even when it is killed."""

import subprocess
import tempfile
from pathlib import Path

# Reads the folders' names and, when whoever holds the pipe has ended, removes them. What is killed with that process
# may still write for a moment.
_SWEEP = """
while read -r path; do set -- "$@" "$path"; done
for again in 1 2 3 4 5; do rm -rf -- "$@" && exit; sleep 0.2; done
"""
_sweepers: list["subprocess.Popen[bytes]"] = []


def folder(prefix: str) -> Path:
    """Make a temporary folder that is removed at the latest when this process ends, however it does."""
    path = Path(tempfile.mkdtemp(prefix=prefix))
    sweep(path)
    return path


def sweep(path: Path) -> None:
    """Have a folder removed when this process has ended."""
    if not _sweepers:
        # In a session of its own: Ctrl-C ends this process, and not what cleans up after it.
        _sweepers.append(
            subprocess.Popen(["/bin/sh", "-c", _SWEEP], stdin=subprocess.PIPE, cwd="/", env={}, start_new_session=True)
        )
    pipe = _sweepers[0].stdin
    assert pipe is not None
    pipe.write(f"{path}\n".encode())
    pipe.flush()
