"""Servers that let in only whom they know: one behind TLS, one with users of limited rights."""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from redis import Redis
from redis.exceptions import ResponseError

from tests.security.rules import USERS, additions, rules, together
from tests.servers import CLIENT, Server

ADMIN = "admin"
# redis-py says at each connection which version it is, and takes no for an answer; Redis 7.0 knows no rule for it.
GREETING = ("client|setinfo", "client")


class Authority:
    """Signs certificates for 127.0.0.1 and localhost, by the `openssl` program. Raises FileNotFoundError without it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise FileNotFoundError("openssl is not installed")
        self._folder = folder
        self.certificate = folder / "authority.crt"
        self._key = folder / "authority.key"
        self._openssl(
            "req", "-x509", *self._new(self._key), "-out", self.certificate, "-days", "2", "-subj", "/CN=tests"
        )

    def sign(self, name: str) -> tuple[Path, Path]:
        """Return the files of a new certificate and of its key."""
        certificate, key, request, names = (self._folder / f"{name}.{end}" for end in ("crt", "key", "csr", "ext"))
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl("req", *self._new(key), "-out", request, "-subj", f"/CN={name}")
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-extfile", names)
        self._openssl("x509", "-req", "-in", request, *signed, "-out", certificate, "-days", "2")
        return certificate, key

    def _new(self, key: Path) -> tuple[object, ...]:
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key

    def _openssl(self, *words: object) -> None:
        done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class TlsServer(Server):
    """A server that speaks TLS only, its certificate signed by an authority that nobody knows who is not told.

    The Valkey of the wheel is built without TLS, so it is a Redis. With `mutual` it asks for a certificate of its
    clients, too.
    """

    def __init__(self, kind: str = "redis", *, mutual: bool = False, aof: bool = False) -> None:
        super().__init__(kind, aof=aof)
        self.authority = Authority(self.home)
        certificate, key = self.authority.sign("server")
        self.mutual = mutual
        self.client_certificate = self.authority.sign("client") if mutual else None
        self._options += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "yes" if mutual else "no"]
        self._options += ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
        self._options += ["--tls-ca-cert-file", str(self.authority.certificate)]

    @property
    def bare_url(self) -> str:
        """The URL of somebody who was not told of the authority."""
        return f"rediss://127.0.0.1:{self.port}/0"

    @property
    def url(self) -> str:
        facts = {"ssl_ca_certs": self.authority.certificate}
        if self.client_certificate:
            facts |= zip(("ssl_certfile", "ssl_keyfile"), self.client_certificate, strict=True)
        return f"{self.bare_url}?{urlencode(facts)}"


class AclServer(Server):
    """A server whose default user is off: each user has a password and rules, `admin` may do all.

    `users` are rules by name, in the words of ACL SETUSER: `{"producer": "~buraq_tasks* -@all +evalsha"}`.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        kind: str = "valkey",
        *,
        aof: bool = False,
        options: Sequence[str] = (),
        passwords: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(kind, aof=aof, options=options)
        self._passwords = passwords or {name: secrets.token_hex(8) for name in (*users, ADMIN)}
        given = {**users, ADMIN: "~* &* +@all"}
        lines = [f"user {name} on >{self._passwords[name]} {rule}" for name, rule in given.items()]
        if "default" not in users:
            lines.append("user default off")
        self.users_file = self.home / "users"
        self.users_file.write_text("\n".join([*lines, ""]))
        self._options += ["--aclfile", str(self.users_file)]

    @property
    def url(self) -> str:
        return self.url_of(ADMIN)

    def url_of(self, user: str) -> str:
        return f"redis://{user}:{self._passwords[user]}@127.0.0.1:{self.port}/0"

    def password_of(self, user: str) -> str:
        return self._passwords[user]

    def client_of(self, user: str, **options: Any) -> Redis:
        """Return a client that may what the user may."""
        client = Redis.from_url(self.url_of(user), **{**CLIENT, **options})
        self._clients.append(client)
        return client

    def refused(self) -> list[tuple[str, str, str]]:
        """Return what was refused so far, newest first: the user, `command`, `key`, `channel` or `auth`, and which."""
        with self.client() as client:
            return [(entry["username"], entry["reason"], entry["object"]) for entry in client.acl_log()]


class StrictServer(AclServer):
    """A server that lets Buraq in as one user who may what worker, producer and API may, by the rules of the docs.

    That user is in its `url`; the tests' own clients may do all. It knows the three users of the docs as well. The
    passwords are those of all strict servers, which so can follow each other. `place` is of tests/security/rules.py.
    """

    USER = "buraq"
    PASSWORDS: ClassVar[dict[str, str]] = {name: secrets.token_hex(8) for name in (USER, *USERS, ADMIN)}

    def __init__(
        self, kind: str = "valkey", *, aof: bool = False, options: Sequence[str] = (), place: str = ""
    ) -> None:
        following = ("--masteruser", ADMIN, "--masterauth", self.PASSWORDS[ADMIN])
        known = {self.USER: together(), **rules()}
        super().__init__(known, kind, aof=aof, options=(*following, *options), passwords=self.PASSWORDS)
        self._place = place

    def ready(self) -> Self:
        super().ready()
        with self.client() as client:
            for user in (self.USER, *USERS):
                for word in additions(self._place, user if user in USERS else ""):
                    with contextlib.suppress(ResponseError):  # an older server that does not know the command
                        client.execute_command("ACL", "SETUSER", user, word)
            client.execute_command("ACL", "SAVE")  # who comes back at once after a restart finds the same rules
        return self

    def denied(self) -> list[tuple[str, str, str]]:
        """Return what was refused to Buraq so far, newest first, as `refused` does."""
        ours = (self.USER, *USERS)
        return [one for one in self.refused() if one[0] in ours and one[2] not in GREETING]

    @property
    def url(self) -> str:
        return self.url_of(self.USER)

    @property
    def own_url(self) -> str:
        return self.url_of(ADMIN)

    @property
    def unix_url(self) -> str:
        return f"unix://{self.USER}:{self._passwords[self.USER]}@{self.socket}?db=0"
