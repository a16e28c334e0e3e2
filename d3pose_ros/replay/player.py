"""A bag as a camera: its images and camera_info as they were recorded, at their own pace.

    python -m d3pose_ros.replay.player BAG --image /camera/image_raw --camera-info /camera/camera_info

Messages go out as the bytes in the bag, with their own stamps. How it talks to the process that started it
is in d3pose_ros/demo/source.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import rclpy
from sensor_msgs.msg import CompressedImage, Image

from d3pose_core.errors import D3PoseError
from d3pose_ros.bag import open_bag
from d3pose_ros.demo.source import ImageSource, run_source
from d3pose_ros.events import emit
from d3pose_ros.replay.images import stamp_of
from d3pose_ros.replay.topics import IMAGE_TYPE, BagTopic, choose_image_topic

# A pause in the recording is cut down to this: nobody waits for a bag that was recorded with breaks.
LONGEST_PAUSE_S = 2.0


class BagPlayer(ImageSource):
    """Publishes one image topic of a bag, and its camera_info if there is one."""

    def __init__(
        self, bag: Path, topic: BagTopic, info: str | None, count: int | None, watched: str
    ) -> None:
        kind = Image if topic.type == IMAGE_TYPE else CompressedImage
        super().__init__("d3pose_bag_player", kind, topic.name, info, watched)
        self._bag, self._topic, self._info = bag, topic.name, info
        self._count = min(topic.count, count or topic.count)

    @property
    def image_count(self) -> int:
        return self._count

    def play(self) -> None:
        """Publish each message as long after the first as it was recorded."""
        start_s, skipped_s, last_ns, index = time.monotonic(), 0.0, 0, 0
        first_ns = 0
        with open_bag(self._bag) as reader:
            wanted = [c for c in reader.connections if c.topic in (self._topic, self._info)]
            for connection, received_ns, data in reader.messages(wanted):
                first_ns, last_ns = first_ns or received_ns, last_ns or received_ns
                skipped_s += max(0.0, (received_ns - last_ns) * 1e-9 - LONGEST_PAUSE_S)
                last_ns = received_ns
                due_s = start_s + (received_ns - first_ns) * 1e-9 - skipped_s
                time.sleep(max(0.0, due_s - time.monotonic()))
                if connection.topic != self._topic:
                    assert self.infos is not None
                    self.infos.publish(bytes(data))
                    continue
                published_ns = time.time_ns()
                self.images.publish(bytes(data))
                stamp_ns = stamp_of(data)
                emit("frame", index=index, stamp_ns=stamp_ns, published_ns=published_ns)
                index += 1
                if index == self._count:
                    break
        self._count = index


def main(argv: Sequence[str] | None = None) -> int:
    """Plays the bag once. Exit status 2 for a bag or topic that won't do."""
    parser = argparse.ArgumentParser(prog="d3pose_ros.replay.player", description=__doc__)
    parser.add_argument("bag", type=Path)
    parser.add_argument("--image", required=True, metavar="TOPIC")
    parser.add_argument("--camera-info", metavar="TOPIC")
    parser.add_argument("--max-frames", type=int)
    parser.add_argument("--node", default="d3pose", help="whose diagnostics are watched")
    args = parser.parse_args(argv)
    try:
        topic = choose_image_topic(args.bag, args.image)
    except D3PoseError as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        return 2
    rclpy.init(args=[])
    node = BagPlayer(args.bag, topic, args.camera_info, args.max_frames, args.node)
    return run_source(node, info_subscribers=1)


if __name__ == "__main__":
    sys.exit(main())
