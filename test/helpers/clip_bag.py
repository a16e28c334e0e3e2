"""A clip as a bag: what a camera driver would have recorded.

python -m test.helpers.clip_bag out/demo_bag            # the demo clip, 640x480
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from rosbags.rosbag2 import StoragePlugin, Writer

from d3pose_core.camera import Intrinsics
from d3pose_core.model_files import model_path
from d3pose_core.video import ClipReader, View
from d3pose_ros.bag import typestore
from d3pose_ros.demo.clip import DEMO_CLIP
from d3pose_ros.replay.topics import COMPRESSED_TYPE, IMAGE_TYPE, INFO_TYPE
from test.fixtures.make_regression_bag import (
    IMAGE,
    INFO,
    START_NS,
    camera_info_message,
    header_message,
    image_message,
)

SIZE = (640, 480)


def write_demo_bag(
    path: Path, frames: int | None = None, size: tuple[int, int] = SIZE, compressed: bool = False
) -> int:
    """The demo clip's part that the demo shows, at `size` (width, height), as a bag folder at `path`.

    `frames` beyond the clip's length go on from its end back to its start, and so on: nobody jumps.
    Returns the number of frames. The folder must not exist yet.
    """
    view = View(crop=DEMO_CLIP.view.crop, size=size)
    clip = ClipReader(model_path(DEMO_CLIP.name), view)
    whole = Intrinsics.from_hfov(DEMO_CLIP.hfov_deg, *clip.source_size)
    camera = view.intrinsics(whole)
    images = [frame.image for frame in clip]
    to_and_fro = itertools.cycle([*images, *images[-2:0:-1]])
    count = frames or 2 * len(images) - 2  # so that a loop has no jump either
    types = typestore()
    topic, kind = (f"{IMAGE}/compressed", COMPRESSED_TYPE) if compressed else (IMAGE, IMAGE_TYPE)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image_topic = writer.add_connection(topic, kind, typestore=types)
        info_topic = writer.add_connection(INFO, INFO_TYPE, typestore=types)
        for index, image in zip(range(count), to_and_fro, strict=False):
            stamp_ns = START_NS + round(index * 1e9 / clip.fps)
            header = header_message(types, stamp_ns)
            info = camera_info_message(types, header, camera)
            writer.write(info_topic, stamp_ns, bytes(types.serialize_cdr(info, INFO_TYPE)))
            message = image_message(types, header, image, compressed)
            writer.write(image_topic, stamp_ns, bytes(types.serialize_cdr(message, kind)))
    return count


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT (default: %(default)s)")
    parser.add_argument("--compressed", action="store_true", help="JPEG instead of raw images")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    write_demo_bag(args.out, args.frames, (width, height), args.compressed)


if __name__ == "__main__":
    main()
