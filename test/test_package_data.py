"""What the package reads at run time is installed with it."""

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_every_file_of_numbers_is_installed():
    listed = subprocess.run(
        ["git", "ls-files", "d3pose_core"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("NOT TESTED: this is no git checkout")
    (patterns,) = re.findall(
        r"^d3pose_core = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M
    )
    patterns = re.findall(r'"([^"]+)"', patterns)
    files = [name.split("/", 1)[1] for name in listed.stdout.split()]
    numbers = [name for name in files if name.endswith((".npz", ".safetensors"))]
    assert "model/pose_errors.npz" in numbers
    for name in numbers:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name
