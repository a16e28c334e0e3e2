"""A camera in front of so many people, for benchmarks of the node; images are stamped as they are published.

    python -m benchmarks.crowd_camera /camera/image_raw --people 2 --size 640x480 --rate 30 [--compressed]

With `--compressed` images are JPEG, on the topic's `.../compressed`, as image_transport has it.
"""

from __future__ import annotations

import argparse
import itertools
import time
from array import array

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from d3pose_core.bench.crowd import crowd, read_man
from d3pose_core.camera import Intrinsics

FRAME_ID = "eye_optical_frame"
JPEG_QUALITY = 90


def main() -> None:
    """Publishes until it is told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("topic")
    parser.add_argument("--info", default="/camera/camera_info", help="topic of camera_info")
    parser.add_argument("--people", type=int, default=1)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--compressed", action="store_true")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    cv2.setNumThreads(1)
    images = crowd(read_man(), args.people, width, height).images
    rclpy.init(args=[])
    node = rclpy.create_node("crowd_camera")
    if args.compressed:
        message = CompressedImage(format="bgr8; jpeg compressed bgr8")
        data = [array("B", packed(image)) for image in images]
        topic = f"{args.topic}/compressed"
    else:
        message = Image(width=width, height=height, encoding="bgr8", step=3 * width)
        data = [array("B", image.tobytes()) for image in images]
        topic = args.topic
    publisher = node.create_publisher(type(message), topic, QoSProfile(depth=5))
    infos = node.create_publisher(CameraInfo, args.info, QoSProfile(depth=5))
    camera = Intrinsics.from_hfov(60.0, width, height)
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    message.header.frame_id = FRAME_ID
    due_s = time.monotonic()
    try:
        for image in itertools.cycle(data):
            message.header.stamp = info.header.stamp = node.get_clock().now().to_msg()
            message.data = image
            infos.publish(info)
            publisher.publish(message)
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


def packed(image: np.ndarray) -> bytes:
    """JPEG."""
    return cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()


if __name__ == "__main__":
    main()
