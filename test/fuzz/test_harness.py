"""The harness notices what it is there for: exceptions, dying processes, endless loops, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import target as targets
from fuzz.mutate import Mutator
from fuzz.supervise import Result, fuzz

RUNS = 40


def run(kind: str, folder: Path, runs: int = RUNS) -> Result:
    name = f"test.helpers.fuzz_targets.{kind}"
    return fuzz(name, "random", runs, seed=0, folder=folder, hang_s=0.5, memory_mb=50)


def inputs(result: Result) -> list[bytes]:
    """Those that were written down."""
    return [path.with_suffix("").read_bytes() for path in result.findings]


def test_an_exception_is_written_down_once(tmp_path: Path) -> None:
    result = run("raises", tmp_path)
    assert result.runs == RUNS
    assert result.accepted > 0
    assert result.refused > 0
    (data,) = inputs(result)
    with pytest.raises(targets.Finding, match="IndexError: of ours"):
        targets.judge(targets.load("test.helpers.fuzz_targets.raises"), data)
    assert "of ours" in result.findings[0].read_text()


@pytest.mark.parametrize("kind", ["aborts", "hangs"])
def test_a_process_that_ends_or_never_ends_is_started_again(kind: str, tmp_path: Path) -> None:
    result = run(kind, tmp_path, runs=5)
    assert result.runs >= 5
    assert inputs(result)
    assert all(len(data) > 8 for data in inputs(result))
    assert {path.name.split("-")[0] for path in result.findings} == {
        "hang" if kind == "hangs" else "died"
    }


def test_memory_is_noticed_also_when_it_is_given_back(tmp_path: Path) -> None:
    result = run("takes_memory", tmp_path)
    assert [path.name.split("-")[0] for path in result.findings] == ["memory"]
    assert result.peak_mb < 4096


def test_changes_are_the_same_for_a_seed() -> None:
    target = targets.load("test.helpers.fuzz_targets.raises")
    first, second, other = (Mutator(target, seed) for seed in (1, 1, 2))
    made = [first.next() for _ in range(50)]
    assert made == [second.next() for _ in range(50)]
    assert made != [other.next() for _ in range(50)]
    assert len(set(made)) > 30
