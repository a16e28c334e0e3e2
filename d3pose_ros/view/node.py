"""The node behind the page: listens to the d3pose node's topics while somebody looks at the page."""

from __future__ import annotations

from dataclasses import dataclass

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.exceptions import InvalidTopicNameException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_full_topic_name import validate_full_topic_name
from sensor_msgs.msg import CompressedImage, Image

from d3pose_core.errors import InputError
from d3pose_ros.msg import SmplPersonArray
from d3pose_ros.replay.topics import COMPRESSED_TYPE, IMAGE_TYPE
from d3pose_ros.spinning import ending_on_signals, spin
from d3pose_ros.view.feed import Feed
from d3pose_ros.view.server import ViewServer, is_loopback

CHECK_PERIOD_S = 0.5
_QOS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
)
_IMAGE_CLASSES = {IMAGE_TYPE: Image, COMPRESSED_TYPE: CompressedImage}


@dataclass(frozen=True)
class ViewOptions:
    """`watched`: the d3pose node's full name; `image`: a topic, or None for the one that node listens to."""

    watched: str = "/d3pose"
    image: str | None = None
    host: str = "127.0.0.1"
    port: int = 8765


class ViewNode(Node):
    """Subscribes when somebody looks, and lets go when nobody does: the d3pose node may be lazy."""

    def __init__(self, options: ViewOptions) -> None:
        super().__init__("d3pose_view")
        self.feed = Feed(lambda: self.get_clock().now().nanoseconds)
        self._options = options
        self._people = None
        self._images = None
        self._image_topic = ""
        self._status = None
        self.create_timer(CHECK_PERIOD_S, self.check)

    def check(self) -> None:
        """Subscribe or let go; look where the images are."""
        if not self.feed.watched():
            for subscription in (self._people, self._images, self._status):
                if subscription is not None:
                    self.destroy_subscription(subscription)
            self._people = self._images = self._status = None
            self._image_topic = ""
            self.feed.forget_images()
            return
        if self._people is None:
            topic = f"{self._options.watched}/people"
            self._people = self.create_subscription(
                SmplPersonArray, topic, self.feed.on_people, _QOS
            )
            self._status = self.create_subscription(
                DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
            )
        topic, kind = self._find_images()
        if topic and topic != self._image_topic:
            if self._images is not None:
                self.destroy_subscription(self._images)
            self._image_topic = topic
            self._images = self.create_subscription(
                _IMAGE_CLASSES[kind], topic, self.feed.on_image, _QOS
            )

    def _find_images(self) -> tuple[str, str]:
        """Name and type of the images' topic; empty while nobody is there to tell."""
        if self._options.image is not None:
            kinds = dict(self.get_topic_names_and_types()).get(self._options.image, [])
            found = {self._options.image: kinds}
        else:
            namespace, _, name = self._options.watched.rpartition("/")
            try:
                found = dict(self.get_subscriber_names_and_types_by_node(name, namespace or "/"))
            except Exception:  # rclpy's NodeNameNonExistentError has moved between releases
                return "", ""
        for topic, kinds in found.items():
            for kind in kinds:
                if kind in _IMAGE_CLASSES and "depth" not in topic:
                    return topic, kind
        return "", ""

    def callback_failed(self, error: Exception) -> None:
        """One message that is odd must not end the page."""
        self.get_logger().error(
            f"a callback failed, the page goes on: {error!r}", throttle_duration_sec=5.0
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.split(":")[0].strip("/") == self._options.watched.strip("/"):
                level = int.from_bytes(status.level, "little")
                values = {pair.key: pair.value for pair in status.values}
                self.feed.on_status(level, status.message, values)


def run_view(options: ViewOptions) -> None:
    """Serves until SIGINT or SIGTERM. Raises InputError for an address that can't be had, or no ROS name."""
    for topic in (f"{options.watched}/people", *([options.image] if options.image else [])):
        try:
            validate_full_topic_name(topic)
        except InvalidTopicNameException as error:
            raise InputError(f"{topic} is no topic's full name: {error}") from error
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    asked_to_end = ending_on_signals()
    executor = SingleThreadedExecutor()
    try:
        node = ViewNode(options)
        executor.add_node(node)
        server = ViewServer(node.feed, options.host, options.port)
        print(f"open {server.url} in a browser; Ctrl-C ends", flush=True)
        if not is_loopback(options.host):
            print(
                f"note: {options.host} is not this machine alone: whoever can reach it sees the camera; "
                "there is no password and no encryption",
                flush=True,
            )
        spin(executor, asked_to_end, node.callback_failed)
        server.close()
        node.destroy_node()
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
