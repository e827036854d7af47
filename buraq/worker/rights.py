"""Whether the user of the server may do all that a worker process does: asked before its first lease, writing nothing.

A script that is refused half way has written its first half: a task that was acknowledged and may not be added again is
lost. So nothing is fetched, promoted or reclaimed until the server has said that nothing will be refused.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from buraq.broker import Broker
from buraq.errors import ConfigError
from buraq.keys import Names
from buraq.permissions import PARTED, REMEDY, WHERE, is_denied
from buraq.scripts import Call, parse

# What is sent for each kind of key, in as few words as the server takes for a whole command; `#` stands for the key.
# With INFO, without which a process says less at its start, these are a worker's rules in docs/security.md.
_SENT = {
    "stream": (
        *("XADD # * a b", "XACK # g 0-1", "XDEL # 0-1", "XLEN #", "XRANGE # - +", "XPENDING # g"),
        *("XREADGROUP GROUP g c STREAMS # >", "XGROUP CREATE # g 0", "XGROUP DELCONSUMER # g c"),
        *("XINFO GROUPS #", "XINFO CONSUMERS # g"),
    ),
    "records": ("XADD # * a b", "XDEL # 0-1", "XLEN #", "XRANGE # - +"),
    "hash": ("HGET # a", "HMGET # a", "HSET # a b", "HDEL # a", "HLEN #"),
    "groups": ("HEXISTS # a", "HSET # a b", "HINCRBY # a 1", "HDEL # a", "HLEN #"),
    "paused": ("HKEYS #",),
    "process": ("HGET # a", "HSET # a b", "HSETNX # a b", "PEXPIRE # 1", "DEL #"),
    "zset": (
        *("ZADD # 0 a", "ZCARD #", "ZRANGE # 0 1", "ZRANGEBYSCORE # 0 1", "ZREM # a"),
        *("ZREMRANGEBYSCORE # 0 1", "ZSCORE # a"),
    ),
    "set": ("SADD # a", "SMEMBERS #"),
    "counters": ("BITFIELD # SET u8 0 0", "GETRANGE # 0 0", "SETRANGE # 0 a", "EXPIRE # 1"),
    "string": ("GET #", "SET # a"),
    "owner": ("GET #", "SET # a", "DEL #"),
    "channel": ("PUBLISH # a", "PUBSUB NUMSUB #", "PUBSUB NUMPAT"),
    "sharded": ("SPUBLISH # a", "PUBSUB SHARDNUMSUB #"),
    "": ("TIME", "CLIENT ID", "CLIENT UNBLOCK 1", "SCRIPT LOAD a", "EVALSHA a 0"),
}
_ANY = "any"  # in place of an id or a name
_SHOWN = 8  # commands, and keys, in the error

_QUESTION = parse(
    "rights",
    """-- Say which commands the user of this connection may not send. None is executed.
--
-- ARGV[1+] commands  their words, separated by line feeds
--
-- Returns the positions of those that it may not, from 1. A server that cannot say it returns none.

local denied = {}
for position = 1, redis.acl_check_cmd and #ARGV or 0 do
  local words = {}
  for word in string.gmatch(ARGV[position], '[^\\n]+') do words[#words + 1] = word end
  if not redis.acl_check_cmd(unpack(words)) then denied[#denied + 1] = position end
end
return denied
""",
)


class Rights:
    """What a worker process does with the queues of a shard, and whether it may."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def question(self, broker: Broker) -> Call:
        """Return the call that asks the server about all that is done with a queue."""
        return _QUESTION([], [_sent(form, key) for form, key in self.needed(broker)])

    def refused(self, broker: Broker, reply: Any) -> str:
        """Return what by the answer to `question` the user may not, for people to read; "" when it may all.

        Raises an error reply that says something else.
        """
        if isinstance(reply, Exception):
            if is_denied(reply):
                return str(reply).removesuffix(f": {REMEDY}")
            raise reply
        needed = self.needed(broker)
        denied = {needed[int(position) - 1] for position in reply}
        allowed = {rule_of(form) for form, key in needed if (form, key) not in denied}
        commands: dict[str, set[str]] = {}
        for form, key in denied:
            commands.setdefault(rule_of(form), set()).add(key)
        keys = set().union(*(commands.pop(rule) for rule in allowed & commands.keys()))
        lacking = {
            f"{rule} on {min(on)}" if len(on) == 1 and "" not in on else rule
            for rule, on in commands.items()
            if not on <= keys
        }
        return "; ".join(filter(None, (_listed("commands", lacking), _listed("keys", keys))))

    def needed(self, broker: Broker) -> list[tuple[str, str]]:
        """Return what is sent, each command with the key or the channel that it is for."""
        keys = broker.keys
        used = {
            "stream": list(keys.streams.values()),
            "records": [keys.dlq, *keys.histories.values()],
            "hash": [keys.index, keys.tasks, keys.finished],
            "groups": [keys.groups],
            "paused": [self._names.paused],
            "process": [keys.worker(_ANY), keys.settled(_ANY)],
            "zset": [keys.leases, keys.scheduled, keys.types],
            "set": [self._names.queues],
            "counters": [keys.statistics],
            "string": [keys.accepted(_ANY), keys.result(_ANY)],
            "owner": [keys.owner(_ANY)],
            "sharded" if broker.sharded else "channel": [broker.channel],
            "": [""],
        }
        return [(form, key) for kind, found in used.items() for key in found for form in _SENT[kind]]


def not_permitted(url: str, missing: str) -> ConfigError:
    """Return the error of a worker that must not start."""
    remedy = f"its user lacks {missing}; without them a worker may lose tasks half way. Grant it: {WHERE}"
    return ConfigError("REDIS_URL", url, remedy)


def rule_of(form: str) -> str:
    """Return the command of a form as an ACL rule names it, `xgroup|create`."""
    command, *arguments = form.lower().split()
    return f"{command}|{arguments[0]}" if command.upper() in PARTED else command


def _sent(form: str, key: str) -> str:
    return "\n".join(key if word == "#" else word for word in form.split())


def _listed(what: str, names: Collection[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{what} {shown}{more}" if names else ""
