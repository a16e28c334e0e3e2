"""`d3pose bench`: a quick run of the real thing, and what it does without ROS."""

import json
import re
import sys
from pathlib import Path

import pytest

from d3pose_core.bench import run as bench_run
from d3pose_core.cli.main import main
from d3pose_core.errors import InputError

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"


def keys_of(value) -> set[str]:
    """All names in a JSON value, but numbers of people."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    named = {name for name in value if not name.isdecimal()}
    return named.union(*map(keys_of, value.values()))


def test_a_quick_run_measures_every_stage(tmp_path, capsys):
    file = tmp_path / "bench.json"
    assert main(["bench", "--quick", "--json", str(file)]) == 0
    told = capsys.readouterr().out
    result = json.loads(file.read_text())
    assert result.pop("versions")["d3pose_ros"]
    assert result["schema"] == "d3pose-bench-1"
    assert result["skipped"] == []
    assert [case["people"] for case in result["cases"]] == [1, 2]
    for case in result["cases"]:
        assert case["tracked"] == case["people"]
        assert set(case["stages"]) >= {"messages", "publish", "network", "landmarks"}
        assert set(case["extra"]) == {"mesh", "markers"}
        assert all(timing["p50"] > 0 for name, timing in case["stages"].items() if name != "detect")
        assert case["end_to_end"]["p50"] > case["stages"]["landmarks"]["p50"]
        # No stage can be faster than the machine is: the counts of operations would be wrong.
        assert case["times_floor"]["landmarks"] > 0.5
        assert case["times_floor"]["network"] > 0.5
    (start,) = result["start_up"]
    assert start["tracked"] == 1
    assert start["total_s"] > start["import_s"] > 0
    assert 100 < start["peak_mib"] < 2000
    assert result["floor"][0]["gflops"] > 1
    fps = result["cases"][1][
        "fps"
    ]  # of two digits: the table's one digit may be rounded either way
    assert any(f"{fps + rounding:.1f}" in told for rounding in (-0.006, 0.0, 0.006))
    undocumented = {key for key in keys_of(result) if f"`{key}`" not in PAGE.read_text()}
    assert not undocumented


@pytest.fixture
def measured(monkeypatch):
    """What the benchmark was asked to do, instead of doing it."""
    asked = []

    def remember(options, ros, skipped, progress):
        asked.append((options, ros, skipped))
        raise InputError("enough")

    monkeypatch.setattr(bench_run, "run_bench", remember)
    return asked


def test_options_reach_the_benchmark(measured, capsys):
    command = "bench --people 3 5 --sizes 320x240 --threads 2 --frames 7 --weights w.safetensors"
    assert main(command.split()) == 2
    (options, ros, skipped), *_ = measured
    assert (options.people, options.sizes, options.threads) == ((3, 5), ((320, 240),), (2,))
    assert (options.frames, options.weights) == (7, "w.safetensors")
    assert ros is not None
    assert skipped == []


def test_without_ros_the_rest_is_measured_and_said(measured, monkeypatch):
    monkeypatch.setitem(sys.modules, "d3pose_ros.bench", None)  # as if it could not be imported
    main(["bench", "--quick"])
    ((_, ros, skipped),) = measured
    assert ros is None
    assert re.search("messages, publish, markers: ROS 2 .* missing", skipped[0])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sizes", "640"], "WIDTHxHEIGHT such as 640x480, got '640'"),
        (["--people", "0"], "whole number of at least 1"),
    ],
)
def test_nonsense_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit):
        main(["bench", *arguments])
    assert told in capsys.readouterr().err


def test_options_out_of_range_are_refused(capsys):
    assert main(["bench", "--people", "50"]) == 2
    assert "people must be 1..20, not [50]" in capsys.readouterr().err
