"""What to say when the server's ACL refuses a command: which, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from redis.exceptions import NoPermissionError, ResponseError

from buraq.scripts import Argument, name_of

# How a server says that of what a script called; Redis 7.0 in other words than its successors and Valkey.
_IN_SCRIPTS = ("ACL failure in script", "The user executing the script can't")
WHERE = "docs/security.md has the rules, ACL LOG on the server says what was refused"
REMEDY = f"grant it to the user in REDIS_URL; {WHERE}"
PARTED = ("XINFO", "XGROUP", "CLIENT", "SCRIPT", "PUBSUB", "CLUSTER")  # their first argument belongs to the name


def is_denied(error: Exception) -> bool:
    """Whether an error reply says that the user may not do that."""
    if isinstance(error, NoPermissionError):
        return True
    return isinstance(error, ResponseError) and str(error).startswith(_IN_SCRIPTS)


def explained(error: Exception, words: Sequence[Argument]) -> Exception:
    """Return the error reply to the command `words` with its name and a remedy; what is no refusal as it is."""
    return NoPermissionError(f"{_named(words)}: {error}: {REMEDY}") if is_denied(error) else error


def _named(words: Sequence[Argument]) -> str:
    """Return the name of a command, and no argument of it: that may be a payload."""
    command, *arguments = [str(word) for word in words[:2]]
    if command == "EVALSHA":
        return f"EVALSHA of {name_of(arguments[0])}.lua"
    return " ".join([command, *arguments]) if command in PARTED else command
