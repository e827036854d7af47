"""Imports point one way, files stay small, and no file is a drawer for what has no place."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "buraq"

# A room is a file or a folder directly under buraq/. It imports from the ranks before its own.
RANKS = [
    "version errors values setting config keys retry task template options log attempts groups records redaction "
    "statistics",
    "scripts permissions lookup replies wire connection sentinels clusters",
    "broker waiter hub_waiter batch producer events backend sharded_events shard_inspector inspector newest "
    "deadletters chosen pauses audit operations history known browse legacy handle",
    "metrics",
    "envelope function app",
    "target",
    "worker web",
    "cli",
]
# Inside the first rank, from what stands to the left; inside the others, only what is named here.
FOUNDATION = RANKS[0].split()
NEIGHBOURS = {
    "permissions": {"scripts"},
    "replies": {"permissions"},
    "wire": {"scripts", "permissions", "lookup"},
    "connection": {"scripts", "lookup", "replies", "wire"},
    "sentinels": {"lookup", "connection"},
    "clusters": {"lookup", "connection", "permissions"},
    "waiter": {"broker"},
    "hub_waiter": {"broker", "waiter"},
    "batch": {"broker", "waiter"},
    "producer": {"broker", "waiter", "hub_waiter", "batch"},
    "backend": {"broker", "producer"},
    "sharded_events": {"events", "backend"},
    "shard_inspector": {"broker", "backend"},
    "inspector": {"backend", "shard_inspector"},
    "newest": {"backend"},
    "deadletters": {"broker", "backend"},
    "chosen": {"backend", "deadletters"},
    "pauses": {"backend"},
    "audit": {"backend"},
    "operations": {"backend", "deadletters", "chosen"},
    "history": {"backend", "newest"},
    "known": {"deadletters", "history"},
    "browse": {"backend", "deadletters", "history", "known", "newest"},
    "legacy": {"backend"},
    "handle": {"backend", "inspector"},
    "function": {"envelope"},
    "app": {"envelope", "function"},
}
# Leaves stand beside the ranks: what they may import, and who may import them.
LEAVES = {
    "embedded": (set(FOUNDATION), {"backend", "cli"}),
    "testing": ({room for rank in RANKS[:5] for room in rank.split()}, {"worker", "web", "cli"}),
}
# The package's front doors name what is inside, so they may import all of it. Nothing inside goes
# through them: who needs `Task` imports buraq.task.
DOORS = {"__init__", "__main__"}
DRAWERS = {"base", "common", "helper", "helpers", "misc", "util", "utils"}
MOST_LINES = 400


def allowed() -> dict[str, set[str]]:
    """Return for each room the rooms that it may import."""
    table: dict[str, set[str]] = {}
    below: set[str] = set()
    for rank in RANKS:
        rooms = rank.split()
        for place, room in enumerate(rooms):
            left = set(rooms[:place]) if rooms == FOUNDATION else NEIGHBOURS.get(room, set())
            table[room] = below | left
        below |= set(rooms)
    for leaf, (needs, users) in LEAVES.items():
        table[leaf] = needs
        for user in users:
            table[user] = table[user] | {leaf}
    return table


def imported_modules(path: Path, package: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, dotted, wherever the import stands."""
    here = (package.name, *path.relative_to(package).parent.parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == package.name)
        elif isinstance(node, ast.ImportFrom):
            prefix = here[: len(here) - node.level + 1] if node.level else ()
            module = ".".join([*prefix, *([node.module] if node.module else [])])
            if module == package.name:
                yield from (f"{module}.{alias.name}" for alias in node.names)
            elif module.startswith(f"{package.name}."):
                yield module


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).parts[0].removesuffix(".py")


def wrong_imports(package: Path) -> list[str]:
    """Return a sentence for each import in the package that points the wrong way."""
    table, wrong = allowed(), []
    files = sorted(package.rglob("*.py"))
    unranked = {room_of(path, package) for path in files} - table.keys() - DOORS
    wrong += [f"{room} has no rank: give it one in {Path(__file__).name}" for room in unranked]
    for path in files:
        room, name = room_of(path, package), path.relative_to(package)
        if room in DOORS | unranked:
            continue
        for module in imported_modules(path, package):
            target = ([*module.split("."), "__init__"])[1]
            if target == room or target in table[room] | unranked:
                continue
            if target in table or target in DOORS:
                wrong.append(f"{name} imports {target}, which is not below {room}")
            else:
                wrong.append(f"{name} imports {target} through {package.name}/__init__.py")
    return sorted(wrong)


def test_imports_point_down() -> None:
    assert wrong_imports(PACKAGE) == []


def test_the_allowed_imports_make_no_circle() -> None:
    TopologicalSorter(allowed()).prepare()


@pytest.mark.parametrize(
    ("file", "line", "complaint"),
    [
        ("broker.py", "from buraq.worker.loop import Loop", "broker.py imports worker"),
        ("broker.py", "import buraq.app", "broker.py imports app"),
        ("errors.py", "from buraq import config", "errors.py imports config"),
        ("worker/loop.py", "from buraq.web import create_app", "worker/loop.py imports web"),
        ("worker/loop.py", "from ..web.sse import ring", "worker/loop.py imports web"),
        ("web/sse.py", "from .. import cli", "web/sse.py imports cli"),
        ("keys.py", "def f():\n    from .task import Task", "keys.py imports task"),
        ("scripts.py", "from buraq.connection import Link", "scripts.py imports connection"),
        ("broker.py", "from buraq.producer import Producer", "broker.py imports producer"),
        ("app.py", "from buraq.embedded import start", "app.py imports embedded"),
        ("events.py", "from buraq import Task", "events.py imports Task through"),
        ("web/sse.py", "import buraq", "web/sse.py imports __init__"),
        ("extras.py", "", "extras has no rank"),
    ],
)
def test_a_planted_import_that_points_up_is_found(tmp_path: Path, file: str, line: str, complaint: str) -> None:
    planted = tmp_path / "buraq" / file
    planted.parent.mkdir(parents=True)
    planted.write_text(line + "\n", encoding="utf-8")

    [found] = wrong_imports(tmp_path / "buraq")

    assert found.startswith(complaint)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("__init__.py", "from buraq.app import Buraq"),
        ("task.py", "from buraq.errors import Retry\nfrom .retry import Backoff"),
        ("producer.py", "from buraq.broker import Broker"),
        ("worker/slots.py", "from buraq.worker.loop import Loop\nfrom .loop import step"),
        ("worker/slots.py", "from . import loop\nfrom buraq import keys\nimport redis"),
        ("cli/demo.py", "from buraq.embedded import start\nfrom buraq.worker import run"),
    ],
)
def test_an_import_that_points_down_is_left_alone(tmp_path: Path, file: str, line: str) -> None:
    planted = tmp_path / "buraq" / file
    planted.parent.mkdir(parents=True)
    planted.write_text(line + "\n", encoding="utf-8")

    assert wrong_imports(tmp_path / "buraq") == []


def test_no_file_is_named_like_a_drawer() -> None:
    names = [p for p in PACKAGE.rglob("*") if p.name.removesuffix(".py").strip("_") in DRAWERS]

    assert names == []


def test_no_file_outgrows_its_room() -> None:
    sizes = {p: len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}

    assert {str(p.relative_to(PACKAGE)): n for p, n in sizes.items() if n >= MOST_LINES} == {}
