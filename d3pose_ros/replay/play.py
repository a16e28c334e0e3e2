"""Plays a bag into the ROS graph, with its own clock: for machines without `ros2 bag play`.

    python -m d3pose_ros.replay.play BAG --rate 0.5 --loop 3

Messages go out as the bytes in the bag, with the QoS that they were recorded with; /clock says the time of
the recording. Topics whose message type is not installed are left out, and named.

With --stamp-now the bag stands in for a camera that runs now: the stamps of headers and of /tf are moved to
the present, so that they never go back in a loop, and there is no /clock. Stamps of zero stay.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.interfaces import Connection, QosDurability, QosReliability
from rosgraph_msgs.msg import Clock

from d3pose_core.errors import InputError
from d3pose_ros.bag import open_bag
from d3pose_ros.message_class import message_class
from d3pose_ros.replay.images import stamp_of
from d3pose_ros.replay.topics import COMPRESSED_TYPE, IMAGE_TYPE

TF_TYPE = "tf2_msgs/msg/TFMessage"
CLOCK_PERIOD_S = 0.01
CLOCK = "/clock"


class BagPublisher(Node):
    """A publisher for every topic of a bag. Raises InputError for a bag that can't be read."""

    def __init__(self, bag: Path, stamp_now: bool = False) -> None:
        """`stamp_now`: move stamps to the present instead of publishing the recording's time."""
        super().__init__("d3pose_bag_player")
        self._bag = bag
        self._stamp_now = stamp_now
        self._clock_publisher = None if stamp_now else self.create_publisher(Clock, CLOCK, 10)
        self._topics: dict[str, Publisher] = {}
        self._stamped: set[str] = set()  # topics whose messages begin with a header
        self._transforms: dict[str, type] = {}  # topics of many headers, and their type
        self._image_topics: list[Publisher] = []
        with open_bag(bag) as reader:
            for connection in reader.connections:
                self._add(connection)
        self._first_image = self._find_first_image() if stamp_now else None

    def _add(self, connection: Connection) -> None:
        """Several connections of one topic, from several publishers, share ours."""
        if connection.topic == CLOCK or connection.topic in self._topics:
            return
        try:
            message_type = message_class(connection.msgtype)
        except InputError as error:
            self.get_logger().warning(f"{connection.topic} is not played: {error}")
            return
        publisher = self.create_publisher(message_type, connection.topic, _qos(connection))
        self._topics[connection.topic] = publisher
        first_field = next(iter(message_type.get_fields_and_field_types().values()), "")
        if first_field == "std_msgs/Header":
            self._stamped.add(connection.topic)
        elif connection.msgtype == TF_TYPE:
            self._transforms[connection.topic] = message_type
        if connection.msgtype in (IMAGE_TYPE, COMPRESSED_TYPE):
            self._image_topics.append(publisher)

    def watched(self) -> bool:
        """Whether anybody subscribes to images."""
        return any(topic.get_subscription_count() for topic in self._image_topics)

    def play(self, rate: float) -> None:
        """The whole bag once, `rate` times as fast as it was recorded."""
        start_s = 0.0
        first_ns: int | None = None
        moved: _MovedStamps | None = None
        for topic, received_ns, data in self._messages():
            if first_ns is None:
                first_ns = received_ns
                # Not before: opening a large bag takes a while.
                start_s = time.monotonic()
                if self._first_image is not None:
                    image_ns, stamp_ns = self._first_image
                    shown_ns = time.time_ns() + round((image_ns - first_ns) / rate)
                    moved = _MovedStamps(stamp_ns, shown_ns, rate)
                self._say_time(first_ns)
            due_s = start_s + (received_ns - first_ns) * 1e-9 / rate
            while (now_s := time.monotonic()) < due_s:
                self._say_time(first_ns + round((now_s - start_s) * rate * 1e9))
                time.sleep(min(CLOCK_PERIOD_S, due_s - now_s))
            self._say_time(received_ns)
            if moved is not None and topic in self._stamped and stamp_of(data) > 0:
                data = with_stamp(data, moved.now_ns(stamp_of(data)))
            elif moved is not None and topic in self._transforms:
                data = moved.transforms(data, self._transforms[topic])
            self._topics[topic].publish(data)

    def _find_first_image(self) -> tuple[int, int] | None:
        """When the first image with a stamp was recorded, and its stamp, ns.

        Other topics' first may be of any time, or of none.
        """
        with open_bag(self._bag) as reader:
            images = [c for c in reader.connections if c.msgtype in (IMAGE_TYPE, COMPRESSED_TYPE)]
            for _, received_ns, data in reader.messages(images) if images else ():
                stamp_ns = stamp_of(bytes(data))
                if stamp_ns > 0:
                    return received_ns, stamp_ns
        return None

    def _messages(self) -> Iterator[tuple[str, int, bytes]]:
        with open_bag(self._bag) as reader:
            wanted = [each for each in reader.connections if each.topic in self._topics]
            for connection, received_ns, data in reader.messages(wanted) if wanted else ():
                yield connection.topic, received_ns, bytes(data)

    def _say_time(self, time_ns: int) -> None:
        if self._clock_publisher is None:
            return
        clock = Clock()
        clock.clock.sec, clock.clock.nanosec = divmod(time_ns, 10**9)
        self._clock_publisher.publish(clock)


