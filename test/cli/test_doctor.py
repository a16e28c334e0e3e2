"""`d3pose doctor` names what is missing, whatever it is."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

import pytest

from d3pose_core.cli.doctor import REQUIRED_MODULES


def required_packages() -> set[str]:
    """What pip installs with d3pose, extras and ROS aside."""
    requirements = importlib.metadata.requires("d3pose_ros") or []
    names = {re.match(r"[\w.-]+", line)[0] for line in requirements if "extra ==" not in line}
    return {name for name in names if not name.startswith("ros-")}


def test_everything_that_is_required_is_looked_for():
    assert required_packages() == set(REQUIRED_MODULES.values())


@pytest.mark.parametrize("module", ["onnxruntime", "platformdirs"])
def test_what_is_missing_is_named(module):
    """Also what our own modules import at once."""
    hidden = f"import sys; sys.modules[{module!r}] = None; "
    command = "from d3pose_core.cli.main import main; sys.exit(main(['doctor']))"
    done = subprocess.run([sys.executable, "-c", hidden + command], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (line,) = (each for each in done.stdout.splitlines() if each.startswith("MISSING"))
    assert line.split()[1] == module
    assert f"pip install {REQUIRED_MODULES[module]}" in line
