"""What each user of the server sends by its scripts, read from their source."""

import re

from buraq.scripts import load

BY_USER = {
    "worker": (
        *("enqueue", "cancel", "announce", "complete", "retry", "bury", "release", "duplicate"),
        *("promote", "reclaim", "lease", "leave"),
    ),
    "producer": ("enqueue", "cancel"),
    "api": ("enqueue", "cancel", "replay", "purge"),
}
_CALL = re.compile(r"\b(?:p?call|redis\.p?call)\(\s*'([A-Z]+)'(?:,\s*'([A-Z]+)')?")
_PARTED = ("PUBSUB", "XGROUP", "XINFO")  # whose rules name the part


def of_scripts(user: str, sharded: bool = False) -> set[str]:
    """Return the commands that the scripts of a user call, as rules name them; `sharded` those of a cluster."""
    found = {call for name in BY_USER[user] for call in _CALL.findall(load(name, sharded).source)}
    return {f"{word}|{part}".lower() if word in _PARTED else word.lower() for word, part in found}
