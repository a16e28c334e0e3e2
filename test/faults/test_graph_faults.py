"""Other nodes about ours: publishers that do not fit, subscribers that hang, a second node of its name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from test.helpers.fault_node import ROOT, FaultNode

IMAGES = "/scripted/image"


def test_a_publisher_whose_qos_does_not_fit(node: FaultNode, graph):
    """Best effort, and the node was told to ask for reliable: nothing ever comes from it."""
    unfit = graph.node.create_publisher(
        Image, IMAGES, QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    try:
        node.wait_for("stream/incompatible_qos")
        node.wait_for_log("set image_reliability:=best_effort")
        graph.node.destroy_publisher(node.images)
        node.wait_until(
            lambda: "no image: there is a publisher, but its QoS" in node.status().message,
            "the silence to be reported",
        )
        assert node.status().level == DiagnosticStatus.WARN
    finally:
        graph.node.destroy_publisher(unfit)
        node.images = graph.node.create_publisher(Image, IMAGES, QoSProfile(depth=50))
        node.wait_until(node.images.get_subscription_count, "the image subscription")


def test_two_cameras_on_one_topic(node: FaultNode, graph):
    other = graph.node.create_publisher(Image, IMAGES, QoSProfile(depth=50))
    try:
        node.wait_until(other.get_subscription_count, "the other camera to be connected")
        for _ in range(5):
            node.answer(count=1, first=3)
            image = node.next(count=1, first=4, frame_id="other_camera")
            other.publish(image)
            node.wait_until(
                lambda s=image.header.stamp: node.people[-1].header.stamp == s, "its people"
            )
        node.wait_for("stream/frame_id_changed", 9)
        node.wait_until(
            lambda: node.status().message.startswith(f"2 publishers of {IMAGES}"), "the report"
        )
        assert node.status().level == DiagnosticStatus.WARN
        assert node.said().count("frame_id changed") <= 1, "not at the cameras' rate"
    finally:
        graph.node.destroy_publisher(other)
    node.wait_until(lambda: node.values()["image publishers"] == "1", "the camera to be gone")


def test_nobody_publishes_images(node: FaultNode, graph):
    graph.node.destroy_publisher(node.images)
    try:
        node.wait_until(
            lambda: node.status().message == f"no image: nobody publishes {IMAGES}", "the report"
        )
    finally:
        node.images = graph.node.create_publisher(Image, IMAGES, QoSProfile(depth=50))
        node.wait_until(node.images.get_subscription_count, "the image subscription")


def test_a_topic_of_another_type(node: FaultNode, graph):
    """As where `image` leads to a compressed topic: the middleware connects no such publisher."""
    graph.node.destroy_publisher(node.images)
    other = graph.node.create_publisher(CompressedImage, IMAGES, QoSProfile(depth=50))
    try:
        node.wait_until(
            lambda: (
                f"no image: {IMAGES} is published as sensor_msgs/msg/CompressedImage"
                in node.status().message
            ),
            "the report",
        )
        assert "see its parameter image_transport" in node.status().message
    finally:
        graph.node.destroy_publisher(other)
        node.images = graph.node.create_publisher(Image, IMAGES, QoSProfile(depth=50))
        node.wait_until(node.images.get_subscription_count, "the image subscription")


@pytest.fixture
def slow_subscriber(tmp_path: Path) -> Iterator[tuple[subprocess.Popen, Path]]:
    """Subscribes to everything, reliably, with a short queue; and a file that grows when it has something."""
    code = (
        "import rclpy\n"
        "from d3pose_ros.msg import SmplPersonArray as A\n"
        "from visualization_msgs.msg import MarkerArray as M\n"
        "rclpy.init(); n = rclpy.create_node('slow')\n"
        "s = [n.create_subscription(t, f'/scripted/d3pose/{k}', lambda m: print('got', flush=True), 1)\n"
        "     for k, t in (('people', A), ('mesh', M), ('skeleton', M))]\n"
        "rclpy.spin(n)"
    )
    heard = tmp_path / "heard"
    with heard.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=output,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    yield process, heard
    process.kill()
    process.wait(20)


def test_a_subscriber_that_hangs_holds_nobody_up(node: FaultNode, slow_subscriber):
    """As one in a debugger does, or on a machine that swaps."""
    process, heard = slow_subscriber
    node.wait_until(
        heard.read_text,
        "the subscriber to be connected",
        between=lambda: node.send(node.next(count=5, first=3)),
    )
    process.send_signal(signal.SIGSTOP)
    # As much as any queue in between takes, and some more.
    for _ in range(60):
        assert len(node.answer(count=5, first=3).persons) == 5
    node.settle()
    assert float(node.values()["publish ms p95"]) < 100


def test_two_nodes_with_one_name(node: FaultNode, start_node):
    """Both go on; the diagnostics of both say it."""
    second = start_node(namespace="scripted")
    node.wait_for("graph/same_name")
    node.wait_for_log("another node is named /scripted/d3pose")
    node.wait_until(
        lambda: "another node is named" in node.status().message,
        "the report in the diagnostics",
        between=lambda: node.send(node.next(count=1, first=3)),
    )
    assert node.status().level == DiagnosticStatus.WARN
    assert second.stop() == 0
    node.wait_until(
        lambda: "another node is named" not in node.status().message, "it to be withdrawn"
    )
