"""What the node subscribes to while it is active: images, camera_info and, on request, depth."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from d3pose_ros import qos
from d3pose_ros.parameters import COMPRESSED, NodeParameters

IMAGE, CAMERA_INFO, DEPTH = "image", "camera_info", "depth"


def image_topic(node: Node, transport: str) -> str:
    """The full name of the image topic.

    As image_transport names it, so that a remapping of `image` leads to the compressed topic too.
    """
    raw = node.resolve_topic_name(IMAGE)
    return node.resolve_topic_name(f"{raw}/compressed") if transport == COMPRESSED else raw


def subscribe(
    node: Node,
    values: NodeParameters,
    on_image: Callable[[Image | CompressedImage], None],
    on_camera_info: Callable[[CameraInfo], None],
    on_depth: Callable[[Image], None] | None,
    image_events: SubscriptionEventCallbacks | None = None,
) -> list[Subscription]:
    """The subscriptions, the one of images last: then everything else is there when they come.

    `on_depth`: None where no depth is wanted. `image_events`: what the middleware says of the images.
    """
    overridable = {"qos_overriding_options": qos.overridable()}
    image_qos = qos.images(values.image_reliability)
    subscriptions = [
        node.create_subscription(
            CameraInfo,
            CAMERA_INFO,
            on_camera_info,
            qos.camera_info(),
            qos_overriding_options=qos.overridable(QoSPolicyKind.DURABILITY),
        )
    ]
    if on_depth is not None:
        subscriptions.append(
            node.create_subscription(Image, DEPTH, on_depth, image_qos, **overridable)
        )
    message_type = CompressedImage if values.image_transport == COMPRESSED else Image
    subscriptions.append(
        node.create_subscription(
            message_type,
            image_topic(node, values.image_transport),
            on_image,
            image_qos,
            event_callbacks=image_events,
            **overridable,
        )
    )
    return subscriptions
