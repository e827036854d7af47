"""The faults F1, F3 and F11 on Buraq and on other Python task queues, each with the safe settings that it documents.

Two worker processes, tasks of zero to two seconds, a ledger that the tasks themselves keep outside the server. Every
run is kept in results/faults.json under its seed, so that systems may be run one at a time.
"""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any

from benchmarks.faults import tables
from benchmarks.faults.scenes import SCENES
from benchmarks.faults.stage import stage
from benchmarks.faults.systems import SYSTEMS, System
from benchmarks.harness import machine
from benchmarks.peers import build, versions

QUICK_SECONDS, QUICK_WINDOW, QUICK_SCENES = 4.0, 1.0, ("F1", "F3", "F11")


def run(scene: str, system: System, options: argparse.Namespace) -> dict[str, Any]:
    """Run one scene on one system."""
    window = options.window or system.window
    with stage(system, window, options.seed) as set_up:
        figures = SCENES[scene](set_up, options.seconds)
    return {
        "seed": options.seed,
        "length s": options.seconds,
        "window s": window,
        "figures": figures,
        "settings": system.settings,
        "alive": system.alive,
        "command": " ".join(system.command),
        "environment": system.environment,
        "slots": system.slots,
        "packages": versions(system.venv) if not options.quick else [],
        "machine": machine(),
    }


def main() -> None:
    """Run scenes on systems, and print a table of each scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", nargs="*", choices=[*SYSTEMS], default=[*SYSTEMS])
    parser.add_argument("--scenes", nargs="*", choices=[*SCENES], default=[*SCENES])
    parser.add_argument("--seconds", type=float, default=60.0, help="how long F1 kills and F3 restarts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--window", type=float, help="seconds, instead of each system's own")
    parser.add_argument("--quick", action="store_true", help="tiny, Buraq only, to see that it works; keeps no results")
    parser.add_argument("--markdown", action="store_true", help="only print what was found before, for the docs")
    options = parser.parse_args()
    found = tables.load()
    if options.markdown:
        print(tables.markdown(found))
        return
    if options.quick:
        found = {"scenes": {}}
        options.systems, options.scenes = ["buraq"], QUICK_SCENES
        options.seconds, options.window = QUICK_SECONDS, QUICK_WINDOW
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # and end all that was started
    for scene in options.scenes:
        for key in options.systems:
            build(SYSTEMS[key].venv)
            print(f"  {scene} on {SYSTEMS[key].name}", file=sys.stderr)
            done = run(scene, SYSTEMS[key], options)
            if options.quick:
                found["scenes"].setdefault(scene, {})[key] = [done]
            else:
                tables.keep(found, scene, key, done)
        print(tables.TITLES[scene])
        print(tables.text(tables.rows(scene, found)), flush=True)


if __name__ == "__main__":
    main()
