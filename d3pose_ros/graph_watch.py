"""What the ROS graph says about this node: who sends images, who cannot, and who else has its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import qos_policy_name_from_kind
from rclpy.subscription import Subscription

# How long DDS takes a process for alive that was killed.
LEASE_S = 20
# One that ended properly is gone sooner, but not at once.
FAREWELL_S = 2.0


class GraphWatch:
    """Asked whenever diagnostics are published. All in the executor's thread."""

    def __init__(
        self, node: Node, count: Callable[[str], object], clock: Callable[[], float] = monotonic
    ) -> None:
        """`count` is told the name of an event; `clock`: s."""
        self._node = node
        self._count = count
        self._clock = clock
        self._images: Subscription | None = None
        self._incompatible = ""  # the policy in which a camera and we do not agree
        self._namesake_since_s: float | None = None
        self._namesake_said = False

    def watch(self, images: Subscription | None) -> None:
        """The subscription of images from now on; None while there is none."""
        self._images = images

    def image_events(self) -> SubscriptionEventCallbacks:
        """To be given to that subscription when it is made."""
        self._incompatible = ""
        return SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos)

    def _on_incompatible_qos(self, event: Any) -> None:
        self._incompatible = qos_policy_name_from_kind(event.last_policy_kind)
        self._count("stream/incompatible_qos")
        self._node.get_logger().warning(
            f"no image will come from one publisher of the images: {self._mismatch()}"
        )

    def _mismatch(self) -> str:
        hint = ""
        if self._incompatible == "RELIABILITY":
            hint = "; set image_reliability:=best_effort here, or make the driver publish reliably"
        return f"its QoS and ours do not fit in {self._incompatible}{hint}"

    def publishers(self) -> int:
        """How many publishers of images we are connected with."""
        return self._images.get_publisher_count() if self._images is not None else 0

    def silence(self) -> str:
        """Why no image may be coming."""
        if self._images is not None:
            topic = self._images.topic_name
            types = [each.topic_type for each in self._node.get_publishers_info_by_topic(topic)]
            expected = _type_name(self._images.msg_type)
            if not types:
                return f"nobody publishes {topic}"
            if expected not in types:
                return (
                    f"{topic} is published as {types[0]}, and this node wants {expected}: see its parameter "
                    "image_transport, and the remapping of image"
                )
            if self._incompatible and len(types) > self.publishers():
                return f"there is a publisher, but {self._mismatch()}"
        return "check the topic, its QoS and the camera driver"

    def problems(self) -> Iterator[str]:
        """What is wrong though images come, for people."""
        if self._has_namesake():
            text = (
                f"another node is named {self._node.get_fully_qualified_name()}: whoever listens hears both. "
                "Give one of them another name or namespace (a node that was killed counts for "
                f"{LEASE_S} s more)"
            )
            if not self._namesake_said:
                self._namesake_said = True
                self._count("graph/same_name")
                self._node.get_logger().warning(text)
            yield text
        clock = self._node.get_clock()
        if clock.ros_time_is_active and clock.now().nanoseconds == 0:
            yield (
                "use_sim_time is set, and no time has come on /clock: play the bag with --clock, start the "
                "simulator, or set use_sim_time to false"
            )
        if self._images is not None and self.publishers() > 1:
            yield (
                f"{self.publishers()} publishers of {self._images.topic_name}: the images of several cameras "
                "are taken for one stream. Give each camera a topic and a node of its own (a camera that was "
                f"killed counts for {LEASE_S} s more)"
            )

    def _has_namesake(self) -> bool:
        """Whether there has been another node of our name for a while."""
        name = self._node.get_fully_qualified_name()
        pairs = self._node.get_node_names_and_namespaces()
        if sum(f"{space.rstrip('/')}/{node}" == name for node, space in pairs) < 2:
            self._namesake_since_s, self._namesake_said = None, False
            return False
        now = self._clock()
        if self._namesake_since_s is None:
            self._namesake_since_s = now
        return now - self._namesake_since_s > FAREWELL_S


def _type_name(message_type: type) -> str:
    """The class of a message -> `package/msg/Name`."""
    return f"{message_type.__module__.partition('.')[0]}/msg/{message_type.__name__}"
