"""The rules of docs/security.md, read from there: what is tested is what is written."""

import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "security.md"
USERS = ("worker", "producer", "api")
CLUSTER, SENTINELS = "`REDIS_CLUSTER`", "`REDIS_SENTINELS`"  # how rows of the page begin that are for one place alone
_ADDED = re.compile(r"^\| (.+) \| (all|\w+) \| `(.+)`", re.MULTILINE)
_RULE = re.compile(r"^user (\w+) on >CHANGE-ME (.+)$", re.MULTILINE)


def rules(stream_name: str = "buraq_tasks", events: str = "buraq_events") -> dict[str, str]:
    """Return the rules of each user, for other names if need be."""
    found = dict(_RULE.findall(PAGE.read_text(encoding="utf-8")))
    assert set(found) == {*USERS, "default"}, found
    del found["default"]
    renamed = {name: rule.replace("buraq_tasks", stream_name) for name, rule in found.items()}
    return {name: rule.replace("buraq_events", events) for name, rule in renamed.items()}


def commands(user: str) -> set[str]:
    """Return the commands that a user may send, in lower case, `xinfo|groups` for one of several."""
    return {word[1:] for word in rules()[user].split() if word.startswith("+")}


def together() -> str:
    """Return the rules of one user who is worker, producer and API at once."""
    return " ".join(dict.fromkeys(word for rule in rules().values() for word in rule.split()))


def of_sentinels() -> str:
    """Return the rules of who asks sentinels where the primary is."""
    return str(dict(_RULE.findall(PAGE.read_text(encoding="utf-8")))["default"])


def additions(place: str = "", user: str = "") -> list[str]:
    """Return what the page says to add for some settings and newer servers, `+client|setinfo` for one.

    `place` is CLUSTER or SENTINELS where the servers are those of one; without a `user` it is for all three together.
    """
    fitting = [words for where, who, words in _rows() if where in ("", place) and (not user or who in ("all", user))]
    return sorted({word for words in fitting for word in words})


def _rows() -> Iterator[tuple[str, str, list[str]]]:
    """Yield for each row of the table the place that it is for alone, "" for any, whom it is for, and the words."""
    for setting, who, words in _ADDED.findall(PAGE.read_text(encoding="utf-8")):
        place = next((one for one in (CLUSTER, SENTINELS) if setting.startswith(one)), "")
        yield place, who, words.replace("\\|", "|").split()
