"""What is published beside ~/people and the markers, where parameters ask for it: TF and REP-155."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from std_msgs.msg import Header

from d3pose_core.recovery import RecoveredPerson
from d3pose_ros import body_frames, transforms
from d3pose_ros.bodies import BodyTopics, body_id, hri_messages, name_prefix
from d3pose_ros.parameters import NodeParameters

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode


class MoreOutputs:
    """Publishes nothing by default."""

    def __init__(self, node: LifecycleNode, values: NodeParameters) -> None:
        """Raises InputError where a message package is missing."""
        self._node = node
        self._prefix = name_prefix(node.get_namespace())
        self._publish_tf, self._rep155 = values.publish_tf, values.rep155
        # Our own look-ups subscribe to /tf as well.
        self._own_listeners = 1 if values.target_frame else 0
        messages = hri_messages() if values.rep155 else None
        self._tf = None
        if values.publish_tf != "none" or values.rep155:
            self._message_type = transforms.tf_message_type()
            self._tf = node.create_publisher(self._message_type, "/tf", 100)
        self._bodies = None
        if values.rep155 or values.publish_joint_states:
            self._bodies = BodyTopics(
                lambda message_type, topic: node.create_publisher(message_type, topic, 1),
                node.destroy_publisher,
                messages,
                self._prefix,
            )

    def publish(
        self,
        image: Header,
        output: Header,
        people: Sequence[RecoveredPerson],
        width: int,
        height: int,
    ) -> None:
        """The people of one image, in the frame of `output`."""
        if self._tf is not None:
            frames = []
            if self._publish_tf != "none":
                frames += body_frames.people_transforms(
                    output, people, self._publish_tf == "joints", self._prefix
                )
            if self._rep155:
                for person in people:
                    name = f"body_{body_id(person.track_id, self._prefix)}"
                    frames.append(body_frames.body_transform(output, name, person))
            if frames:
                self._tf.publish(self._message_type(transforms=frames))
        if self._bodies is not None:
            self._bodies.publish(image, people, width, height)

    def wanted(self) -> bool:
        """Whether anybody subscribes to any of it."""
        if self._bodies is not None:
            return self._bodies.wanted()
        return self._tf is not None and self._tf.get_subscription_count() > self._own_listeners

    def clear(self) -> None:
        """Nobody is seen any more. Only while the worker does not run."""
        if self._bodies is not None:
            self._bodies.clear()

    def close(self) -> None:
        """Removes the publishers."""
        if self._bodies is not None:
            self._bodies.close()
        if self._tf is not None:
            self._node.destroy_publisher(self._tf)
