"""The node's parameters as arguments of our launch files: every parameter is an argument of the same name.

Made from the dataclass, so that `ros2 launch d3pose_ros d3pose.launch.py --show-args` says what
`ros2 param describe` says. Nothing here imports `launch`, which comes with a ROS 2 installation only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from d3pose_core.errors import InputError
from d3pose_ros.parameters import FIELDS, NodeParameters

# What launch files pass to each other and on command lines is text; this means "not given".
NOT_GIVEN = ""
_BOOLEANS = {"true": True, "false": False}


def parameter_arguments() -> list[dict[str, Any]]:
    """Keyword arguments of one DeclareLaunchArgument for each parameter."""
    return [_argument(field) for field in FIELDS.values()]


def _argument(field: dataclasses.Field) -> dict[str, Any]:
    argument: dict[str, Any] = {
        "name": field.name,
        "default_value": NOT_GIVEN,
        "description": f"Parameter; where it is not given, params_file counts. "
        f"{field.metadata['description']}",
    }
    choices = tuple(_BOOLEANS) if isinstance(field.default, bool) else field.metadata["choices"]
    if choices:
        argument["choices"] = [NOT_GIVEN, *choices]
    return argument


def given_parameters(configurations: Mapping[str, str]) -> dict[str, Any]:
    """Those parameters that `configurations` (a launch context's) gives, with the types of the node.

    Raises:
        InputError: of the wrong type or out of range; the message names the parameter and the value.
    """
    given = {
        name: _convert(name, configurations[name], type(FIELDS[name].default))
        for name in FIELDS
        if configurations.get(name, NOT_GIVEN) != NOT_GIVEN
    }
    NodeParameters(**given)  # checks the ranges: launching is refused, not the node respawned
    return given


def as_seconds(name: str, text: str) -> float:
    """A launch argument that is no parameter. Raises InputError where it is no time, or a negative one."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InputError(f"launch argument {name} must be a number of seconds, got {text!r}")
    return seconds


def _convert(name: str, text: str, kind: type) -> Any:
    try:
        return _BOOLEANS[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        wanted = "true or false" if kind is bool else f"a {kind.__name__}"
        raise InputError(f"launch argument {name} must be {wanted}, got {text!r}") from error
