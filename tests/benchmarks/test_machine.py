"""What a figure says of the code that it comes from."""

import subprocess
from pathlib import Path

import pytest

from benchmarks.machine import commit


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with one commit: some code, and a file of results."""
    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    for file in (tmp_path / "code.py", results / "figures.json"):
        file.write_text("before")
    who = ("-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    return tmp_path


def test_a_commit_is_dirty_when_code_was_changed_and_not_by_the_results_that_are_just_written(checkout: Path) -> None:
    clean = commit(checkout)
    assert len(clean) >= 7
    assert "dirty" not in clean

    (checkout / "benchmarks" / "results" / "figures.json").write_text("after")
    assert commit(checkout) == clean

    (checkout / "code.py").write_text("after")
    assert commit(checkout) == f"{clean}-dirty"


def test_where_there_is_no_repository_the_commit_is_unknown(tmp_path: Path) -> None:
    assert commit(tmp_path) == "unknown"
