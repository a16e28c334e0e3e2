"""The launch file against what the node and the other configuration files offer.

Where ROS provides `launch` the file is loaded and its description walked. On a machine with the PyPI wheels
only it cannot be, so its syntax tree is read: weaker, but it notices names that do not fit.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

from d3pose_ros import input_topics
from d3pose_ros.transport import PROFILE_VARIABLE, fastdds_profile, with_shared_memory

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "d3pose.launch.py"
ARGUMENTS = {
    "image",
    "camera_info",
    "depth",
    "params_file",
    "namespace",
    "use_sim_time",
    "log_level",
    "rviz",
    "rviz_config",
    "fixed_frame",
}

try:
    # Not `import launch`: our folder of that name is an empty package to Python.
    from launch import LaunchContext, LaunchDescription
    from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
except ImportError:
    LaunchDescription = None

needs_launch = pytest.mark.skipif(
    LaunchDescription is None,
    reason="`launch` comes with a ROS 2 installation only; the syntax tree is checked instead",
)


@pytest.fixture(scope="module")
def tree() -> ast.Module:
    return ast.parse(LAUNCH_FILE.read_text())


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def test_arguments_are_declared_described_and_used(tree):
    declared = {call.args[0].value: keywords(call) for call in calls(tree, "DeclareLaunchArgument")}
    assert declared.keys() == ARGUMENTS
    assert all({"default_value", "description"} <= given.keys() for given in declared.values())
    used = {call.args[0].value for call in calls(tree, "LaunchConfiguration")}
    assert used == ARGUMENTS


def test_remappings_are_topics_of_the_node(tree):
    (node,) = [call for call in calls(tree, "Node") if executable(call) == "d3pose_node"]
    remapped = {pair.elts[0].value for pair in keywords(node)["remappings"].elts}
    assert remapped == {input_topics.IMAGE, input_topics.CAMERA_INFO, input_topics.DEPTH}
    assert (ROOT / "scripts" / "d3pose_node").is_file()


def test_rviz_shows_the_topics_that_are_remapped(tree):
    (node,) = [call for call in calls(tree, "Node") if executable(call) == "rviz2"]
    remapped = {pair.elts[0].value for pair in keywords(node)["remappings"].elts}
    content = yaml.safe_load((ROOT / "config" / "d3pose.rviz").read_text())
    displays = content["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    assert shown == remapped


def executable(call: ast.Call) -> str:
    return keywords(call)["executable"].value


def test_shared_memory_profile():
    profile = fastdds_profile()
    assert profile.read_text().count("<segment_size>33554432</segment_size>") == 1
    assert with_shared_memory({"A": "1"}) == {"A": "1", PROFILE_VARIABLE: str(profile)}
    assert with_shared_memory({PROFILE_VARIABLE: "mine.xml"}) == {PROFILE_VARIABLE: "mine.xml"}


@needs_launch
def test_loads_and_sets_the_profile(monkeypatch):
    monkeypatch.delenv(PROFILE_VARIABLE, raising=False)
    spec = importlib.util.spec_from_file_location("d3pose_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    assert isinstance(description, LaunchDescription)
    declared = [e for e in description.entities if isinstance(e, DeclareLaunchArgument)]
    assert {argument.name for argument in declared} == ARGUMENTS
    context = LaunchContext()
    (variable,) = [e for e in description.entities if isinstance(e, SetEnvironmentVariable)]
    variable.visit(context)
    assert Path(context.environment[PROFILE_VARIABLE]).name == "fastdds.xml"
