"""A virtual environment for each system that Buraq is compared with, built from exact versions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
VENVS = Path(__file__).parent / ".venvs"


def run(command: Sequence[object], env: Mapping[str, str] | None = None) -> str:
    """Run a command to its end and return what it wrote. Raises RuntimeError with what it wrote when it fails."""
    words = list(map(str, command))
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def build(venv: str) -> Path:
    """Return the folder of a system's programs; its environment is built first where it is not as it should be.

    Ours, the empty name, is the one that runs this.
    """
    if not venv:
        return Path(sys.executable).parent
    folder, requirements = VENVS / venv, PEERS / "requirements" / f"{venv}.txt"
    built = folder / ".requirements"  # written last
    if not built.exists() or built.read_text() != requirements.read_text():
        print(f"  building {folder.relative_to(VENVS.parents[1])}", file=sys.stderr)
        VENVS.mkdir(exist_ok=True)
        run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder])
        run([*_pip(folder), "-q", "install", "-r", requirements])
        built.write_text(requirements.read_text())
    return folder / "bin"


def versions(venv: str) -> list[str]:
    """Return what is installed for a system."""
    return run([*_pip(build(venv).parent), "freeze", "--exclude-editable"]).split()


def _pip(folder: Path) -> list[object]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin/python"]
