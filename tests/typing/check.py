"""Checks that mypy sees what `@queue.task` does to a signature: `make lint` runs it, because tests run without mypy.

In a snippet, a line that must be refused ends with `# error: <part of what mypy says>`; all other lines must pass.
"""

import re
import sys
from pathlib import Path

from mypy import api

HERE = Path(__file__).parent
EXPECTED = re.compile(r"# error: (.+)$")
FOUND = re.compile(r"^(?P<file>[^:]+):(?P<line>\d+): error: (?P<text>.+)$")


def expected(snippet: Path) -> dict[int, str]:
    """Return the lines that mypy must refuse, and what it must say of each."""
    lines = snippet.read_text(encoding="utf-8").splitlines()
    return {number: match[1] for number, line in enumerate(lines, 1) if (match := EXPECTED.search(line))}


def main() -> int:
    snippets = sorted(HERE.glob("snippet_*.py"))
    output, trouble, _ = api.run(["--strict", "--no-error-summary", *map(str, snippets)])
    found: dict[Path, dict[int, str]] = {snippet: {} for snippet in snippets}
    wrong = [trouble] if trouble else []
    for line in output.splitlines():
        match = FOUND.match(line)
        if match and Path(match["file"]).resolve() in found:
            texts = found[Path(match["file"]).resolve()]
            number = int(match["line"])
            texts[number] = texts.get(number, "") + match["text"] + "\n"
    for snippet in snippets:
        said, must = found[snippet], expected(snippet)
        for number in sorted(said.keys() | must.keys()):
            where = f"{snippet.relative_to(Path.cwd())}:{number}"
            if number not in said:
                wrong.append(f"{where}: mypy accepts it, and should say: {must[number]}")
            elif number not in must:
                wrong.append(f"{where}: mypy should accept it, and says: {said[number].strip()}")
            elif must[number] not in said[number]:
                wrong.append(f"{where}: mypy says {said[number].strip()!r} instead of: {must[number]}")
    if not any(expected(snippet) for snippet in snippets):
        wrong.append(f"no snippet in {HERE} expects an error")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
