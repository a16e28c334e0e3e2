"""Starts the d3pose node and, on request, RViz and a recorder.

    ros2 launch d3pose_ros d3pose.launch.py image:=/front/image_raw camera_info:=/front/camera_info rviz:=true
    ros2 launch d3pose_ros d3pose.launch.py cameras:="front back" target_frame:=odom record:=people.mcap

Every parameter of the node is an argument of the same name. To include this file in another one, see
docs/launch.md.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    GroupAction,
    OpaqueFunction,
    SetEnvironmentVariable,
    UnsetLaunchConfiguration,
)
from launch_ros.actions import Node

from d3pose_ros.launch_arguments import as_seconds, given_parameters, parameter_arguments

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
# What the node subscribes to, and how cameras usually call it in their namespace.
INPUTS = {
    "image": "image_raw",
    "camera_info": "camera_info",
    "depth": "aligned_depth_to_color/image_raw",
}
PUSHED_NAMESPACE = "ros_namespace"  # where PushRosNamespace keeps it


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory("d3pose_ros"))
    own = [
        DeclareLaunchArgument(
            "camera",
            default_value="/camera",
            description="Namespace of the camera, for topics that are not named themselves.",
        ),
        *(
            DeclareLaunchArgument(
                name,
                default_value="",
                description=f"Topic {name}. Not given: {usual} in the camera's namespace.",
            )
            for name, usual in INPUTS.items()
        ),
        DeclareLaunchArgument(
            "cameras",
            default_value="",
            description="Namespaces of several cameras, separated by spaces: one process has a node in each "
            "of them. Topics that are named are then relative to each namespace, e.g. image:=image_rect.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and of its topics."
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(share / "config" / "d3pose.yaml"),
            description="YAML file with the node's parameters.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="",
            choices=["", "true", "false"],
            description="Take the time from /clock, as with `ros2 bag play --clock`. Not given: as "
            "params_file or an including launch file sets it, else false.",
        ),
        _switch("respawn", "Start the node again when it has ended by itself."),
        DeclareLaunchArgument(
            "respawn_delay_s", default_value="2.0", description="How long that waits, s."
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least severity that the node logs.",
        ),
        DeclareLaunchArgument(
            "fastdds_profile",
            default_value=str(share / "config" / "fastdds.xml"),
            description="Fast DDS profile that lets images through shared memory. Empty: none. A profile "
            f"that is set in {PROFILE_VARIABLE} stays.",
        ),
        _switch("rviz", "Start RViz; with several cameras, for the first."),
        DeclareLaunchArgument(
            "rviz_config",
            default_value=str(share / "config" / "d3pose.rviz"),
            description="RViz configuration.",
        ),
        DeclareLaunchArgument(
            "fixed_frame",
            default_value="",
            description="RViz's fixed frame. Not given: target_frame, else camera_optical_frame. Without TF "
            "it must be the frame_id of the images.",
        ),
        DeclareLaunchArgument(
            "record",
            default_value="",
            description="A file, NAME.mcap, for people and diagnostics. Empty: none.",
        ),
    ]
    parameters = [DeclareLaunchArgument(**argument) for argument in parameter_arguments()]
    return LaunchDescription([*own, *parameters, OpaqueFunction(function=_start)])


def _switch(name: str, description: str) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        name, default_value="false", choices=["true", "false"], description=description
    )


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What the arguments ask for; they all have values here."""
    given = context.launch_configurations
    parameters = given_parameters(given)
    # Nodes of several cameras name their namespaces themselves. For one, launch_ros adds what is pushed.
    pushed = given.get(PUSHED_NAMESPACE, "")
    cameras = [_join(pushed, given["namespace"], camera) for camera in given["cameras"].split()]
    node = _node(given, cameras, parameters)
    namespace = cameras[0] if cameras else _join(pushed, given["namespace"])
    fixed_frame = given["fixed_frame"] or parameters.get("target_frame") or "camera_optical_frame"
    entities = [*_profile(given, context.environment), node]
    if given["rviz"] == "true":
        entities.append(_rviz(given, namespace, fixed_frame))
    if given["record"]:
        entities.append(_recorder(given["record"], cameras or [namespace]))
    return entities


def _node(
    given: Mapping[str, str], cameras: list[str], parameters: dict
) -> LaunchDescriptionEntity:
    common = {
        "package": "d3pose_ros",
        "parameters": [
            given["params_file"],
            {**parameters, **_clock(given)},
        ],
        "remappings": [(name, _topic(given, name, bool(cameras))) for name in INPUTS],
        "ros_arguments": ["--log-level", given["log_level"]],
        "respawn": given["respawn"] == "true",
        "respawn_delay": as_seconds("respawn_delay_s", given["respawn_delay_s"]),
        "output": "screen",
        "emulate_tty": True,
        "sigterm_timeout": "10",  # s; it finishes the image that it has in work
    }
    if not cameras:
        return Node(executable="d3pose_node", name="d3pose", namespace=given["namespace"], **common)
    # A namespace from outside would be a remapping, and put all nodes of the process into one.
    several = Node(executable="d3pose_cameras", arguments=cameras, **common)
    return GroupAction([UnsetLaunchConfiguration(PUSHED_NAMESPACE), several])


def _clock(given: Mapping[str, str]) -> dict[str, bool]:
    return {"use_sim_time": given["use_sim_time"] == "true"} if given["use_sim_time"] else {}


def _topic(given: Mapping[str, str], name: str, several: bool) -> str:
    """The topic that is remapped to: as given, or as cameras usually call it."""
    usual = INPUTS[name] if several else f"{given['camera'].rstrip('/')}/{INPUTS[name]}"
    return given[name] or usual


def _join(*names: str) -> str:
    """A namespace in a namespace; an absolute one stands for itself."""
    joined = ""
    for name in filter(None, names):
        joined = name if name.startswith("/") else f"{joined}/{name}"
    return joined.rstrip("/")


def _profile(
    given: Mapping[str, str], environment: Mapping[str, str]
) -> list[LaunchDescriptionEntity]:
    """Images are larger than Fast DDS's default shared-memory segment; see config/fastdds.xml.

    What is launched afterwards gets it too: cameras need it most.
    """
    is_set = PROFILE_VARIABLE in environment or PROFILE_VARIABLE in os.environ
    if is_set or not given["fastdds_profile"]:
        return []
    return [SetEnvironmentVariable(PROFILE_VARIABLE, given["fastdds_profile"])]


def _rviz(given: Mapping[str, str], namespace: str, fixed_frame: str) -> Node:
    """The configuration names absolute topics; the remappings lead them to those of this launch."""
    image = _join(namespace, _topic(given, "image", several=bool(given["cameras"])))
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", given["rviz_config"], "-f", fixed_frame],
        parameters=[_clock(given)],
        remappings=[
            ("/camera/image_raw", image),
            ("/d3pose/mesh", f"{namespace}/d3pose/mesh"),
            ("/d3pose/skeleton", f"{namespace}/d3pose/skeleton"),
        ],
        output="screen",
    )


def _recorder(file: str, namespaces: list[str]) -> ExecuteProcess:
    topics = {f"{each}/d3pose/people": "d3pose_ros/msg/SmplPersonArray" for each in namespaces}
    topics["/diagnostics"] = "diagnostic_msgs/msg/DiagnosticArray"
    return ExecuteProcess(
        cmd=[
            *(sys.executable, "-m", "d3pose_ros.recorder", file),
            *(f"{topic}={message_type}" for topic, message_type in topics.items()),
        ],
        name="d3pose_recorder",
        output="log",  # its reports are for programs
    )
