"""Starts the d3pose node and, on request, RViz.

ros2 launch d3pose_ros d3pose.launch.py image:=/camera/image_raw camera_info:=/camera/camera_info rviz:=true
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PROFILE_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"


def generate_launch_description() -> LaunchDescription:
    share = Path(get_package_share_directory("d3pose_ros"))
    arguments = [
        DeclareLaunchArgument(
            "image", default_value="/camera/image_raw", description="Topic: sensor_msgs/Image."
        ),
        DeclareLaunchArgument(
            "camera_info",
            default_value="/camera/camera_info",
            description="Topic: sensor_msgs/CameraInfo of the same camera.",
        ),
        DeclareLaunchArgument(
            "depth",
            default_value="/camera/aligned_depth_to_color/image_raw",
            description="Topic: depth aligned with the images; used with the parameter use_depth.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(share / "config" / "d3pose.yaml"),
            description="YAML file with the node's parameters.",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="Namespace of the node and of its topics."
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Take the time from /clock, as with `ros2 bag play --clock`.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least severity that the node logs.",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="Start RViz."
        ),
        DeclareLaunchArgument(
            "rviz_config",
            default_value=str(share / "config" / "d3pose.rviz"),
            description="RViz configuration.",
        ),
        DeclareLaunchArgument(
            "fixed_frame",
            default_value="camera_optical_frame",
            description="RViz's fixed frame. Without TF it must be the frame_id of the images.",
        ),
    ]

    # Images are larger than Fast DDS' default shared-memory segment; see the file. A profile that the user
    # has set stays.
    profile = []
    if PROFILE_VARIABLE not in os.environ:
        profile = [SetEnvironmentVariable(PROFILE_VARIABLE, str(share / "config" / "fastdds.xml"))]

    node = Node(
        package="d3pose_ros",
        executable="d3pose_node",
        name="d3pose",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            LaunchConfiguration("params_file"),
            {"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)},
        ],
        remappings=[
            ("image", LaunchConfiguration("image")),
            ("camera_info", LaunchConfiguration("camera_info")),
            ("depth", LaunchConfiguration("depth")),
        ],
        ros_arguments=["--log-level", LaunchConfiguration("log_level")],
        output="screen",
        emulate_tty=True,
    )
    # The configuration names absolute topics; the remappings move them to those of this launch.
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        arguments=[
            *("-d", LaunchConfiguration("rviz_config")),
            *("-f", LaunchConfiguration("fixed_frame")),
        ],
        parameters=[
            {"use_sim_time": ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)}
        ],
        remappings=[
            ("/camera/image_raw", LaunchConfiguration("image")),
            ("/d3pose/mesh", "d3pose/mesh"),
            ("/d3pose/skeleton", "d3pose/skeleton"),
        ],
        condition=IfCondition(LaunchConfiguration("rviz")),
        output="screen",
    )
    return LaunchDescription([*arguments, *profile, node, rviz])
