"""What does a change cost? No-op tasks in one process, on several commits of this repository in turn.

    python -m benchmarks versions HEAD~100 HEAD --runs 15

Each is checked out beside this one and runs its own `process` benchmark. The machine's speed changes by the minute, so
what counts is the ratio to the first one of the same round.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.harness import ROOT, Figures, measure, parser

_CASE = ("--processes", "1", "--slots", "1000", "--watched", "no", "--floor-slots", "0")
_COMPARED = ("tasks/s", "worker µs/task", "server µs/task")


def git(*words: str) -> str:
    """Run git in this checkout and return what it says. Raises SystemExit with its complaint."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"Error: git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def run(tree: Path, tasks: int, folder: Path) -> Figures:
    """Do one run of `process` as it is in a tree, after one that does not count. Raises RuntimeError when it fails."""
    command = [sys.executable, "-m", "benchmarks", "process", *_CASE, "--tasks", str(tasks)]
    command += ["--runs", "1", "--results", str(folder)]
    env = os.environ | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    [case] = json.loads((folder / "process.json").read_text(encoding="utf-8"))["cases"]
    return {name: case["runs"][0][name] for name in _COMPARED}


def compared(runs: dict[str, Callable[[], Figures]]) -> dict[str, Callable[[], Figures]]:
    """Return the same cases, each of whose runs says its ratios to the first case's of the same round."""
    first, base = next(iter(runs)), Figures()

    def with_ratios(case: str) -> Figures:
        figures = runs[case]()
        if case == first:
            base.update(figures)
        if not base:
            raise RuntimeError(f"{first} has no figures to compare with")
        return figures | {f"{name} ×": figures[name] / base[name] for name in _COMPARED}

    return {case: lambda case=case: with_ratios(case) for case in runs}


def main() -> None:
    """Check the commits out, run them in turn, and take the copies away."""
    arguments = parser(__doc__)
    arguments.add_argument("commits", nargs="*", default=["HEAD"], help="the first is what others are compared with")
    arguments.add_argument("--tasks", type=int, default=100_000, help="of one run")
    options = arguments.parse_args()
    if options.quick:
        options.tasks = 1000
    cases: dict[str, Callable[[], Figures]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number, commit in enumerate(options.commits):
            tree = folder / str(number)
            git("worktree", "add", "--detach", str(tree), git("rev-parse", "--verify", f"{commit}^{{commit}}"))
            stack.callback(git, "worktree", "remove", "--force", str(tree))
            name = git("log", "-1", "--format=%h %s", commit)
            cases[name] = lambda tree=tree: run(tree, options.tasks, folder / "results")
        measure("versions", compared(cases), options)


if __name__ == "__main__":
    main()
