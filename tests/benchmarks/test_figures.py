"""What the benchmarks make of what they measured: percentiles, medians, tables, files."""

import json
from random import Random

import pytest

from benchmarks.harness import alternate, as_json, repeat, report
from benchmarks.histogram import Histogram
from benchmarks.machine import weather
from benchmarks.sizing import needs


def filled(*seconds):
    histogram = Histogram()
    for wait in seconds:
        histogram.record(wait)
    return histogram


def test_a_percentile_is_off_by_less_than_one_percent_whatever_its_size():
    rand = Random(1)
    waits = sorted(10 ** rand.uniform(-5, 2) for _ in range(10_000))
    histogram = filled(*waits)

    for share in (0.1, 0.5, 0.9, 0.99, 0.999, 1.0):
        exact = waits[round(share * len(waits)) - 1] * 1e3
        assert histogram.at(share) == pytest.approx(exact, rel=0.01, abs=0.002)


def test_a_histogram_has_few_buckets_and_no_wait_below_zero():
    histogram = filled(*(n / 1e6 for n in range(100_000)))

    assert len(histogram) == 100_000
    assert len(histogram.written()["µs"]) < 256 + 10 * 128
    assert filled(-0.001).written() == {"µs": [0], "times": [1]}


def test_histograms_are_written_read_and_added():
    first, second = filled(0.001, 0.002), filled(0.002, 3.0)

    both = Histogram(first.written(), second.written())

    assert both.written() == filled(0.001, 0.002, 0.002, 3.0).written()
    assert both.figures()["max ms"] == pytest.approx(3000, rel=0.01)


def test_a_curve_ends_short_of_all():
    shares, times = filled(0.001, 0.002, 0.003, 0.004).curve()

    assert list(shares) == [0.125, 0.375, 0.625, 0.875]
    assert list(times) == pytest.approx([1, 2, 3, 4], rel=0.01)


def test_an_empty_histogram_has_figures_too():
    assert set(Histogram().figures().values()) == {0.0}


def test_cases_are_done_in_turn_and_the_first_round_is_thrown_away():
    order = []

    def case(name):
        order.append(name)
        return {"tasks/s": float(len(order)), "waits": {"µs": [1]}}

    first, second = alternate({"a": lambda: case("a"), "b": lambda: case("b")}, runs=3, warm_up=1)

    assert "".join(order) == "abababab"
    assert first["figures"]["tasks/s"] == {"median": 5.0, "low": 3.0, "high": 7.0}
    assert [row["tasks/s"] for row in second["runs"]] == [4.0, 6.0, 8.0]
    assert "waits" not in first["figures"] and first["runs"][0]["waits"] == {"µs": [1]}


def test_a_case_that_fails_is_said_to_have_failed_and_the_others_go_on(capsys):
    def breaks():
        raise RuntimeError("no way\nto do it")

    done = alternate({"good": lambda: {"x": 1.0}, "bad": breaks}, runs=2, warm_up=0)
    report("any", done, {}, keep=False)

    assert [len(case["runs"]) for case in done] == [2, 0]
    assert "bad failed: to do it" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="no way"):
        repeat("bad", breaks, runs=1)


def test_each_run_says_what_the_machine_was_worth():
    [case] = alternate({"a": lambda: {"x": 1.0}}, runs=1, warm_up=0)

    assert set(case["runs"][0]) == {"x", *weather()()}
    assert case["runs"][0]["loop ms"] > 0


def test_the_file_has_machine_versions_settings_and_every_run(tmp_path, monkeypatch):
    monkeypatch.setenv("FETCH_BATCH_SIZE", "500")
    monkeypatch.delenv("ENQUEUE_TIMEOUT", raising=False)
    cases = alternate({"a": lambda: {"tasks/s": 1 / 3, "waits": {"µs": [1, 2]}}}, runs=2, warm_up=1)

    report("any", cases, {"tasks": 10, "results": tmp_path, "quick": False}, folder=tmp_path)
    written = json.loads((tmp_path / "any.json").read_text())

    assert written["benchmark"] == "any"
    assert {"cpu", "cores", "python", "packages", "commit", "date"} <= set(written["machine"])
    assert written["settings"] == {"tasks": 10, "environment": {"FETCH_BATCH_SIZE": "500"}}
    assert [run["tasks/s"] for run in written["cases"][0]["runs"]] == [0.333333, 0.333333]
    assert [path.name for path in tmp_path.iterdir()] == ["any.json"]


def test_numbers_that_belong_together_stand_on_one_line_of_the_file():
    value = {"figures": {"x": {"median": 1.5, "low": 1, "high": 2}}, "waits": [1, 2, 3e9], "names": ["a", "b"]}

    text = as_json(value)

    assert json.loads(text) == value
    assert '"waits": [ 1, 2, 3000000000.0 ]' in text
    assert '{ "median": 1.5, "low": 1, "high": 2 }' in text


def test_a_table_that_is_too_wide_is_printed_in_parts(capsys):
    names = [f"figure {n} of a case" for n in range(12)]
    case = {"case": "a", "failed": "", "figures": {n: {"median": 1, "low": 1, "high": 1} for n in names}, "runs": []}

    report("any", [case], {}, keep=False)
    parts = capsys.readouterr().out.strip().split("\n\n")

    assert len(parts) == 2
    assert all(part.startswith("case") and part.splitlines()[1].startswith("a ") for part in parts)
    assert all(len(line) <= 140 for part in parts for line in part.splitlines())


def test_what_a_rate_takes_is_worked_out_from_the_costs_of_a_task():
    costs = {"worker µs": 32.0, "servers µs": 14.0, "idle: servers ms/s": 30.0, "traffic B": 300.0, "B/task": 290.0}
    costs |= {"many: servers µs": 10.0, "many: producer µs": 12.0, "many: traffic B": 200.0}

    told = list(needs(costs, 16, "many", rate=500_000).values())

    assert told[:2] == pytest.approx([6.0, 12.0])
    assert told[2] == (3, 8)  # 20 masters at most 60 % busy, in clusters of eight
    assert told[3:] == pytest.approx([20, 0.6, 20 * 4 * 24, 80, 2.0, 2000 / 24, 8.7])
