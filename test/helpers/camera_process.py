"""A camera that can be killed: the demo clip's first frames, to and fro, stamped as they are published.

python -m test.helpers.camera_process image --rate 10 --size 640x480
"""

from __future__ import annotations

import argparse
import itertools
import time
from array import array

import cv2
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from d3pose_core import model_files
from d3pose_core.camera import Intrinsics
from d3pose_core.video import ClipReader, View

FRAMES = 8
FRAME_ID = "eye_optical_frame"


def main() -> None:
    """Publishes until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("topic")
    parser.add_argument("--info", default="camera_info", help="topic of camera_info")
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--size", default="640x360")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    cv2.setNumThreads(1)
    clip = ClipReader(
        model_files.model_path("demo.mp4"), View(size=(width, height)), max_frames=FRAMES
    )
    data = [array("B", frame.image.tobytes()) for frame in clip]
    order = itertools.cycle([*range(FRAMES), *range(FRAMES - 2, 0, -1)])
    rclpy.init(args=[])
    node = rclpy.create_node("test_camera")
    images = node.create_publisher(Image, args.topic, QoSProfile(depth=5))
    infos = node.create_publisher(CameraInfo, args.info, QoSProfile(depth=5))
    image = Image(width=width, height=height, encoding="bgr8", step=3 * width)
    image.header.frame_id = FRAME_ID
    camera = Intrinsics.from_hfov(60.0, width, height)
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    due_s = time.monotonic()
    try:
        for index in order:
            image.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
            image.data = data[index]
            infos.publish(info)
            images.publish(image)
            due_s = max(due_s + 1 / args.rate, time.monotonic())
            time.sleep(max(0.0, due_s - time.monotonic()))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal ends the context at any point; publishing without one raises RCLError.
        if rclpy.ok():
            raise
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
