"""launch_testing: a node with respawn in a namespace, a camera that dies, markers, and an end in time.

`launch_test test/launch/d3pose_launch_test.py`, or `colcon test`; needs a ROS 2 installation. pytest does not
collect it: test/ros/test_scenarios.py and test_node_process.py hold the same scenarios for machines without
launch.
"""

import os
import signal
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import launch_testing.actions
import launch_testing.asserts
import rclpy
from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import ExecuteProcess, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from visualization_msgs.msg import Marker, MarkerArray

from d3pose_ros.msg import SmplPersonArray

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S, ACTIVE_WITHIN_S = 60.0, 10.0
NODE = "/robot/d3pose"


def generate_test_description() -> tuple[LaunchDescription, dict]:
    share = Path(get_package_share_directory("d3pose_ros"))
    arguments = {"camera": "/eye", "respawn": "true", "respawn_delay_s": "0.5", "max_people": "2"}
    # As in the launch file of a robot.
    node = GroupAction(
        [
            PushRosNamespace("robot"),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / "launch" / "d3pose.launch.py")),
                launch_arguments=arguments.items(),
            ),
        ]
    )
    camera = ExecuteProcess(
        cmd=[
            *(sys.executable, "-m", "test.helpers.camera_process", "/eye/image_raw"),
            *("--info", "/eye/camera_info"),
        ],
        cwd=str(ROOT),
        respawn=True,
        respawn_delay=2.0,
    )
    ready = launch_testing.actions.ReadyToTest()
    return LaunchDescription([node, camera, ready]), {"camera": camera}


class TestNode(unittest.TestCase):
    """In the order of their names: the last one deactivates the node."""

    @classmethod
    def setUpClass(cls) -> None:
        rclpy.init()
        cls.started_s = time.monotonic()
        cls.node = rclpy.create_node("launch_test_probe")
        cls.people, cls.meshes = [], []
        subscribe = cls.node.create_subscription
        subscribe(SmplPersonArray, f"{NODE}/people", cls.people.append, 10)
        subscribe(MarkerArray, f"{NODE}/mesh", cls.meshes.append, 10)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.node.destroy_node()
        rclpy.shutdown()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def call(self, kind: type, name: str, request: object) -> object:
        """Asks again where no answer comes: a service is announced before its replies can reach us."""
        client = self.node.create_client(kind, f"{NODE}/{name}")
        self.wait_until(client.service_is_ready, f"the service {name}")
        for _ in range(10):
            future = client.call_async(request)
            again_s = time.monotonic() + 2.0
            self.wait_until(lambda f=future, s=again_s: f.done() or time.monotonic() > s, name)
            if future.done():
                return future.result()
        raise AssertionError(f"{name} is not answered")

    def state(self) -> str:
        return self.call(GetState, "get_state", GetState.Request()).current_state.label

    def test_1_becomes_active_in_time(self) -> None:
        self.wait_until(lambda: self.state() == "active", "the active state")
        took_s = time.monotonic() - self.started_s
        print(f"active after {took_s:.1f} s")
        assert took_s < ACTIVE_WITHIN_S

    def test_2_publishes_people_with_the_images_header(self) -> None:
        self.wait_until(lambda: self.people and self.people[-1].persons, "people")
        assert self.people[-1].header.frame_id == "eye_optical_frame"
        self.wait_until(lambda: self.meshes and self.meshes[-1].markers, "a mesh")

    def test_3_survives_a_dead_camera(self, camera) -> None:
        before = camera.process_details["pid"]
        os.kill(before, signal.SIGKILL)
        self.wait_until(lambda: camera.process_details["pid"] != before, "the new camera")
        started_ns = self.node.get_clock().now().nanoseconds
        self.wait_until(lambda: stamp_ns(self.people[-1]) > started_ns, "people of the new camera")
        assert self.state() == "active"

    def test_4_deactivation_clears_the_markers(self) -> None:
        request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
        assert self.call(ChangeState, "change_state", request).success
        self.wait_until(
            lambda: any(m.action == Marker.DELETEALL for m in self.meshes[-1].markers), "DELETEALL"
        )
        # Shut down from the active state, with images coming.
        request.transition.id = Transition.TRANSITION_ACTIVATE
        self.call(ChangeState, "change_state", request)
        seen = len(self.people)
        self.wait_until(lambda: len(self.people) > seen, "people after the new activation")


def stamp_ns(message: SmplPersonArray) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    def test_the_node_ends_by_itself_after_sigint(self, proc_info) -> None:
        """Not by SIGTERM, which launch sends to those who don't: that would be another status."""
        launch_testing.asserts.assertExitCodes(proc_info, process="d3pose_node")
