"""The documentation as data: its pages, and the code blocks in them with what their opening line says about running.

A block is opened by a language and words: `python` runs, `python no-run` is compiled only, `python file=NAME` is
written to that file first, `sh run` runs, `sh` and `console` are commands to be read.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = ROOT / "docs" / "examples"  # folders with code of their own, which has tests of its own


class Block(NamedTuple):
    page: Path
    line: int  # of its first line of code, counted from 1
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def file(self) -> str | None:
        """The file that it is to be written to."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    @property
    def runs(self) -> bool:
        return "no-run" not in self.words if self.language == "python" else "run" in self.words

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found = []
    for match in re.finditer(r"^```(\w*)([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S):
        line = match.string.count("\n", 0, match.start()) + 2
        found.append(Block(page, line, match[1], tuple(match[2].split()), match[3]))
    return found


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the table whose first column has that heading, without the heading."""
    rows: list[list[str]] = []
    inside = False
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == heading:
            inside = True
        elif inside and not set(cells[0]) <= set("-"):
            rows.append(cells)
    return rows


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
