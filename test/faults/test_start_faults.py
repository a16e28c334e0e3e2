"""Processes that cannot start: one line that says why, and an exit status."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from test.helpers.fault_node import ROOT


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "d3pose_ros.node", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


CASES = {
    "a log folder that cannot be written": ((), {"ROS_LOG_DIR": "/dev/null/log"}, "/dev/null/log"),
    "an argument that ROS does not know": (("--ros-args", "--nonsense"), {}, "--nonsense"),
    "a value of another type": (("--ros-args", "-p", "max_people:=many"), {}, "max_people"),
    "a name that is none": (("--ros-args", "-r", "__ns:=no good"), {}, "no good"),
}


@pytest.fixture(scope="module")
def processes() -> dict[str, subprocess.Popen]:
    """They start side by side."""
    return {
        case: start(*arguments, **variables) for case, (arguments, variables, _) in CASES.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_it_says_why_and_ends(processes, case):
    said, _ = processes[case].communicate(timeout=120)
    assert processes[case].returncode == 2
    assert "d3pose: error: " in said
    assert CASES[case][2] in said
    assert "Traceback" not in said


def test_an_end_without_anybody_to_hear_it():
    """stdout and stderr are closed, as those of a daemon may be."""
    code = "import sys; sys.stdout = None; from d3pose_ros.entry_points import end_process as end; end(3)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, b"")
