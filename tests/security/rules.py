"""The rules of docs/security.md, read from there: what is tested is what is written."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
_ADDED = re.compile(r"^\| .+ \| `(\+[^`]+)`", re.MULTILINE)
_RULE = re.compile(r"^user (\w+) on >CHANGE-ME (.+)$", re.MULTILINE)


def rules(stream_name: str = "buraq_tasks", events: str = "buraq_events") -> dict[str, str]:
    """Return the rules of each user, for other names if need be."""
    found = dict(_RULE.findall(PAGE.read_text(encoding="utf-8")))
    assert set(found) == {"worker", "producer", "api"}, found
    renamed = {name: rule.replace("buraq_tasks", stream_name) for name, rule in found.items()}
    return {name: rule.replace("buraq_events", events) for name, rule in renamed.items()}


def commands(user: str) -> set[str]:
    """Return the commands that a user may send, in lower case, `xinfo|groups` for one of several."""
    return {word[1:] for word in rules()[user].split() if word.startswith("+")}


def together() -> str:
    """Return the rules of one user who is worker, producer and API at once."""
    return " ".join(dict.fromkeys(word for rule in rules().values() for word in rule.split()))


def additions() -> list[str]:
    """Return what the page says to add for some settings and newer servers, `+client|setinfo` for one."""
    found = {word for line in _ADDED.findall(PAGE.read_text(encoding="utf-8")) for word in line.split()}
    return sorted(word.replace("\\|", "|") for word in found)
