"""One dataclass, and everything that must agree with it."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from rclpy.node import Node
from rclpy.parameter import Parameter

from d3pose_core.errors import InputError
from d3pose_ros import parameters
from d3pose_ros.parameters import FIELDS, NodeParameters

CONFIG = Path(__file__).resolve().parents[2] / "config" / "d3pose.yaml"


def test_yaml_lists_every_parameter_with_its_default():
    content = yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"]
    assert content == dataclasses.asdict(NodeParameters())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_people": 0}, "max_people must lie in 1..20, got 0"),
        ({"hfov_deg": 200.0}, "hfov_deg must lie in"),
        ({"hfov_deg": float("nan")}, "hfov_deg must lie in"),
        ({"image_reliability": "tcp"}, "image_reliability must be one of best_effort, reliable"),
        ({"hfov_deg": 60}, "hfov_deg must be a float"),
        ({"weights": ""}, "weights must not be empty"),
    ],
)
def test_values_are_validated(changes, said):
    with pytest.raises(InputError, match=said):
        NodeParameters(**changes)


def test_declared_as_described(graph):
    node = graph.add(Node("declared", parameter_overrides=[Parameter("max_people", value=3)]))
    values = parameters.declare(node)
    assert values == NodeParameters(max_people=3)
    described = node.describe_parameter("hfov_deg")
    assert described.floating_point_range[0].to_value == 170.0
    assert described.description
    assert not described.read_only
    assert node.describe_parameter("autostart").read_only
    assert node.describe_parameter("max_people").integer_range[0].to_value == 20
    assert all(node.describe_parameter(name).description for name in FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_every_parameter_says_what_it_takes(name):
    described = parameters.descriptor(FIELDS[name])
    assert described.description.endswith(".")
    kind = type(FIELDS[name].default)
    assert len(described.integer_range) == (kind is int)
    assert len(described.floating_point_range) == (kind is float)
    if kind is str:
        free = {"weights", "body", "device", "target_frame"}
        assert bool(described.additional_constraints) == (name not in free)
    assert not (FIELDS[name].metadata["live"] and described.read_only)


@pytest.mark.parametrize(
    "override", [Parameter("max_people", value=99), Parameter("max_people", value="many")]
)
def test_bad_overrides_name_the_parameter(graph, override):
    node = graph.add(Node("declared", parameter_overrides=[override]))
    with pytest.raises(InputError, match="max_people"):
        parameters.declare(node)


def test_a_stature_that_no_person_has():
    assert NodeParameters(stature_m=0.0).stature_m == 0.0
    with pytest.raises(
        InputError, match=r"stature_m must be 0 \(estimated\), or 0.4 to 2.6 m, got 0.2"
    ):
        NodeParameters(stature_m=0.2)


def test_only_live_parameters_change_while_configured():
    current = NodeParameters()
    live, fixed = Parameter("hfov_deg", value=75.0), Parameter("weights", value="mine.pt")
    assert parameters.changed(current, [live], configured=True).hfov_deg == 75.0
    with pytest.raises(InputError, match="clean up the node"):
        parameters.changed(current, [live, fixed], configured=True)
    assert parameters.changed(current, [fixed], configured=False).weights == "mine.pt"
    other = Parameter("qos_overrides./image.subscription.depth", value=1)
    assert parameters.changed(current, [other], configured=True) == current
