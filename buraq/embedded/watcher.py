"""The watcher of an embedded server: `python -m buraq.embedded.watcher BINARY [DIRECTORY]`.

It runs the server until standard input ends, and says on standard output what became of it, in one
line of JSON. It stands between the server and its starter so that neither has to trust the other
to come to an orderly end.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

START_S = 10.0  # a server that gives no answer for this long has failed to start
STOP_S = 10.0  # what a stopping server gets before SIGKILL
WHERE = "server.json"  # in a kept directory: where its server listens
PR_SET_PDEATHSIG = 1


class NotStarted(Exception):
    """The server did not start; the message says why."""


class StarterGone(Exception):
    """Standard input ended."""


def watch(binary: str, directory: Path | None) -> int:
    """Run a server, temporary or kept in `directory`, while its starter lives.

    Returns the exit status.
    """
    # A platform's stop reaches every process at once, and those who drain still need the server.
    # Handlers, because SIG_IGN would be inherited by the server.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    os.umask(0o077)
    try:
        if directory is None:
            with _temporary_directory() as temporary:
                _serve(binary, temporary, lock=None)
        else:
            _serve_or_attach(binary, directory)
    except StarterGone:
        pass
    except (NotStarted, OSError) as error:
        _report(error=str(error))
        return 1
    return 0


@contextlib.contextmanager
def _temporary_directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="buraq-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve_or_attach(binary: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    where = directory / WHERE
    with (directory / "server.lock").open("wb") as lock:
        deadline = time.monotonic() + START_S
        # While another holds the lock, its server may be about to start, or to stop: then the
        # lock is ours.
        while not _take(lock):
            answer = "it did not say where it listens"
            with contextlib.suppress(OSError, ValueError):
                known = json.loads(where.read_text())
                address = Address(**known["address"])
                answer = address.ping()
                if answer == "+PONG":
                    return _report(url=address.url, pid=known["pid"], attached=True)
            if answer.startswith("-LOADING"):
                deadline = time.monotonic() + START_S
            if time.monotonic() > deadline:
                raise NotStarted(
                    f"a server that does not answer ({answer}) holds {lock.name}. "
                    f"End the processes that `fuser {lock.name}` lists, and start again"
                )
            _wait(0.05)
        # Whatever an earlier holder left there is no longer true.
        where.unlink(missing_ok=True)
        _serve(binary, directory, lock)


def _take(lock: BinaryIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _serve(binary: str, directory: Path, lock: BinaryIO | None) -> None:
    address = Address.within(directory)
    log = directory / "server.log"
    server = _launch(binary, directory, address, log, lock)
    try:
        if lock is not None:
            # Renamed into place, so that nobody who wants to attach reads half of it.
            fresh = directory / f"{WHERE}.new"
            fresh.write_text(json.dumps({"address": asdict(address), "pid": server.pid}))
            fresh.replace(directory / WHERE)
        _wait_until_it_answers(server, address, log)
        _report(url=address.url, pid=server.pid, attached=False)
        while server.poll() is None:
            _wait(1.0)
    finally:
        # First, so that nobody attaches to a server that is about to end.
        (directory / WHERE).unlink(missing_ok=True)
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _launch(
    binary: str, directory: Path, address: "Address", log: Path, lock: BinaryIO | None
) -> "subprocess.Popen[bytes]":
    kept = lock is not None
    watcher = os.getpid()

    def end_with_the_watcher() -> None:
        # For a watcher that gets SIGKILL. The kernel binds this to the thread that forked; the
        # watcher has only one.
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != watcher:
                os._exit(1)

    options = {
        **address.options(),
        "dir": str(directory),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if kept else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    with log.open("wb") as output:
        server = subprocess.Popen(
            # The dash: read further settings from standard input. `ps` would show everybody a
            # password among the arguments.
            [binary, *arguments, "-"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            # The server holds the lock too: none is started beside one whose watcher was killed.
            pass_fds=[] if lock is None else [lock.fileno()],
            preexec_fn=end_with_the_watcher,
        )
    assert server.stdin is not None
    with contextlib.suppress(BrokenPipeError), server.stdin as settings:
        settings.write(f"requirepass {address.password}\n".encode() if address.password else b"")
    return server


def _wait_until_it_answers(server: "subprocess.Popen[bytes]", address: "Address", log: Path) -> None:
    deadline = time.monotonic() + START_S
    while (answer := address.ping()) != "+PONG":
        if answer.startswith("-LOADING"):  # it reads what it kept, which may take any time
            deadline = time.monotonic() + START_S
        if server.poll() is not None:
            problem = f"it ended with status {server.returncode}"
        elif time.monotonic() > deadline:
            problem = f"it gave no answer within {START_S:g} s ({answer})"
        else:
            _wait(0.01)
            continue
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise NotStarted(f"{problem}. The end of {log}:\n{tail}")


def _wait(seconds: float) -> None:
    """Wait, but no longer than the starter lives. Raises StarterGone."""
    if select.select([sys.stdin], [], [], seconds)[0]:
        raise StarterGone


def _report(**facts: object) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(facts), flush=True)


@dataclass(frozen=True)
class Address:
    """Where a server listens: on a unix socket, or else on loopback with a password."""

    path: str = ""
    port: int = 0
    password: str = ""

    @classmethod
    def within(cls, directory: Path) -> "Address":
        """Return a socket in `directory` where there can be one."""
        path = directory / "server.sock"
        path.unlink(missing_ok=True)
        # Some file systems have no sockets, and no address holds a path of much over 100 bytes.
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.bind(os.fsencode(path))
            path.unlink()
            return cls(path=str(path))
        return cls(port=free_port(), password=secrets.token_urlsafe(24))

    @property
    def url(self) -> str:
        if self.path:
            return f"unix://{quote(self.path)}?db=0"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def options(self) -> dict[str, str]:
        """Return the server's settings for this address, without the password."""
        if self.path:
            return {"port": "0", "unixsocket": self.path, "unixsocketperm": "700"}
        return {"port": str(self.port), "bind": "127.0.0.1"}

    def ping(self) -> str:
        """Return the server's answer, `+PONG` when it is ready, or why there is none."""
        try:
            with self._connect() as connection, connection.makefile("rwb", 0) as stream:
                if self.password:
                    stream.write(f"AUTH {self.password}\r\n".encode())
                    stream.readline()
                stream.write(b"PING\r\n")
                return stream.readline().decode(errors="replace").strip()
        except OSError as error:
            return str(error)

    def _connect(self) -> socket.socket:
        if not self.path:
            return socket.create_connection(("127.0.0.1", self.port), timeout=1)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(1)
            connection.connect(os.fsencode(self.path))
        except OSError:
            connection.close()
            raise
        return connection


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nobody listens.

    It is below those that the kernel gives to clients: a client that tries and tries to connect
    to one of these while its server is down may in the end be connected to itself.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m buraq.embedded.watcher BINARY [DIRECTORY]")
    sys.exit(watch(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) == 3 else None))
