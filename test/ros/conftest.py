"""A ROS graph, people and images for the tests of d3pose_ros."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image

from d3pose_core.recovery import RecoveredPerson
from test.helpers.graph import Graph
from test.helpers.node_process import NodeProcess


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.close()


@pytest.fixture
def start_node(graph: Graph, tmp_path: Path) -> Iterator[Callable[..., NodeProcess]]:
    """Starts the real node with some parameters (`name:=value`), in a process of its own."""
    started: list[NodeProcess] = []

    def start(*parameters: str, **environment: str) -> NodeProcess:
        log = tmp_path / f"node{len(started)}.log"
        started.append(NodeProcess(graph, log, *parameters, **environment))
        return started[-1]

    yield start
    for node in started:
        if node.process.poll() is None:
            node.stop()


def _make_person(track_id: int = 1, seed: int = 0) -> RecoveredPerson:
    random = np.random.default_rng([seed, track_id])

    def numbers(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    return RecoveredPerson(
        track_id=track_id,
        confidence=np.float32(0.75),  # as networks return it; rclpy would send 0.0
        global_orient=numbers(3),
        body_pose=0.2 * numbers(23, 3),
        betas=numbers(10),
        transl=numbers(3) + np.float32((0, 0, 4)),
        joints=numbers(24, 3),
        joints_2d=100 * numbers(24, 2),
        joint_confidence=random.uniform(size=24).astype(np.float32),
        observation_age_s=np.float32(0.125),
        stature_m=1.625,
        stature_std_m=0.0625,
    )


def _make_image(
    stamp_s: float = 1.0,
    width: int = 64,
    height: int = 48,
    encoding: str = "bgr8",
    frame_id: str = "camera_optical_frame",
) -> Image:
    """A black image; `stamp_s` to the millisecond."""
    image = Image(width=width, height=height, encoding=encoding, step=3 * width)
    image.header.frame_id = frame_id
    image.header.stamp.sec, milliseconds = divmod(round(stamp_s * 1000), 1000)
    image.header.stamp.nanosec = milliseconds * 10**6
    image.data = array.array("B", bytes(image.step * height))  # rclpy checks each of `bytes`
    return image


def _make_camera_info(width: int = 64, height: int = 48, focal: float = 60.0) -> CameraInfo:
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [focal, 0.0, width / 2, 0.0, focal, height / 2, 0.0, 0.0, 1.0]
    return info


@pytest.fixture
def make_person() -> Callable[..., RecoveredPerson]:
    return _make_person


@pytest.fixture
def make_image() -> Callable[..., Image]:
    return _make_image


@pytest.fixture
def make_camera_info() -> Callable[..., CameraInfo]:
    return _make_camera_info
