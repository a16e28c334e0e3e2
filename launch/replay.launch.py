"""Plays a bag of camera images to the d3pose node, and shows the people in RViz, in the bag's own time.

    ros2 launch d3pose_ros replay.launch.py bag:=my_bag

Image topic, camera_info and RViz's frame are found in the bag. All other arguments are those of
d3pose.launch.py, the node's parameters among them.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource

from d3pose_ros.launch_arguments import parameter_arguments
from d3pose_ros.parameters import COMPRESSED, RAW
from d3pose_ros.replay.topics import (
    COMPRESSED_TYPE,
    base_name,
    choose_image_topic,
    choose_info_topic,
    first_frame_id,
)

CLOCK_HZ = "100"


def generate_launch_description() -> LaunchDescription:
    own = [
        DeclareLaunchArgument("bag", description="The bag: a folder, or an .mcap or .db3 file."),
        DeclareLaunchArgument(
            "image",
            default_value="",
            description="Image topic. Not given: the only one in the bag.",
        ),
        DeclareLaunchArgument(
            "camera_info",
            default_value="",
            description="Topic of the camera's calibration. Not given: the one beside the images.",
        ),
        DeclareLaunchArgument("rate", default_value="1.0", description="How many times as fast."),
        _switch("loop", "false", "Play again and again."),
        _switch("rviz", "true", "Start RViz."),
        _switch("shutdown", "false", "End everything when the bag is through."),
        DeclareLaunchArgument(
            "fixed_frame",
            default_value="",
            description="RViz's fixed frame. Not given: target_frame, else the frame of the images.",
        ),
        DeclareLaunchArgument(
            "player",
            default_value="auto",
            choices=["auto", "ros2bag", "d3pose"],
            description="What plays: `ros2 bag play`, or a small player of ours. auto: the first, if it is "
            "installed.",
        ),
    ]
    parameters = [DeclareLaunchArgument(**argument) for argument in parameter_arguments()]
    return LaunchDescription([*own, *parameters, OpaqueFunction(function=_start)])


def _switch(name: str, default: str, description: str) -> DeclareLaunchArgument:
    return DeclareLaunchArgument(
        name, default_value=default, choices=["true", "false"], description=description
    )


def _start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Node and player. Raises InputError for a bag or topic that won't do."""
    given = context.launch_configurations
    bag = Path(given["bag"])
    topic = choose_image_topic(bag, given["image"] or None)
    info = choose_info_topic(bag, topic.name, given["camera_info"] or None)
    arguments = {
        "use_sim_time": "true",
        "image": base_name(topic.name),
        "camera_info": info or "",
        "image_transport": COMPRESSED if topic.type == COMPRESSED_TYPE else RAW,
        "fixed_frame": given["fixed_frame"]
        or given["target_frame"]
        or first_frame_id(bag, topic.name),
        "rviz": given["rviz"],
    }
    launch_file = Path(get_package_share_directory("d3pose_ros")) / "launch" / "d3pose.launch.py"
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(launch_file)), launch_arguments=arguments.items()
    )
    player = ExecuteProcess(cmd=_player(given), name="player", output="screen", sigterm_timeout="5")
    entities: list[LaunchDescriptionEntity] = [node, player]
    if given["shutdown"] == "true":
        at_the_end = OnProcessExit(
            target_action=player, on_exit=[Shutdown(reason="the bag is through")]
        )
        entities.insert(0, RegisterEventHandler(at_the_end))
    return entities


def _player(given: Mapping[str, str]) -> list[str]:
    has_ros2bag = importlib.util.find_spec("ros2bag") is not None
    loop = given["loop"] == "true"
    if given["player"] == "ros2bag" or (given["player"] == "auto" and has_ros2bag):
        command = ["ros2", "bag", "play", given["bag"], "--clock", CLOCK_HZ]
        # No subscriber to wait for: the node takes a few seconds to load.
        command += ["--rate", given["rate"], "--delay", "5", *(["--loop"] if loop else [])]
        return command
    command = [sys.executable, "-m", "d3pose_ros.replay.play", given["bag"], "--wait", "120"]
    return [*command, "--rate", given["rate"], "--loop", "0" if loop else "1"]
