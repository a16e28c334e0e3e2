"""Compressed images and depth through the node, with a stand-in for the network."""

from __future__ import annotations

import array
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from d3pose_ros import images
from d3pose_ros.input_topics import image_topic
from d3pose_ros.node import D3PoseNode
from test.helpers.node_bench import SUCCESS, Bench


@pytest.fixture
def make_bench(graph, make_image, make_camera_info):
    return lambda **parameters: Bench(graph, make_image, make_camera_info, **parameters)


def compressed(stamp_s: int, data: bytes | None = None) -> CompressedImage:
    if data is None:
        data = cv2.imencode(".jpg", np.full((48, 64, 3), (10, 100, 200), np.uint8))[1].tobytes()
    message = CompressedImage(format="bgr8; jpeg compressed bgr8", data=array.array("B", data))
    message.header.frame_id = "head_camera"
    message.header.stamp.sec = stamp_s
    return message


class CompressedBench(Bench):
    """Its images are compressed."""

    def __init__(self, graph, make_image, make_camera_info) -> None:
        super().__init__(graph, make_image, make_camera_info, image_transport="compressed")
        graph.node.destroy_publisher(self.images)
        self.images = graph.node.create_publisher(
            CompressedImage, "image/compressed", qos_profile_sensor_data
        )


def test_compressed_images(graph, make_image, make_camera_info):
    bench = CompressedBench(graph, make_image, make_camera_info).start()
    assert not bench.graph.node.count_subscribers("image"), "raw images are not received too"
    bench.images.publish(compressed(12))
    bench.graph.wait_until(lambda: bench.people, "people")
    assert bench.people[0].header.frame_id == "head_camera"
    assert bench.people[0].header.stamp.sec == 12
    image, stamp_s, intrinsics = bench.recovery.calls[0]
    np.testing.assert_allclose(image[24, 32], (10, 100, 200), atol=4)
    assert stamp_s == 12
    assert (intrinsics.width, intrinsics.height) == (64, 48)


def test_damaged_compressed_images_are_counted_and_survived(graph, make_image, make_camera_info):
    bench = CompressedBench(graph, make_image, make_camera_info).start()
    whole = bytes(compressed(0).data)
    for data, cause in (
        (b"", "empty_image"),
        (whole[:-30], "malformed_image"),
        (b"\x00\x00\x00\x01h264", "unsupported_encoding"),
    ):
        bench.images.publish(compressed(1, data))
        bench.wait_for_count(f"dropped/{cause}", 1)
    assert bench.diagnostics[-1].status[0].level == DiagnosticStatus.ERROR
    bench.images.publish(compressed(1))
    bench.graph.wait_until(lambda: bench.people, "people")
    assert len(bench.recovery.calls) == 1


@pytest.fixture
def decoding_threads(monkeypatch):
    """Names of the threads that decoded images, one for each image."""
    threads = []
    to_bgr = images.to_bgr

    def remember(message):
        pixels = to_bgr(message)
        threads.append(threading.current_thread().name)
        return pixels

    monkeypatch.setattr(images, "to_bgr", remember)
    return threads


def test_images_are_decoded_ahead(graph, make_image, make_camera_info, decoding_threads):
    """Neither the executor, which must stay free for services, nor the recovery waits for it."""
    bench = CompressedBench(graph, make_image, make_camera_info).start()
    bench.recovery.may_go_on.clear()
    for stamp in (1, 2):
        bench.images.publish(compressed(stamp))
        graph.wait_until(lambda stamp=stamp: len(decoding_threads) == stamp, "decoding")
    assert len(bench.recovery.calls) == 1
    for stamp in (3, 4):
        bench.images.publish(compressed(stamp))
    bench.wait_for_count("images received", 4)
    bench.recovery.may_go_on.set()
    graph.wait_until(lambda: len(bench.people) == 3, "people")
    assert [stamp for _, stamp, _ in bench.recovery.calls] == [1.0, 2.0, 4.0]
    bench.wait_for_count("dropped/busy", 1)
    assert decoding_threads == ["d3pose-recovery-ahead"] * 3


@pytest.mark.parametrize(
    "rules", [["-r", "image:=/front/image_raw"], ["-r", "image/compressed:=/front/any"]]
)
def test_remapping_leads_to_the_compressed_topic(graph, rules):
    node = graph.add(
        D3PoseNode(
            recovery_factory=lambda values: None,
            cli_args=["--ros-args", *rules],
            parameter_overrides=[Parameter("image_transport", value="compressed")],
        )
    )
    expected = "/front/image_raw/compressed" if "image_raw" in rules[1] else "/front/any"
    assert image_topic(node, "compressed") == expected
    assert image_topic(node, "raw") == ("/front/image_raw" if "image_raw" in rules[1] else "/image")


