"""The comparison with other systems can be interrupted, continued and done in parts, and every ratio is of one time."""

import argparse
import json

import pytest

from benchmarks.peers import Comparison, Work, facts, written
from benchmarks.systems import SYSTEMS, table
from tests.pages import ROOT

RATES = {"Buraq": 1000.0, "RQ": 10.0, "arq": 50.0, "SAQ": 100.0}


@pytest.fixture
def compare(tmp_path):
    """Compare some systems without running any, and return the runs that were done, in order."""

    def comparison(*names, runs=2, resume=False, breaks=None, stop_after=None, version=1):
        done = []

        def run(system, sizes):
            done.append(system.name)
            if stop_after and len(done) > stop_after:
                raise KeyboardInterrupt
            if system.name == breaks:
                raise RuntimeError("it cannot")
            return {"tasks/s": RATES[system.name] + len(done), "slots": sizes["slots"]}

        work = Work("somehow", lambda system, tasks: {"slots": 7}, run, {"tasks/s": "tasks/s"})
        options = argparse.Namespace(runs=runs, resume=resume, quick=False, tasks=None, results=tmp_path)
        systems = [SYSTEMS[name] for name in names]
        comparison = Comparison("any", work, systems, options, lambda system: {"packages": [f"x=={version}"]})
        try:
            comparison.measure()
        except KeyboardInterrupt:
            pass
        else:
            comparison.show()
        return done

    return comparison


@pytest.fixture
def cases(tmp_path):
    """Return what is written of each system."""
    return lambda: {case["case"]: case for case in written(tmp_path / "peers-any.json")}


def test_buraq_runs_before_each_run_of_another_and_the_ratio_is_of_these_two(compare, cases):
    done = compare("rq", "saq")

    assert done == ["Buraq", "RQ", "Buraq", "SAQ"] * 3
    assert len(cases()["Buraq"]["runs"]) == 4 and len(cases()["RQ"]["runs"]) == 2
    assert cases()["RQ"]["figures"]["Buraq ×"]["low"] == pytest.approx(1009 / 20, rel=1e-3)


def test_what_was_interrupted_is_continued(compare, cases):
    compare("rq", "saq", runs=3, stop_after=9)
    before = {name: len(case["runs"]) for name, case in cases().items()}

    done = compare("rq", "saq", runs=3, resume=True)

    assert before == {"Buraq": 2, "RQ": 1, "SAQ": 1}
    assert done == ["Buraq", "RQ", "Buraq", "SAQ"] * 2
    assert {name: len(case["runs"]) for name, case in cases().items()} == {"Buraq": 6, "RQ": 3, "SAQ": 3}


def test_without_resume_it_begins_anew_and_keeps_the_others(compare, cases):
    compare("rq", "saq")
    first = cases()

    compare("saq", "arq")

    assert list(cases()) == ["Buraq", "RQ", "arq", "SAQ"]
    assert cases()["RQ"] == first["RQ"]
    assert [row["before"] for row in cases()["Buraq"]["runs"]].count("SAQ") == 2


def test_runs_of_other_versions_are_not_continued(compare, cases):
    compare("rq")

    done = compare("rq", resume=True, version=2)

    assert len(done) == 6
    assert cases()["RQ"]["packages"] == ["x==2"]


def test_a_system_that_cannot_is_said_to_have_failed_and_why(compare, cases, capsys):
    compare("rq", "saq", breaks="RQ")

    assert cases()["RQ"]["failed"] == "it cannot"
    assert len(cases()["SAQ"]["runs"]) == 2
    assert "RQ failed: it cannot" in capsys.readouterr().out


def test_settings_and_safety_are_written_beside_the_figures(compare, cases, tmp_path, capsys):
    compare("rq")

    said = capsys.readouterr().out
    assert all(word in said for word in (SYSTEMS["rq"].settings, SYSTEMS["rq"].safety))
    assert facts(SYSTEMS["buraq"])["settings"] == SYSTEMS["buraq"].settings
    assert cases()["RQ"]["sizes"] == {"slots": 7}
    assert json.loads((tmp_path / "peers-any.json").read_text())["settings"]["measured"] == "somehow"


def test_every_system_has_exact_versions_of_all_that_it_needs():
    for system in SYSTEMS.values():
        if system.venv:
            lines = (ROOT / f"benchmarks/peers/requirements/{system.venv}.txt").read_text().splitlines()
            pins = [line.partition("#")[0].strip() for line in lines]
            assert all("==" in pin for pin in pins if pin), system.name


def test_the_docs_show_the_settings_of_every_system():
    assert "\n".join(table()) in (ROOT / "docs/benchmarks.md").read_text(), "`python -m benchmarks.systems` prints it"
