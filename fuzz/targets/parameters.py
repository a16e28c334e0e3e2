"""The node's parameters: files that ROS reads for it, and the values that come out."""

from __future__ import annotations

from pathlib import Path

import yaml
from rclpy.context import Context
from rclpy.parameter import Parameter

from d3pose_core.errors import InputError
from d3pose_ros.parameters import FIELDS, NodeParameters, changed
from fuzz.folder import written
from fuzz.target import Target

_CONFIG = Path(__file__).resolve().parents[2] / "config" / "d3pose.yaml"
_DEFAULTS = NodeParameters()


def seeds() -> list[bytes]:
    return [
        _CONFIG.read_bytes(),
        b"/**:\n  ros__parameters:\n    max_people: 3\n    hfov_deg: 70.0\n    labels: true\n",
        b"d3pose:\n  ros__parameters: {weights: x, marker_rate_hz: 1, mesh: 'off', device: [1, 2]}\n",
    ]


def run(data: bytes) -> None:
    """As ROS hands them over, whatever types they have."""
    _read_by_ros(written("parameters.yaml", data))
    for name, value in _named_values(data).items():
        try:
            parameter = Parameter(name, value=value)
        except Exception:
            continue  # not a value that a parameter can have: rclpy never gets to us with it
        for configured in (False, True):
            try:
                changed(_DEFAULTS, [parameter], configured)
            except InputError:
                assert name in FIELDS


def _read_by_ros(path: Path) -> None:
    """ROS's own parser of parameter files, in C: it must not end the process."""
    context = Context()
    try:
        context.init(args=["--ros-args", "--params-file", str(path)])
    except Exception as error:  # rclpy's types for it have moved between releases
        raise InputError(f"{path}: {error}") from error
    context.try_shutdown()


def _named_values(data: bytes) -> dict[str, object]:
    try:
        content = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(str(error)) from error
    found: dict[str, object] = {}
    waiting = [content]
    while waiting and len(found) < 100:
        each = waiting.pop()
        if isinstance(each, dict):
            parameters = each.get("ros__parameters")
            if isinstance(parameters, dict):
                found |= {name: v for name, v in parameters.items() if isinstance(name, str)}
            else:
                waiting += list(each.values())[:100]
    return found


TARGET = Target(
    seeds,
    run,
    (
        *(name.encode() for name in FIELDS),
        *(b": ", b"[1, 2]", b"true", b"-1", b".nan", b".inf", b"1e400", b"''", b"0x10", b"9" * 30),
        *(b"!!int", b"&a", b"*a"),
    ),
)
