"""What `import buraq` offers, and what it leaves alone."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import buraq

PACKAGE = Path(buraq.__file__).parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_all_that_is_promised_can_be_imported() -> None:
    for name in buraq.__all__:
        assert getattr(buraq, name) is not None
    assert sorted(buraq.__all__) == dir(buraq)
    assert buraq.__all__ == sorted(buraq.__all__)


def test_each_name_is_the_one_of_its_home() -> None:
    homes = {**buraq._HOMES, "__version__": "version"}

    assert homes.keys() == set(buraq.__all__)
    for name, home in homes.items():
        module = importlib.import_module(f"buraq.{home}")
        assert getattr(buraq, name) is getattr(module, name)


def test_type_checkers_see_the_names_that_are_resolved_late() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module.removeprefix("buraq.")
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

    assert seen == buraq._HOMES


def test_every_public_name_has_a_docstring() -> None:
    bare = [name for name in buraq.__all__ if name != "__version__" and not getattr(buraq, name).__doc__]

    assert bare == []


def test_a_wrong_name_is_an_attribute_error() -> None:
    assert python("import buraq\ntry: buraq.Burak\nexcept AttributeError as error: print(error)") == (
        "module 'buraq' has no attribute 'Burak'"
    )


def test_import_patches_nothing_and_stays_light() -> None:
    loaded = python("import sys, buraq; print(*sys.modules)").split()

    assert not {"gevent", "redis", "flask", "gunicorn", "click", "prometheus_client"} & set(loaded)


def test_the_queue_patches_nothing_and_brings_no_web_framework() -> None:
    output = python(
        "import socket, sys, threading\n"
        "before = socket.socket, threading.Lock\n"
        "from buraq import *\n"
        "print((socket.socket, threading.Lock) == before, *sys.modules)"
    )

    unchanged, *loaded = output.split()
    assert unchanged == "True"
    assert not {"gevent", "flask", "gunicorn", "click", "prometheus_client"} & set(loaded)


def test_the_queue_brings_little_beside_redis() -> None:
    # What makes an import slow is what it brings. How long it takes depends on what else the machine does.
    output = python(
        "import sys, redis\nbefore = set(sys.modules)\nfrom buraq import Buraq\nprint(*set(sys.modules) - before)"
    )

    brought = {name for name in output.split() if not name.startswith("buraq")}
    assert {name.partition(".")[0] for name in brought} - set(sys.stdlib_module_names) == {"ujson", "hiredis"} & {
        name.partition(".")[0] for name in brought
    }
    assert len(brought) <= 20, sorted(brought)
