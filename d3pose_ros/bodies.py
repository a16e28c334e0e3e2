"""REP-155 (ROS4HRI): the topics under /humans/bodies.

`/humans/bodies/tracked` lists the ids; each body has `/humans/bodies/<id>/roi` and `.../joint_states`. An id
is "p" and the track id, because no part of a ROS topic's name may begin with a digit; before it stands the
node's namespace, if it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from d3pose_core.errors import InputError
from d3pose_core.joint_angles import rep155_joint_angles
from d3pose_core.recovery import RecoveredPerson

# (message type, topic) -> publisher.
MakePublisher = Callable[[type, str], Publisher]

# Publishers of somebody who left stay for so long: making them anew costs every subscriber a discovery.
LINGER_S = 1.0
# Joints lie inside the body: what is added around them, as a share of the box's longer side.
ROI_MARGIN = 0.08


def hri_messages() -> Any:
    """The module hri_msgs.msg. Raises InputError where it is missing."""
    try:
        import hri_msgs.msg
    except ImportError as error:
        raise InputError(
            "rep155 needs the package hri_msgs, which is not installed: "
            "sudo apt-get install ros-$ROS_DISTRO-hri-msgs, or set rep155 to false "
            "(publish_joint_states works without it)"
        ) from error
    return hri_msgs.msg


def name_prefix(namespace: str) -> str:
    """What comes before the names of people whom a node in `namespace` sees: each camera counts its own."""
    return "".join(f"{name}_" for name in namespace.split("/") if name)


def body_id(track_id: int, prefix: str = "") -> str:
    """REP-155's id of a tracked person."""
    return f"{prefix}p{track_id}"


@dataclass
class _Body:
    joint_states: Publisher
    roi: Publisher | None
    seen_s: float


class BodyTopics:
    """Publishes the people of every image; the worker's thread."""

    def __init__(
        self,
        make_publisher: MakePublisher,
        destroy_publisher: Callable[[Publisher], object],
        messages: Any = None,
        prefix: str = "",
    ) -> None:
        """`messages`: hri_msgs.msg, or None for joint states alone. `prefix`: of the ids."""
        self._make, self._destroy, self._messages = make_publisher, destroy_publisher, messages
        self._prefix = prefix
        self._bodies: dict[int, _Body] = {}
        self._last = Header()
        self._tracked = None
        if messages is not None:
            self._tracked = make_publisher(messages.IdsList, "/humans/bodies/tracked")

    def publish(
        self, image: Header, people: Sequence[RecoveredPerson], width: int, height: int
    ) -> None:
        """Everybody in one image.

        Args:
            image: its header.
            people: in any frame: joint angles and regions of the image are the same in all.
            width, height: of the image, px.
        """
        self._last = image
        stamp_s = image.stamp.sec + image.stamp.nanosec * 1e-9
        for person in people:
            body = self._bodies.get(person.track_id) or self._appear(person.track_id)
            body.seen_s = stamp_s
            body.joint_states.publish(joint_state(image, person, self._prefix))
            if body.roi is not None:
                body.roi.publish(region_of_interest(self._messages, image, person, width, height))
        present = {person.track_id for person in people}
        for track_id, body in list(self._bodies.items()):
            # abs: a bag that starts again goes back in time.
            if track_id not in present and abs(stamp_s - body.seen_s) > LINGER_S:
                self._leave(track_id)
        if self._tracked is not None:
            ids = [body_id(person.track_id, self._prefix) for person in people]
            self._tracked.publish(self._messages.IdsList(header=image, ids=ids))

    def wanted(self) -> bool:
        """Whether anybody may be listening: whose topics exist only while they are seen, so always."""
        return True

    def clear(self) -> None:
        """Nobody is tracked any more; stamped as the last image."""
        for track_id in list(self._bodies):
            self._leave(track_id)
        if self._tracked is not None:
            self._tracked.publish(self._messages.IdsList(header=self._last))

    def close(self) -> None:
        """Removes all publishers."""
        for track_id in list(self._bodies):
            self._leave(track_id)
        if self._tracked is not None:
            self._destroy(self._tracked)

    def _appear(self, track_id: int) -> _Body:
        topic = f"/humans/bodies/{body_id(track_id, self._prefix)}"
        roi = None
        if self._messages is not None:
            roi = self._make(self._messages.NormalizedRegionOfInterest2D, f"{topic}/roi")
        body = _Body(self._make(JointState, f"{topic}/joint_states"), roi, 0.0)
        self._bodies[track_id] = body
        return body

    def _leave(self, track_id: int) -> None:
        body = self._bodies.pop(track_id)
        self._destroy(body.joint_states)
        if body.roi is not None:
            self._destroy(body.roi)


def joint_state(header: Header, person: RecoveredPerson, prefix: str = "") -> JointState:
    """The hinges of REP-155's model of the human, their names ending in `_<id>`, rad."""
    angles = rep155_joint_angles(person)
    ending = body_id(person.track_id, prefix)
    return JointState(
        header=header,
        name=[f"{name}_{ending}" for name in angles],
        position=[float(angle) for angle in angles.values()],
    )


def region_of_interest(
    messages: Any, header: Header, person: RecoveredPerson, width: int, height: int
) -> Any:
    """hri_msgs/NormalizedRegionOfInterest2D: the box around the joints, in shares of the image, 0..1."""
    points = np.asarray(person.joints_2d, np.float64)
    points = points[np.isfinite(points).all(-1)]
    if len(points) == 0:
        points = np.zeros((1, 2))
    low, high = points.min(0), points.max(0)
    margin = ROI_MARGIN * float((high - low).max())
    # Pixel centres are at whole numbers, so that the image begins at -0.5.
    size = np.array([width, height])
    (xmin, ymin), (xmax, ymax) = (
        np.clip((corner + 0.5) / size, 0.0, 1.0).tolist()
        for corner in (low - margin, high + margin)
    )
    return messages.NormalizedRegionOfInterest2D(
        header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=float(person.confidence)
    )
