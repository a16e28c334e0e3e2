"""The stages of `d3pose bench` that need ROS: messages, and publishing them to another process."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from d3pose_core.body import BodyModel
from d3pose_core.recovery import RecoveredPerson
from d3pose_ros import qos
from d3pose_ros.demo.processes import Child, graph_environment, wait_until
from d3pose_ros.markers import mesh_message
from d3pose_ros.messages import people_to_message
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.transport import PROFILE_VARIABLE

_TOPICS = ((SmplPersonArray, "bench/people", qos.people), (MarkerArray, "bench/mesh", qos.markers))
_CONNECT_S = 60.0
_LIFETIME_S = 1.0
# What must hold in this process as in the listener's.
_SHARED_VARIABLES = ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE", PROFILE_VARIABLE)


class RosBench:
    """`d3pose_core.bench.stages.RosStages`; as a context manager, with a process that listens."""

    def __init__(self, domain_id: int | None = None) -> None:
        """`domain_id`: ROS domain; None: one that is not in use by others on this machine."""
        self._domain = 1 + os.getpid() % 101 if domain_id is None else domain_id

    def __enter__(self) -> RosBench:
        self._logs = tempfile.TemporaryDirectory(prefix="d3pose-bench-")
        environment = graph_environment(self._domain, Path(self._logs.name))
        self._before = {name: os.environ.get(name) for name in _SHARED_VARIABLES}
        os.environ.update({name: environment[name] for name in _SHARED_VARIABLES})
        self._listener = Child("listener", "d3pose_ros.bench", [], environment)
        rclpy.init(args=[])
        self._node = rclpy.create_node("d3pose_bench")
        self._people, self._mesh = (
            self._node.create_publisher(kind, topic, profile()) for kind, topic, profile in _TOPICS
        )

        def connected() -> bool:
            publishers = (self._people, self._mesh)
            return all(publisher.get_subscription_count() for publisher in publishers)

        try:
            wait_until(
                connected, [self._listener], _CONNECT_S, "the listener to find the publishers"
            )
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.stop()
        self._node.destroy_node()
        rclpy.try_shutdown()
        self._logs.cleanup()
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    def people(
        self, people: Sequence[RecoveredPerson], body: BodyModel, stamp_s: float
    ) -> dict[str, float]:
        """~/people as the node publishes it: "messages" and "publish", ms."""
        header = _header(stamp_s)
        began = time.perf_counter()
        message = people_to_message(header, people, body.name, body.gender)
        made = time.perf_counter()
        self._people.publish(message)
        return {"messages": 1e3 * (made - began), "publish": 1e3 * (time.perf_counter() - made)}

    def markers(
        self, people: Sequence[RecoveredPerson], meshes: np.ndarray, body: BodyModel, stamp_s: float
    ) -> dict[str, float]:
        """~/mesh as the node publishes it: "markers", ms, the message included."""
        began = time.perf_counter()
        vertices = {person.track_id: mesh for person, mesh in zip(people, meshes, strict=True)}
        self._mesh.publish(mesh_message(_header(stamp_s), vertices, body.faces, _LIFETIME_S))
        return {"markers": 1e3 * (time.perf_counter() - began)}


def _header(stamp_s: float) -> Header:
    header = Header(frame_id="camera_optical_frame")
    header.stamp.sec, header.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    return header


def _listen() -> None:
    """Receives everything, until it is told to stop."""
    rclpy.init(args=[])
    node = rclpy.create_node("d3pose_bench_listener")
    for kind, topic, profile in _TOPICS:
        node.create_subscription(kind, topic, lambda _: None, profile(), raw=True)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    _listen()
