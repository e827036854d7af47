"""Loads the transitions in `lua/` and turns each into calls that a `Link` can send."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Argument = str | bytes | int

_DECLARED = re.compile(r"^-- (KEYS|ARGV)\[(\d+)(\+?)\]", re.MULTILINE)
_USES = re.compile(r"^--.*\bUses ([a-z, ]+)\.$", re.MULTILINE)


class Call(NamedTuple):
    """One run of a script: what to send."""

    script: Script
    keys: Sequence[str]
    args: Sequence[Argument]

    def command(self) -> tuple[Argument, ...]:
        """Return the words of the EVALSHA that runs it."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)


@dataclass(frozen=True)
class Script:
    """One Lua file. Its header is the contract: a call with the wrong number of keys or arguments is refused."""

    name: str
    source: str
    sha: str
    keys: int  # how many are declared one by one
    args: int
    more_keys: bool  # whether a list of further ones may follow
    more_args: bool

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Call:
        """Return the call. Raises `TypeError` when keys or arguments are not as many as the header declares."""
        if (
            len(keys) < self.keys
            or len(args) < self.args
            or (len(keys) > self.keys and not self.more_keys)
            or (len(args) > self.args and not self.more_args)
        ):
            raise TypeError(
                f"{self.name}.lua takes {self.keys} keys and {self.args} arguments, got {len(keys)} and {len(args)}"
            )
        return Call(self, keys, args)


def parse(name: str, source: str) -> Script:
    """Read the contract in a script's header."""
    header = source.partition("\n\n")[0]
    declared = _DECLARED.findall(header)
    fixed = [kind for kind, _, plus in declared if not plus]
    more = [kind for kind, _, plus in declared if plus]
    sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
    _names[sha] = name
    return Script(name, source, sha, fixed.count("KEYS"), fixed.count("ARGV"), "KEYS" in more, "ARGV" in more)


# In a cluster PUBLISH goes to every node, and none knows who listens at another. A sharded channel stays with the keys
# of its shard: its listeners come there, and can be counted there.
_SHARDED = (
    ("redis.pcall('PUBLISH',", "redis.pcall('SPUBLISH',"),
    ("redis.pcall('PUBSUB', 'NUMSUB',", "redis.pcall('PUBSUB', 'SHARDNUMSUB',"),
    ("redis.pcall('PUBSUB', 'NUMPAT')", "0"),
)


@cache
def load(name: str, sharded: bool = False) -> Script:
    """Return the transition `name`, from `lua/<name>.lua`, with the functions that its header says it uses.

    `sharded` with its events on a sharded channel.
    """
    source = with_parts(_read(name))
    for plain, of_shard in _SHARDED if sharded else ():
        source = source.replace(plain, of_shard)
    return parse(name, source)


_names: dict[str, str] = {}  # of the scripts that were read, by their SHA


def name_of(sha: str) -> str:
    """Return the script that an EVALSHA runs, its SHA where it is none that was read here."""
    return _names.get(sha, sha)


def with_parts(source: str) -> str:
    """Put the functions of `lua/parts/` that a header names ("Uses count, keep.") between header and body."""
    header, _, body = source.partition("\n\n")
    uses = _USES.search(header)
    parts = [_read(f"parts/{part}") for part in uses[1].split(", ")] if uses else []
    return "\n".join([f"{header}\n", *parts, body])


def _read(name: str) -> str:
    return (files("buraq") / "lua" / f"{name}.lua").read_text(encoding="utf-8")
