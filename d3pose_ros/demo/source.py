"""Sources of images for a graph of processes: what a camera and a bag player have in common.

A source says `ready` on stdout when images and diagnostics are connected, and waits for a line on stdin; then
it plays, waits until the node has accounted for every image, and says what the node made of them.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import abstractmethod
from dataclasses import dataclass, field

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from d3pose_ros.events import emit

# The node is given up when its counts stand still for so long after the last image.
STALLED_S = 3.0


@dataclass
class NodeReport:
    """The node's own counts, from its diagnostics."""

    received: int = 0
    processed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def accounted(self) -> int:
        """Images of which the node has said what became of them."""
        return self.processed + sum(self.dropped.values())

    @classmethod
    def from_values(cls, values: dict[str, str]) -> NodeReport:
        """From the key/value pairs of the node's status."""
        dropped = {
            key.removeprefix("dropped/"): int(value)
            for key, value in values.items()
            if key.startswith("dropped/")
        }
        return cls(
            int(values.get("images received", 0)), int(values.get("images processed", 0)), dropped
        )


class ImageSource(Node):
    """Publishes images and, where it has one, their camera_info; listens to the diagnostics of a node."""

    def __init__(
        self, name: str, image_type: type, image: str, camera_info: str | None, watched: str
    ) -> None:
        """Topics `image` and `camera_info` (None: there is none); `watched`: the name of the node."""
        super().__init__(name)
        self._watched = watched
        self.report = NodeReport()
        self.changed_s = time.monotonic()
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.RELIABLE
        )
        self.images = self.create_publisher(image_type, image, qos)
        self.infos = None
        if camera_info is not None:
            self.infos = self.create_publisher(CameraInfo, camera_info, qos)
        self._diagnostics = self.create_subscription(
            DiagnosticArray, "/diagnostics", self._on_diagnostics, 10
        )

    @property
    @abstractmethod
    def image_count(self) -> int:
        """How many images `play` publishes."""

    @abstractmethod
    def play(self) -> None:
        """Publish the images in real time, with an event `frame` (index, stamp_ns) for each."""

    def connected(self, info_subscribers: int) -> bool:
        """Whether someone sees the images, and so many the camera_info."""
        return (
            self.images.get_subscription_count() > 0
            and (self.infos is None or self.infos.get_subscription_count() >= info_subscribers)
            and self._diagnostics.get_publisher_count() > 0
        )

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.split(":")[0].strip("/") != self._watched:
                continue
            values = {pair.key: pair.value for pair in status.values}
            report = NodeReport.from_values(values)
            if report != self.report:
                self.report, self.changed_s = report, time.monotonic()
            # An active node goes on; what it could not use is in its counts.
            if status.level == DiagnosticStatus.ERROR and values.get("state") != "active":
                emit("error", message=status.message)


def run_source(node: ImageSource, info_subscribers: int) -> int:
    """Wait, play once, wait for the node; returns the exit status. rclpy is initialised, and shut down."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    told = threading.Event()

    def listen() -> None:
        if sys.stdin.readline():
            told.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        ready = False
        while not told.is_set():
            executor.spin_once(timeout_sec=0.1)
            if not ready and node.connected(info_subscribers):
                ready = True
                emit("ready")
        node.play()
        node.changed_s = time.monotonic()
        while (
            node.report.accounted < node.image_count
            and time.monotonic() - node.changed_s < STALLED_S
        ):
            executor.spin_once(timeout_sec=0.1)
        report = node.report
        emit(
            "played",
            published=node.image_count,
            received=report.received,
            processed=report.processed,
            dropped=report.dropped,
        )
    except (KeyboardInterrupt, ExternalShutdownException):
        return 130
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
