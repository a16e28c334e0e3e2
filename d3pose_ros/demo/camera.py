"""A clip as a camera: images and camera_info at the clip's own rate, stamped as they are published.

    python -m d3pose_ros.demo.camera CLIP --hfov 60 --node d3pose

How it talks to the process that started it is in `source.py`.
"""

from __future__ import annotations

import argparse
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import rclpy
from sensor_msgs.msg import CameraInfo, Image

from d3pose_core.camera import Intrinsics
from d3pose_core.errors import D3PoseError
from d3pose_core.video import ClipReader, Frame, View
from d3pose_ros.demo.source import ImageSource, run_source
from d3pose_ros.events import emit

FRAME_ID = "camera_optical_frame"


class ClipCamera(ImageSource):
    """Publishes `camera/image_raw` and `camera/camera_info`."""

    def __init__(self, frames: Sequence[Frame], intrinsics: Intrinsics, watched: str) -> None:
        super().__init__(
            "d3pose_demo_camera", Image, "camera/image_raw", "camera/camera_info", watched
        )
        self._frames = frames
        self._info = _camera_info(intrinsics)

    @property
    def image_count(self) -> int:
        return len(self._frames)

    def play(self) -> None:
        """Publish the frames in real time."""
        start_ns, start_s = self.get_clock().now().nanoseconds, time.monotonic()
        for frame in self._frames:
            time.sleep(max(0.0, start_s + frame.time_s - time.monotonic()))
            stamp_ns = start_ns + round(frame.time_s * 1e9)
            self._publish(frame, stamp_ns)
            emit("frame", index=frame.index, stamp_ns=stamp_ns)

    def _publish(self, frame: Frame, stamp_ns: int) -> None:
        height, width = frame.image.shape[:2]
        image = Image(height=height, width=width, encoding="bgr8", step=3 * width)
        image.header.frame_id = FRAME_ID
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(stamp_ns, 10**9)
        # An array is taken as it is; bytes would be copied number by number.
        image.data = array("B", frame.image.tobytes())
        self._info.header = image.header
        assert self.infos is not None
        self.infos.publish(self._info)
        self.images.publish(image)


def _camera_info(intrinsics: Intrinsics) -> CameraInfo:
    """A rectified pinhole camera."""
    fx, fy, cx, cy = intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy
    info = CameraInfo(height=intrinsics.height, width=intrinsics.width)
    info.header.frame_id = FRAME_ID
    info.distortion_model = "plumb_bob"
    info.d = [0.0] * 5
    info.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def _numbers(count: int) -> Callable[[str], tuple[int, ...]]:
    """A parser of so many whole numbers with commas between."""

    def parse(text: str) -> tuple[int, ...]:
        try:
            numbers = tuple(int(part) for part in text.split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != count:
            raise argparse.ArgumentTypeError(f"expected {count} whole numbers, got {text!r}")
        return numbers

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="d3pose_ros.demo.camera", description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--hfov", type=float, required=True, help="of the whole picture, degrees")
    parser.add_argument("--crop", type=_numbers(4), help="x,y,width,height in px of the clip")
    parser.add_argument("--size", type=_numbers(2), help="width,height of the images published")
    parser.add_argument("--max-frames", type=int)
    parser.add_argument("--node", default="d3pose", help="whose diagnostics are watched")
    parser.add_argument(
        "--info-subscribers", type=int, default=1, help="subscribers of camera_info to wait for"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Plays the clip once. Exit status 2 for a clip or camera that won't do."""
    args = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    try:
        clip = ClipReader(args.clip, View(args.crop, args.size), args.max_frames)
        whole = Intrinsics.from_hfov(args.hfov, *clip.source_size)
        # Decoding costs far more than a camera driver does: it is done before the clip plays, while
        # the node loads its model. The demo's clip takes 330 MB.
        frames = list(clip)
    except D3PoseError as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        return 2
    rclpy.init(args=[])
    node = ClipCamera(frames, clip.view.intrinsics(whole), args.node)
    return run_source(node, args.info_subscribers)


if __name__ == "__main__":
    sys.exit(main())
