"""`buraq bench`: runs the benchmarks of the checkout that this Buraq, or the current folder, belongs to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from buraq.cli.failures import NOT_FOUND, Failure

# What follows the name is the benchmark's, even --help.
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@click.command(context_settings=_PASS_ON)
@click.option("--json", "as_json", is_flag=True, help="Without a name: print JSON, for programs.")
@click.argument("name", required=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def bench(as_json: bool, name: str | None, options: Sequence[str]) -> None:
    """Measure how fast it is on this machine.

    Without NAME it says which benchmarks there are and what each answers. OPTIONS are the benchmark's own: `buraq bench
    process --help`. They start servers of their own, empty ones, and touch no other. They are not part of the installed
    package, and run in a checkout of Buraq.

    \b
    Examples:
      buraq bench
      buraq bench process
      buraq bench process --slots 1000 --runs 9 --aof
      buraq bench peers --only celery-gevent,rq
    """
    checkout = _checkout()
    asked = [name, *options] if name is not None else ["--json"] if as_json else []
    sys.stdout.flush()
    # In its place, so that Ctrl-C and the exit code are the benchmark's own.
    command = [sys.executable, "-P", "-m", "benchmarks", *asked]
    os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(checkout)})


def _checkout() -> Path:
    """Return the folder that has the benchmarks. Raises `Failure`."""
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / "benchmarks" / "harness.py").is_file():
            return folder
    raise Failure(
        "there are no benchmarks here: they are not part of the installed package. Run `buraq bench` in a checkout of "
        "Buraq's repository (git clone), where `make bench` does the same and installs what they need",
        NOT_FOUND,
    )