@dataclass(frozen=True)
class _MovedStamps:
    """Stamps of a bag, ns -> of now; messages of one stamp keep one. The bag's clock may be any."""

    first_ns: int  # a stamp of the bag
    shown_at_ns: int  # what it becomes
    rate: float

    def now_ns(self, stamp_ns: int) -> int:
        return max(0, self.shown_at_ns + round((stamp_ns - self.first_ns) / self.rate))

    def transforms(self, data: bytes, message_type: type) -> Any:
        """A TFMessage with its stamps moved; those of zero stay, as static transforms may have them."""
        message: Any = deserialize_message(data, message_type)
        for each in message.transforms:
            stamp = each.header.stamp
            if stamp.sec or stamp.nanosec:
                now_ns = self.now_ns(stamp.sec * 10**9 + stamp.nanosec)
                stamp.sec, stamp.nanosec = divmod(now_ns, 10**9)
        return message


def with_stamp(message: bytes, stamp_ns: int) -> bytes:
    """A serialized message that begins with a header, with another stamp; what is too short stays."""
    if len(message) < 12:
        return message
    changed = bytearray(message)
    little_endian = message[1] & 1  # the 4 bytes before the stamp say how it is encoded
    struct.pack_into("<iI" if little_endian else ">iI", changed, 4, *divmod(stamp_ns, 10**9))
    return bytes(changed)


def _qos(connection: Connection) -> QoSProfile:
    """As recorded; reliable and volatile where the bag does not say, or where publishers differed."""
    offered = list(getattr(connection.ext, "offered_qos_profiles", None) or [])
    best_effort = bool(offered) and all(
        each.reliability == QosReliability.BEST_EFFORT for each in offered
    )
    latched = bool(offered) and all(
        each.durability == QosDurability.TRANSIENT_LOCAL for each in offered
    )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=max(10, *(each.depth for each in offered)) if offered else 10,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="d3pose_ros.replay.play", description=__doc__.splitlines()[0]
    )
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=1.0, help="how many times as fast")
    parser.add_argument("--loop", type=int, default=1, help="how often; 0: for ever")
    parser.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="begin when somebody subscribes to images, or after so long, s (default: at once)",
    )
    parser.add_argument(
        "--stamp-now",
        action="store_true",
        help="stamp messages as if they were taken now, and publish no /clock",
    )
    args = parser.parse_args(argv)
    if not 0 < args.rate <= 100:
        parser.error(f"--rate must lie above 0 and up to 100, got {args.rate}")
    if args.loop < 0 or args.wait < 0:
        parser.error("--loop and --wait must not be negative")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Plays until the end or an interrupt. Exit status 2 for a bag that won't do."""
    args = _parse(argv)
    rclpy.init(args=[])
    node: BagPublisher | None = None
    try:
        node = BagPublisher(args.bag, args.stamp_now)
        deadline = time.monotonic() + args.wait
        while not node.watched() and time.monotonic() < deadline:
            time.sleep(0.1)
        played = 0
        while args.loop == 0 or played < args.loop:
            node.play(args.rate)
            played += 1
    except InputError as error:
        print(f"d3pose: error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal ends the context at any point; publishing without one raises RCLError.
        if rclpy.ok():
            raise
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
