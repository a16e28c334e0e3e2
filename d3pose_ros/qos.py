"""Quality of service of every topic.

All of it can be overridden per topic with `qos_overrides.<topic>.<publisher|subscription>.<policy>`.
"""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions


def images(reliability: str) -> QoSProfile:
    """The image subscription; `reliability` is "best_effort" or "reliable".

    Only the newest image is processed, but a queue of one loses up to a tenth of the images in transport.
    """
    return _keep_last(5, ReliabilityPolicy[reliability.upper()])


def camera_info() -> QoSProfile:
    """Fits every publisher that goes on publishing; only the latest counts.

    What was published once, before the node subscribed, comes only to a subscription that is reliable and
    transient local, which would fit no ordinary camera: see docs/input.md.
    """
    return _keep_last(1, ReliabilityPolicy.BEST_EFFORT)


def people() -> QoSProfile:
    """Small messages that consumers want all of."""
    return _keep_last(10, ReliabilityPolicy.RELIABLE)


def markers() -> QoSProfile:
    """Large messages for looking at; RViz subscribes reliably."""
    return _keep_last(1, ReliabilityPolicy.RELIABLE)


def overridable(*more: QoSPolicyKind) -> QoSOverridingOptions:
    """Lets users override history, depth, reliability and `more` by parameter."""
    return QoSOverridingOptions(
        (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, *more)
    )


def _keep_last(depth: int, reliability: ReliabilityPolicy) -> QoSProfile:
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )
