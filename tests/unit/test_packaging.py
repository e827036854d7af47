"""The wheel holds all that the package needs, and the pins hold all that runs and tests it."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from redis import Redis

from tests.servers import Server

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Runs in a Python of its own, on the installed wheel. It prints one JSON object; what it imports
# must come from there, and not from the checkout that .venv points to as well.
PROBE = """
import importlib.metadata, json, pathlib
import buraq
from buraq.version import __version__

home = pathlib.Path(buraq.__file__).parent
[distribution] = importlib.metadata.distributions(name="buraq-queue", path=[str(home.parent)])
commands = {entry.name: entry.value for entry in distribution.entry_points}
print(json.dumps({
    "home": str(home),
    "files": sorted(str(p.relative_to(home)) for p in home.rglob("*") if p.is_file()),
    "commands": commands,
    "versions": [__version__, distribution.version],
    "licensed": any(str(path).endswith("licenses/LICENSE") for path in distribution.files),
}))
"""


def run(*command: str | Path, **env: str) -> str:
    """Run a command to its end, away from the checkout's folder on the path, and return stdout."""
    done = subprocess.run(
        [sys.executable, "-P", *command],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the built wheel was installed, alone and without a network."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    run("-m", "hatchling", "build", "--target", "wheel", "--directory", dist)
    [wheel] = dist.glob("buraq_queue-*-py3-none-any.whl")
    offline = ("--no-deps", "--no-index", "--quiet", "--disable-pip-version-check")
    run("-m", "pip", "install", *offline, "--target", site, wheel)
    return site


def package_files(package: Path) -> list[str]:
    """Return the files of a package, without what running it leaves there."""
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if "__pycache__" not in path.parts)


@pytest.fixture(scope="module")
def installed(site: Path) -> dict[str, Any]:
    """Return what a Python that has only the installed wheel, and no checkout, says of it."""
    found = run("-c", PROBE, PYTHONPATH=str(site), PYTHONDONTWRITEBYTECODE="1")
    facts: dict[str, Any] = json.loads(found)
    return facts


def test_the_wheel_is_what_is_imported(site: Path, installed: dict[str, Any]) -> None:
    assert installed["home"] == str(site / "buraq")


def test_the_wheel_has_every_lua_file(site: Path) -> None:
    scripts = sorted(path.name for path in (ROOT / "buraq" / "lua").glob("*.lua"))

    assert scripts, "no Lua file in the checkout: this would compare nothing"
    assert sorted(path.name for path in (site / "buraq" / "lua").glob("*.lua")) == scripts


def test_the_wheel_has_every_file_of_the_package(site: Path) -> None:
    assert package_files(site / "buraq") == package_files(ROOT / "buraq")


def test_the_wheel_brings_the_buraq_command(installed: dict[str, Any]) -> None:
    assert installed["commands"] == {"buraq": "buraq.cli.__main__:main"}


def test_the_wheel_has_one_version_and_the_licence(installed: dict[str, Any]) -> None:
    [in_code, in_metadata] = installed["versions"]

    assert in_code == in_metadata
    assert installed["licensed"]


TASK = """
from gevent import monkey; monkey.patch_all()
import buraq
from buraq import Buraq
from buraq.worker.worker import Worker
import gevent

queue = Buraq()
ran = []

@queue.task
def greet(name):
    ran.append(name)

greet.enqueue("wheel")
worker = Worker(queue, concurrency=1, burst=True)
worker.start()
with gevent.Timeout(60):
    while not worker.done:
        gevent.sleep(0.01)
worker.stop(1)
print(buraq.__file__, *ran)
"""


def test_a_task_runs_on_the_installed_wheel(site: Path, redis: Redis, server: Server) -> None:
    said = run("-c", TASK, PYTHONPATH=str(site), REDIS_URL=server.url)

    assert said.split() == [str(site / "buraq" / "__init__.py"), "wheel"]


def pins(file: str) -> Iterator[Requirement]:
    for line in (ROOT / file).read_text(encoding="utf-8").splitlines():
        wanted = line.partition("#")[0].strip()
        if wanted and not wanted.startswith("-r "):
            yield Requirement(wanted)


def needs(requirement: Requirement) -> Iterator[str]:
    """Yield the names of what an installed distribution needs on this machine, extras included."""
    for line in importlib.metadata.requires(requirement.name) or []:
        need = Requirement(line)
        extras = {"", *requirement.extras}
        if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
            yield canonicalize_name(need.name)


@pytest.mark.parametrize("file", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_requirement_is_an_exact_version(file: str) -> None:
    loose = [str(pin) for pin in pins(file) if not re.fullmatch(r"==[\w.]+", str(pin.specifier))]

    assert loose == []


def test_the_pins_satisfy_what_the_package_asks_for() -> None:
    pinned = {canonicalize_name(pin.name): pin for pin in pins("requirements.txt")}
    asked = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]

    for wanted in map(Requirement, asked):
        pin = pinned.get(canonicalize_name(wanted.name))
        assert pin is not None, f"requirements.txt does not pin {wanted.name}"
        [version] = pin.specifier
        assert wanted.specifier.contains(version.version), f"{pin} is outside of {wanted}"
        assert wanted.extras <= pin.extras, f"{pin} lacks an extra of {wanted}"


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-test.txt"])
def test_what_the_pinned_need_in_turn_is_pinned_too(file: str) -> None:
    pinned = {canonicalize_name(pin.name) for name in {"requirements.txt", file} for pin in pins(name)}
    installed = {canonicalize_name(found.name) for found in importlib.metadata.distributions()}
    # What only some tests need is not there for every platform.
    asked = [pin for pin in pins(file) if file == "requirements.txt" or canonicalize_name(pin.name) in installed]

    open_ends = {f"{pin.name} needs {name}" for pin in asked for name in needs(pin) if name not in pinned}

    assert open_ends == set()
