"""launch_testing: the launch file brings the node up, it answers images, and it goes down in time.

`launch_test test/launch/d3pose_launch_test.py`, or `colcon test`; needs a ROS 2 installation. pytest does not
collect it: test/ros/test_node_process.py holds the same scenarios for machines without launch.
"""

import time
import unittest
from pathlib import Path

import launch_testing.actions
import launch_testing.asserts
import rclpy
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from lifecycle_msgs.srv import GetState
from sensor_msgs.msg import Image

from d3pose_ros.msg import SmplPersonArray

DEADLINE_S = 30.0


def generate_test_description() -> LaunchDescription:
    launch_file = Path(get_package_share_directory("d3pose_ros")) / "launch" / "d3pose.launch.py"
    arguments = {"image": "/front/image", "camera_info": "/front/camera_info", "namespace": "robot"}
    return LaunchDescription(
        [
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(launch_file)), launch_arguments=arguments.items()
            ),
            launch_testing.actions.ReadyToTest(),
        ]
    )


class TestNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        rclpy.init()
        cls.node = rclpy.create_node("launch_test_probe")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.node.destroy_node()
        rclpy.shutdown()

    def wait_until(self, condition, what: str, between=lambda: None) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            between()
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def test_becomes_active_and_answers_images(self) -> None:
        client = self.node.create_client(GetState, "/robot/d3pose/get_state")
        self.wait_until(client.service_is_ready, "the get_state service")
        state = ""
        while state != "active":
            future = client.call_async(GetState.Request())
            self.wait_until(future.done, "the state")
            state = future.result().current_state.label

        received = []
        self.node.create_subscription(SmplPersonArray, "/robot/d3pose/people", received.append, 10)
        images = self.node.create_publisher(Image, "/front/image", 5)
        image = Image(width=320, height=240, encoding="bgr8", step=960, data=bytes(960 * 240))
        image.header.frame_id = "front_optical_frame"

        def publish() -> None:
            image.header.stamp = self.node.get_clock().now().to_msg()
            images.publish(image)

        self.wait_until(lambda: received, "a message for an image", between=publish)
        assert received[0].header.frame_id == "front_optical_frame"
        assert received[0].persons == []


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    def test_exit_codes(self, proc_info) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
