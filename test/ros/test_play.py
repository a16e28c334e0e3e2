"""A bag played as if its camera ran now."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from d3pose_ros.replay.images import stamp_of
from d3pose_ros.replay.play import with_stamp
from test.fixtures.make_regression_bag import IMAGE, INFO, RATE_HZ, write_bag

ROOT = Path(__file__).resolve().parents[2]
FRAMES, ROUNDS, RATE = 4, 3, 2.0


def stamps(messages: list) -> list[int]:
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages]


def test_stamps_of_now_go_on_over_the_rounds(graph, tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", FRAMES)
    images, infos = graph.collect(Image, IMAGE, 50), graph.collect(CameraInfo, INFO, 50)
    began_ns = time.time_ns()
    options = ["--stamp-now", "--loop", str(ROUNDS), "--rate", str(RATE), "--wait", "20"]
    command = [sys.executable, "-m", "d3pose_ros.replay.play", str(tmp_path / "bag"), *options]
    player = subprocess.Popen(command, cwd=ROOT)
    try:
        # A busy machine may lose one: the camera's topics are best effort.
        graph.wait_until(lambda: player.poll() is not None, "the player's end")
        assert len(images) > FRAMES * (ROUNDS - 1)
        assert not graph.node.get_publishers_info_by_topic("/clock")
    finally:
        player.wait(20)
    ended_ns = time.time_ns()
    seen = stamps(images)
    assert seen == sorted(set(seen))
    assert began_ns < seen[0] < seen[-1] < ended_ns + 10**9
    both = set(stamps(infos)) & set(seen)  # the camera of an image is found by its stamp
    assert len(both) > FRAMES * (ROUNDS - 1)
    step_ns = round(1e9 / RATE_HZ / RATE)
    assert np.isclose(np.diff(seen), step_ns, rtol=0, atol=2).sum() >= FRAMES - 1


def test_what_is_older_than_the_images_does_not_move_them(graph, tmp_path: Path) -> None:
    """What was latched an hour before, or has no stamp at all, comes first in the bag; /tf moves, too."""
    hour = 3600 * 10**9
    with Writer(tmp_path / "bag", version=9) as writer:
        typestore = get_typestore(Stores.ROS2_HUMBLE)
        topics = {
            "/map_info": CameraInfo,
            "/unstamped": CameraInfo,
            "/tf": TFMessage,
            "/image": Image,
        }
        names = {"/tf": "tf2_msgs/msg/TFMessage", "/image": "sensor_msgs/msg/Image"}
        connections = {
            topic: writer.add_connection(
                topic, names.get(topic, "sensor_msgs/msg/CameraInfo"), typestore=typestore
            )
            for topic in topics
        }

        def write(topic: str, message: object, received_ns: int) -> None:
            writer.write(connections[topic], received_ns, serialize_message(message))

        old, unstamped, image = CameraInfo(), CameraInfo(), Image()
        old.header.stamp.sec, image.header.stamp.sec = 1000, 4600
        write("/map_info", old, hour)
        write("/unstamped", unstamped, hour + 1)
        moving = TransformStamped(child_frame_id="base")
        moving.header.stamp.sec = 4600
        write("/tf", TFMessage(transforms=[moving]), hour + 2)
        write("/image", image, hour + 5 * 10**8)
    old_ones, unstamped_ones, tf_ones, images = (
        graph.collect(kind, topic, 10) for topic, kind in topics.items()
    )
    command = [sys.executable, "-m", "d3pose_ros.replay.play", str(tmp_path / "bag")]
    player = subprocess.Popen([*command, "--stamp-now", "--wait", "20"], cwd=ROOT)
    try:
        graph.wait_until(lambda: images and tf_ones and player.poll() is not None, "the image")
        assert player.returncode == 0
        now_ns = time.time_ns()
        assert abs(stamps(images)[0] - now_ns) < 20 * 10**9
        assert stamps(tf_ones[0].transforms) == stamps(images)
        # These may have been sent before we were connected; where they came, they are as they should be.
        assert all(stamp == 0 for stamp in stamps(unstamped_ones))
        assert all(abs(now_ns - hour - stamp) < 20 * 10**9 for stamp in stamps(old_ones))
    finally:
        player.wait(20)


def test_only_the_stamp_changes() -> None:
    image = Image(height=2, width=1, encoding="mono8", step=1, data=[7, 9])
    image.header.frame_id = "eye"
    changed = with_stamp(serialize_message(image), 5 * 10**9 + 6)
    assert stamp_of(changed) == 5 * 10**9 + 6
    image.header.stamp.sec, image.header.stamp.nanosec = 5, 6
    assert changed == serialize_message(image)
    assert with_stamp(b"\0\1", 5) == b"\0\1"
