"""Parameters set to nonsense while the node runs: refused with a reason, and nothing changes."""

from __future__ import annotations

import pytest
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParametersAtomically

from test.helpers.fault_node import FaultNode


def double(value: float) -> ParameterValue:
    return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)


def integer(value: int) -> ParameterValue:
    return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)


def text(value: str) -> ParameterValue:
    return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)


NOT_SET = ParameterValue(type=ParameterType.PARAMETER_NOT_SET)
LIST = ParameterValue(type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=[1.0])


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("hfov_deg", double(float("nan")), "hfov_deg"),
        ("hfov_deg", double(float("inf")), "hfov_deg"),
        ("hfov_deg", double(-1e308), "hfov_deg"),
        ("hfov_deg", text("wide"), "type"),
        ("hfov_deg", integer(60), "type"),
        ("hfov_deg", LIST, "type"),
        ("hfov_deg", NOT_SET, "undeclared"),
        ("max_people", integer(0), "max_people"),
        ("max_people", integer(2**63 - 1), "max_people"),
        ("marker_rate_hz", double(float("nan")), "marker_rate_hz"),
        ("image_transport", text("carrier pigeon"), "configure"),
        ("weights", text("/no/such/file"), "configure"),
        ("autostart", ParameterValue(type=ParameterType.PARAMETER_BOOL), "read-only"),
        ("use_sim_time", text("yes"), "type"),
        ("no_such_parameter", integer(1), "undeclared"),
    ],
)
def test_nonsense_is_refused(node: FaultNode, name, value, reason):
    assert reason in node.set(name, value)


def test_of_several_parameters_none_is_set_where_one_is_nonsense(node: FaultNode, graph):
    client = graph.node.create_client(
        SetParametersAtomically, f"{node.name}/set_parameters_atomically"
    )
    request = SetParametersAtomically.Request(
        parameters=[
            Parameter(name="hfov_deg", value=double(90.0)),
            Parameter(name="max_people", value=integer(99)),
        ]
    )
    assert not node.call(client, request).result.successful
    asked = graph.node.create_client(GetParameters, f"{node.name}/get_parameters")
    (value,) = node.call(asked, GetParameters.Request(names=["hfov_deg"])).values
    assert value.double_value == 60.0


def test_a_value_of_no_type_does_not_end_the_node(node: FaultNode, graph):
    """rclpy's parameter service fails on it and does not answer; the node goes on and says so."""
    node.ask("hfov_deg", ParameterValue(type=77))
    node.wait_for("callback_error")
    node.wait_for_log("a callback failed, the node goes on: ValueError('77 is not a valid")
    assert node.set("hfov_deg", double(61.0)) == ""
    assert node.set("hfov_deg", double(60.0)) == ""
