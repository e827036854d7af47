"""What to say when the server refuses a command, by its ACL or for a key's type: which, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import NoPermissionError, ResponseError

from buraq.scripts import Argument, name_of

# How a server says that of what a script called; Redis 7.0 in other words than its successors and Valkey.
_IN_SCRIPTS = ("ACL failure in script", "The user executing the script can't")
WHERE = "docs/security.md has the rules, ACL LOG on the server says what was refused"
REMEDY = f"grant it to the user in REDIS_URL; {WHERE}"
_OF_SEVERAL = ("EVALSHA", "XREADGROUP")
PARTED = ("XINFO", "XGROUP", "CLIENT", "SCRIPT", "PUBSUB", "CLUSTER")  # their first argument belongs to the name


def is_denied(error: Exception) -> bool:
    """Whether an error reply says that the user may not do that."""
    if isinstance(error, NoPermissionError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_IN_SCRIPTS)


def is_refused(error: Exception) -> bool:
    """Whether an error reply says that the user may not do that, or that it cannot be done with a key of that type.

    What it was about the server does not say.
    """
    return is_denied(error) or is_wrong_type(error)


def is_wrong_type(error: object) -> bool:
    """Whether a reply says that a key holds another type of value than the command is for."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def explained(error: Exception, words: Sequence[Argument]) -> Exception:
    """Return a refusal of the command `words` with its name and a remedy, or the key; any other error as it is."""
    if is_denied(error):
        return NoPermissionError(f"{_named(words)}: {error}: {REMEDY}")
    return ResponseError(f"{_named(words)}{_key(words)}: {error}") if is_refused(error) else error


def _key(words: Sequence[Argument]) -> str:
    """Return the key of a command after a blank, "" for one that has several."""
    at = 2 if words[0] in PARTED else 1
    if words[0] in _OF_SEVERAL or len(words) <= at:
        return ""
    key = words[at]
    return f" {key.decode(errors='replace') if isinstance(key, bytes) else key}"


def _named(words: Sequence[Argument]) -> str:
    """Return the name of a command, and no argument of it: that may be a payload."""
    command, *arguments = [str(word) for word in words[:2]]
    if command == "EVALSHA":
        return f"EVALSHA of {name_of(arguments[0])}.lua"
    return " ".join([command, *arguments]) if command in PARTED else command
