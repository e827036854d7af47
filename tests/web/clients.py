"""Real gunicorn processes that serve the API, and a reader of their event streams."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.ports import free_port
from tests.servers import PATIENCE, eventually

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ("PATH", "HOME", "LANG", "TMPDIR", "BURAQ_TEST_RUN", "COVERAGE_PROCESS_START")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Frame(NamedTuple):
    event: str | None
    id: str | None
    data: Any
    retry: str | None


class EventReader:
    """One client of an event stream, on a bare socket."""

    def __init__(
        self,
        port: int,
        path: str = "/api/stream",
        last_id: str | None = None,
        address: str = "",
        version: str = "1.1",
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(address, 0))
        resume = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.socket.sendall(f"GET {path} HTTP/{version}\r\nHost: localhost\r\n{resume}\r\n".encode())
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value
        self._lines: list[str] = []
        self._rest = b""

    def frame(self) -> Frame | None:
        """Return the next frame that is no comment, None at the end of the stream."""
        while True:
            fields: dict[str, str] = {}
            while (line := self._line()) not in ("", None):
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
            if fields:
                data = json.loads(fields["data"])
                return Frame(fields.get("event"), fields.get("id"), data, fields.get("retry"))
            if line is None:
                return None

    def comment(self) -> str:
        """Return the next line that is a comment."""
        while (line := self._line()) is not None:
            if line.startswith(":"):
                return line
        raise EOFError("the stream ended")

    def frames(self, count: int) -> list[Frame | None]:
        return [self.frame() for _ in range(count)]

    def _line(self) -> str | None:
        if "transfer-encoding" not in self.headers:
            plain = self._file.readline()
            return plain.decode().removesuffix("\n") if plain else None
        while b"\n" not in self._rest:
            size = int(self._file.readline() or b"0", 16)
            chunk = self._file.read(size)
            if not size:
                return None
            self._file.readline()
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class ApiProcess:
    """Gunicorn with its workers, on a port of its own."""

    def __init__(self, log: Path, *arguments: str, cwd: Path = ROOT, **env: str) -> None:
        self.port = free_port()
        self.log = log
        settings = {name: os.environ[name] for name in PLAIN if name in os.environ}
        settings |= {"PYTHONPATH": str(ROOT), "LOG_FORMAT": "json", **env}
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", *arguments]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=cwd, env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(self, method: str, path: str, **headers: str) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def wait(self, path: str = "/api/health") -> Self:
        def answers() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"gunicorn ended: {self.log.read_text()}")
            return self.get(path).status > 0

        eventually(answers)
        return self

    def stop(self, number: int = signal.SIGTERM, within: float = PATIENCE) -> float:
        """Stop it and return how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(within)
        return time.monotonic() - began

    def remove(self) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
