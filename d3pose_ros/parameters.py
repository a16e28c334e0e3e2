"""The node's parameters: one dataclass, from which the ROS parameters are declared.

`config/d3pose.yaml` lists the same parameters for users; a test holds the two together.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from d3pose_core.errors import InputError
from d3pose_core.landmark_models import FULL, LANDMARKS
from d3pose_core.runtime import RUNTIMES
from d3pose_ros.geometry import AUTO, DISTORTED, RECTIFIED

RELIABILITIES = ("best_effort", "reliable")
RAW, COMPRESSED = IMAGE_TRANSPORTS = ("raw", "compressed")
TF_OUTPUTS = ("none", "root", "joints")
Z_AUTO, Z_UP, Z_OTHER = "auto", "up", "other"
MESHES = ("body", "free-low", "free-mid", "free-full", "off")


def _parameter(
    default: Any,
    description: str,
    *,
    between: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
    read_only: bool = False,
    may_be_empty: bool = False,
) -> Any:
    """A dataclass field that is a ROS parameter.

    `live`: takes effect at once. Otherwise it is read by the configure transition, and refused while the
    node is configured. `read_only`: read once, when the process starts.
    """
    metadata = {
        "description": description,
        "between": between,
        "choices": choices,
        "live": live,
        "read_only": read_only,
        "may_be_empty": may_be_empty,
    }
    return dataclasses.field(default=default, metadata=metadata)


def _threshold(default: float, description: str, largest: float) -> Any:
    """A level of /diagnostics."""
    return _parameter(default, f"{description}; 0: never.", between=(0.0, largest), live=True)


@dataclass(frozen=True)
class NodeParameters:
    """Validated parameters.

    Raises:
        InputError: a value outside its range or choices; the message names the parameter and the value.
    """

    autostart: bool = _parameter(
        True, "Configure and activate at start, without a lifecycle manager.", read_only=True
    )
    weights: str = _parameter(
        "d3pose-landmarks", "Network weights: a name that ships with d3pose, or a path."
    )
    body: str = _parameter(
        "free-low",
        "Body model, which is also the level of detail of ~/mesh: free-low (1.5k vertices), free-mid "
        "(7k), free-full (13k), or the path of your own SMPL, SMPL-H or SMPL-X file.",
    )
    device: str = _parameter("cpu", "torch device: cpu, cuda, or cuda:N.")
    runtime: str = _parameter(
        "auto",
        "What executes the network: torch, onnx (ONNX Runtime, on the CPU), cuda-graph (on an NVIDIA GPU), "
        "or auto, the fastest that works on the device.",
        choices=RUNTIMES,
    )
    landmarks: str = _parameter(
        FULL,
        "BlazePose's landmark network: full, or heavy, which is four times slower and more exact. With "
        "-both-ways it also looks at everybody's mirror image: twice as slow, and more exact.",
        choices=LANDMARKS,
    )
    threads: int = _parameter(
        1,
        "torch threads. More than one helps on many idle cores only: threads that wait for each other on "
        "a busy machine are many times slower.",
        between=(1, 64),
    )
    stature_m: float = _parameter(
        0.0,
        "How tall the people are, m, where that is known: sets the scale of bodies and distances, which one "
        "camera cannot see: 0.4 to 2.6. 0: estimated for each person.",
        between=(0.0, 2.6),
    )
    max_people: int = _parameter(
        5, "Most people recovered at the same time.", between=(1, 20), live=True
    )
    image_transport: str = _parameter(
        "raw",
        "How images come: raw, from the topic image, or compressed, as JPEG or PNG from image/compressed.",
        choices=IMAGE_TRANSPORTS,
    )
    image_geometry: str = _parameter(
        AUTO,
        "distorted: images as the lens makes them, described by K and D of camera_info. rectified: by "
        "image_proc, described by P. auto: rectified where the image topic has image_proc's name "
        "(image_rect...), else distorted.",
        choices=(AUTO, DISTORTED, RECTIFIED),
    )
    image_reliability: str = _parameter(
        "best_effort",
        "QoS of the image subscription. best_effort fits every camera driver; reliable loses fewer large "
        "images, and receives nothing from a driver that offers best effort only.",
        choices=RELIABILITIES,
    )
    hfov_deg: float = _parameter(
        60.0,
        "Horizontal field of view assumed while there is no usable camera_info, degrees. It sets the "
        "distance at which people are placed.",
        between=(10.0, 170.0),
        live=True,
    )
    camera_info_timeout_s: float = _parameter(
        1.0,
        "How long the first images wait for camera_info before hfov_deg is used, s.",
        between=(0.0, 60.0),
        live=True,
    )
    use_depth: bool = _parameter(
        False,
        "Correct distances with the topic depth: depth images aligned with the colour images (REP-118).",
    )
    depth_tolerance_s: float = _parameter(
        0.02,
        "Largest difference between the stamps of an image and its depth image, s.",
        between=(0.0, 0.5),
        live=True,
    )
    depth_max_correction: float = _parameter(
        0.5,
        "A depth image that would move a person further than this share of the distance is not believed.",
        between=(0.05, 2.0),
        live=True,
    )
    target_frame: str = _parameter(
        "",
        "TF frame in which people are given, such as odom or map: looked up at each image's stamp. Empty: "
        "the camera's frame, without TF.",
        may_be_empty=True,
    )
    target_frame_z: str = _parameter(
        Z_AUTO,
        "Whether the z axis of target_frame points up: if so, part of people's lean along the line of sight, "
        "which one camera sees badly, is turned back. up, other, or auto: up where REP 105 says so by the "
        "name (odom, map, world, also with _ and more behind; base_link, base_footprint, base_stabilized).",
        choices=(Z_AUTO, Z_UP, Z_OTHER),
    )
    tf_timeout_s: float = _parameter(
        0.1,
        "How long an image waits for the transform at its stamp, s; without it, nothing is published.",
        between=(0.0, 2.0),
        live=True,
    )
    publish_tf: str = _parameter(
        "none",
        "Frames of people on /tf. root: body_<id>. joints: also body_<id>/<joint> for all 24 joints.",
        choices=TF_OUTPUTS,
    )
    publish_joint_states: bool = _parameter(
        False,
        "Publish joint angles on /humans/bodies/p<id>/joint_states, for REP-155's model of the human.",
    )
    rep155: bool = _parameter(
        False,
        "Publish REP-155's (ROS4HRI's) topics under /humans/bodies, joint_states included, and its TF "
        "frames body_p<id>; needs the package hri_msgs.",
    )
    mesh: str = _parameter(
        "body",
        "Level of detail of ~/mesh: body (that of the parameter body), free-low (1.5k vertices), free-mid "
        "(7k), free-full (13k), or off.",
        choices=MESHES,
    )
    labels: bool = _parameter(
        False, "Write track id and confidence above each skeleton.", live=True
    )
    lazy: bool = _parameter(
        True, "Do no inference while nobody subscribes to any output.", live=True
    )
    marker_rate_hz: float = _parameter(
        15.0,
        "Most ~/mesh and ~/skeleton messages a second; 0 publishes them for every processed image.",
        between=(0.0, 120.0),
        live=True,
    )
    marker_lifetime_s: float = _parameter(
        1.0,
        "RViz removes a marker that is not renewed for so long, s.",
        between=(0.1, 60.0),
        live=True,
    )
    diagnostics_period_s: float = _parameter(
        1.0, "Time between two /diagnostics messages, s.", between=(0.1, 60.0), read_only=True
    )
    no_image_warn_s: float = _threshold(2.0, "WARN after so long without an image, s", 3600.0)
    no_image_error_s: float = _threshold(10.0, "ERROR after so long without an image, s", 3600.0)
    busy_warn_ratio: float = _threshold(
        0.5, "WARN when more than this share of the images is dropped for lack of time", 1.0
    )
    bad_image_warn_ratio: float = _threshold(
        0.05, "WARN when more than this share of the images cannot be used", 1.0
    )
    bad_image_error_ratio: float = _threshold(
        0.5, "ERROR when more than this share of the images cannot be used", 1.0
    )
    age_warn_ms: float = _threshold(
        200.0, "WARN when the p95 age of images at publishing is higher, ms", 6e4
    )
    age_error_ms: float = _threshold(
        1000.0, "ERROR when the p95 age of images at publishing is higher, ms", 6e4
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, metadata = getattr(self, field.name), field.metadata
            if type(value) is not type(field.default):
                raise InputError(
                    f"parameter {field.name} must be a {type(field.default).__name__}, got {value!r}"
                )
            if (
                metadata["between"]
                and not metadata["between"][0] <= value <= metadata["between"][1]
            ):
                low, high = metadata["between"]
                raise InputError(f"parameter {field.name} must lie in {low}..{high}, got {value}")
            if metadata["choices"] and value not in metadata["choices"]:
                raise InputError(
                    f"parameter {field.name} must be one of {', '.join(metadata['choices'])}, "
                    f"got {value!r}"
                )
            if isinstance(value, str) and not value and not metadata["may_be_empty"]:
                raise InputError(f"parameter {field.name} must not be empty")
        if 0 < self.stature_m < 0.4:  # as MeshRecovery has it
            raise InputError(
                f"parameter stature_m must be 0 (estimated), or 0.4 to 2.6 m, got {self.stature_m}"
            )


FIELDS = {field.name: field for field in dataclasses.fields(NodeParameters)}


def declare(node: Node) -> NodeParameters:
    """Declares every parameter on `node`; returns their values, launch overrides included.

    Raises InputError when an override is of the wrong type or out of range.
    """
    for field in FIELDS.values():
        try:
            node.declare_parameter(field.name, field.default, descriptor(field))
        except Exception as error:  # rclpy has a type for each reason and no common one
            raise InputError(f"parameter {field.name}: {error}") from error
    return NodeParameters(**{name: node.get_parameter(name).value for name in FIELDS})


def descriptor(field: dataclasses.Field) -> ParameterDescriptor:
    """What `ros2 param describe` shows."""
    metadata = field.metadata
    described = ParameterDescriptor(
        name=field.name, description=metadata["description"], read_only=metadata["read_only"]
    )
    if metadata["choices"]:
        described.additional_constraints = "one of: " + ", ".join(metadata["choices"])
    if metadata["between"]:
        low, high = metadata["between"]
        if isinstance(field.default, int):
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            described.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return described


def changed(
    current: NodeParameters, requested: list[Parameter], configured: bool
) -> NodeParameters:
    """`current` with the requested changes; parameters that are not ours (qos_overrides...) are ignored.

    Raises InputError with the reason where a change is refused.
    """
    ours = {parameter.name: parameter.value for parameter in requested if parameter.name in FIELDS}
    for name in ours:
        if configured and not FIELDS[name].metadata["live"]:
            raise InputError(
                f"{name} is read when the node is configured: deactivate and clean up the node, set it, "
                "and configure again"
            )
    return dataclasses.replace(current, **ours)