# -- Depth


def torso_in_view(make_person):
    """Somebody in rest pose, pelvis 3 m before the camera, and 0.4 m too far away."""
    person = make_person(1)
    upright = np.array([np.pi, 0, 0], np.float32)
    joints = np.zeros((24, 3), np.float32)
    joints[0] = 0, 0, 3.4
    return replace(
        person,
        global_orient=upright,
        body_pose=np.zeros((23, 3), np.float32),
        betas=np.zeros(10, np.float32),
        transl=np.array((0, 0, 3.4), np.float32),
        joints=joints,
    )


def depth_image(stamp_s: float, value: int, width: int = 64, height: int = 48) -> Image:
    image = Image(width=width, height=height, encoding="16UC1", step=2 * width)
    image.header.stamp.sec, image.header.stamp.nanosec = int(stamp_s), round(stamp_s % 1 * 1e9)
    image.data = array.array("B", np.full((height, width), value, np.uint16).tobytes())
    return image


@pytest.fixture
def depth_bench(make_bench, make_person, graph):
    bench = make_bench(use_depth=True, lazy=False)
    bench.depths = graph.node.create_publisher(Image, "depth", qos_profile_sensor_data)
    bench.start()
    graph.wait_until(lambda: bench.depths.get_subscription_count(), "the depth subscription")
    bench.recovery.people = [torso_in_view(make_person)]
    return bench


def send_depth(bench, message) -> None:
    bench.depths.publish(message)
    stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
    bench.graph.wait_until(
        lambda: bench.node._pipeline.depth.buffer.nearest(stamp_ns, 0.0), "depth to come"
    )


def test_depth_of_the_same_moment_sets_the_distance(depth_bench):
    bench = depth_bench
    send_depth(bench, depth_image(1.0, 3000))
    bench.send(1.01)
    bench.graph.wait_until(lambda: bench.people, "people")
    (person,) = bench.people[0].persons
    assert 2.9 < person.joints[0].z < 3.3, "the skin at 3 m, the pelvis a little behind"
    assert person.transl[2] == pytest.approx(person.joints[0].z, abs=1e-5)
    bench.wait_for_count("depth/used", 1)
    assert float(bench.counts()["depth ms p50"]) > 0


def test_colour_does_not_wait_for_depth(depth_bench):
    bench = depth_bench
    bench.send(1.0)
    bench.graph.wait_until(lambda: bench.people, "people without depth")
    assert bench.people[0].persons[0].joints[0].z == pytest.approx(3.4)
    bench.wait_for_count("depth/no_image", 1)


def test_useless_depth_is_counted_and_not_used(depth_bench):
    bench = depth_bench
    cut_off = depth_image(4.0, 3000)
    cut_off.data = cut_off.data[:100]
    not_aligned = depth_image(5.0, 3000)
    not_aligned.header.frame_id = "depth_optical_frame"
    for k, (message, cause) in enumerate(
        (
            (depth_image(1.0, 0), "too_few_pixels"),
            (depth_image(2.0, 9000), "disagrees"),
            (depth_image(3.0, 3000, 48, 48), "wrong_size"),
            (cut_off, "malformed_image"),
            (not_aligned, "other_frame"),
        ),
        start=1,
    ):
        send_depth(bench, message)
        bench.send(float(k))
        bench.graph.wait_until(lambda n=k: len(bench.people) == n, f"people of image {k}")
        assert bench.people[-1].persons[0].joints[0].z == pytest.approx(3.4)
        bench.wait_for_count(f"depth/{cause}", 1)


@pytest.mark.parametrize(("depth", "colour"), [("/optical", "optical"), ("optical", "")])
def test_frames_of_depth_that_are_the_images_but_for_how_they_are_written(
    depth_bench, depth, colour
):
    message = depth_image(1.0, 3000)
    message.header.frame_id = depth
    send_depth(depth_bench, message)
    depth_bench.send(1.0, frame_id=colour)
    depth_bench.wait_for_count("depth/used", 1)


def test_without_the_parameter_depth_is_not_received(make_bench):
    bench = make_bench().start()
    assert not bench.graph.node.count_subscribers("depth")
    assert bench.node.trigger_deactivate() == SUCCESS
