"""launch_testing: replay.launch.py plays a bag with our own player; people have the stamps of the bag.

`launch_test test/launch/replay_launch_test.py`, or `colcon test`; needs a ROS 2 installation.
"""

import sys
import tempfile
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

from d3pose_ros.msg import SmplPersonArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from test.fixtures.make_regression_bag import FRAME_ID, RATE_HZ, START_NS, write_bag

FRAMES, DEADLINE_S = 30, 120.0


def generate_test_description() -> LaunchDescription:
    bag = Path(tempfile.mkdtemp()) / "bag"
    write_bag(bag, FRAMES, compressed=True)
    share = Path(get_package_share_directory("d3pose_ros"))
    arguments = {
        "bag": str(bag),
        "rviz": "false",
        "player": "d3pose",
        "loop": "true",
        "rate": "0.5",
        "max_people": "1",
    }
    replay = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / "launch" / "replay.launch.py")),
        launch_arguments=arguments.items(),
    )
    return LaunchDescription([replay, launch_testing.actions.ReadyToTest()])


class TestReplay(unittest.TestCase):
    def test_people_have_the_stamps_of_the_bag(self) -> None:
        rclpy.init()
        node = rclpy.create_node("launch_test_probe")
        people: list[SmplPersonArray] = []
        node.create_subscription(SmplPersonArray, "/d3pose/people", people.append, 10)
        deadline = time.monotonic() + DEADLINE_S
        while not (people and people[-1].persons):
            assert time.monotonic() < deadline, "waited in vain for people"
            rclpy.spin_once(node, timeout_sec=0.1)
        stamps = {START_NS + k * 10**9 // RATE_HZ for k in range(FRAMES)}
        for message in people:
            assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec in stamps
            assert message.header.frame_id == FRAME_ID
        node.destroy_node()
        rclpy.shutdown()


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    def test_all_end_by_themselves_after_sigint(self, proc_info) -> None:
        launch_testing.asserts.assertExitCodes(proc_info)
