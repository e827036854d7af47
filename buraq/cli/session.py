"""What each command starts from: the settings, with the global options over them, and the server behind them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from buraq.app import Buraq
from buraq.backend import Backend
from buraq.cli.failures import Away
from buraq.config import SETTINGS, Config
from buraq.embedded import resolve
from buraq.errors import ConfigError, ServerUnreachable
from buraq.setting import PREFIX
from buraq.target import load

EMBEDDED = "embedded://"


def put(env: MutableMapping[str, str], field: str, value: str) -> None:
    """Write a setting into an environment so that nothing else in there wins over it."""
    known = next(setting for setting in SETTINGS if setting.field == field)
    for variable in known.variables:
        env.pop(PREFIX + variable.removeprefix(PREFIX), None)
    env[next(iter(known.variables))] = value


def check_concurrency() -> None:
    """Make sure that gunicorn can be imported: it reads WEB_CONCURRENCY then. Raises `ConfigError`.

    Set to nothing, as by a compose file that hands a variable on, it is not set.
    """
    written = os.environ.get("WEB_CONCURRENCY", "")
    if not written.strip():
        os.environ.pop("WEB_CONCURRENCY", None)
    elif not written.strip().isdecimal():
        raise ConfigError("WEB_CONCURRENCY", written, "it takes a whole number, the processes of `buraq api`")


@contextmanager
def resolved(config: Config) -> Iterator[Config]:
    """Start the embedded server that REDIS_URL asks for, if it does, and give the settings with the URL to connect to.

    The environment says the same then: a user's module whose `Buraq()` reads it must not come to another server. The
    server ends with the block.
    """
    url, server = resolve(config.redis_url)
    try:
        if url != config.redis_url:
            config = dataclasses.replace(config, redis_url=url, explicit=config.explicit | {"redis_url"})
        if "redis_url" in config.explicit:
            put(os.environ, "redis_url", url)
        yield config
    finally:
        if server is not None:
            server.stop()


@dataclass
class Session:
    """The global options. `url` wins over REDIS_URL, `target` over BURAQ_APP."""

    url: str | None = None
    target: str | None = None

    def config(self, **overrides: Any) -> Config:
        """Return the settings of the environment, with options over them. Raises `ConfigError`."""
        given = {"redis_url": self.url, "app": self.target, **overrides}
        if self.url is not None:  # that very server, whatever the environment says of others
            given |= {"redis_sentinels": "none", "redis_sentinel_master": "none", "redis_cluster": False}
        # An option that was not given says nothing; None as an override would say "none".
        return Config.from_env(**{field: value for field, value in given.items() if value is not None})

    @contextmanager
    def queue(self) -> Iterator[Buraq]:
        """Give the queue to work on, once its server answers: the target's, else one without task functions.

        Raises `ServerUnreachable`, `ConfigError` and `TargetError`.
        """
        config = self.config()
        if config.redis_url == EMBEDDED:
            raise ConfigError(
                "REDIS_URL",
                EMBEDDED,
                "it would be a new and empty server; name the one that your worker uses, as in "
                "embedded:///path or redis://localhost:6379/0",
            )
        with resolved(config) as config:
            app = self.use_url(load(config.app), config) if config.app else Buraq(config)
            with reached(app.backend):
                yield app

    def use_url(self, app: Buraq, config: Config) -> Buraq:
        """Let --url win over what a target's own code says of the server; all else that it says holds."""
        if self.url is not None and app.config.redis_url != config.redis_url:
            url = config.redis_url
            app.use(dataclasses.replace(app.config, redis_url=url, redis_sentinels=(), redis_cluster=False))
        return app


@contextmanager
def reached(backend: Backend) -> Iterator[None]:
    """Ask the server whether it is there, and say how to reach it whenever it is not. Raises `ServerUnreachable`."""
    try:
        for shard in backend.shards:
            shard.server.shared.command("TIME")  # which each user of docs/security.md may ask, and PING only the API's
        yield
    except Away as error:
        raise ServerUnreachable(backend.config.masked_url, str(error)) from error
    finally:
        backend.close()
