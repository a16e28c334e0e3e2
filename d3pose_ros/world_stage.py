"""People in `target_frame`: TF at the image's stamp, root motion filtered there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from d3pose_core.recovery import RecoveredPerson
from d3pose_core.rigid import RigidTransform
from d3pose_core.world import PeopleInWorld
from d3pose_ros import transforms
from d3pose_ros.transforms import TransformSource

if TYPE_CHECKING:
    from rclpy.node import Node

# Joints and meshes are float32: so far from the origin they lie on a grid of 1 mm, at 500 km one of 3 cm.
FAR_M = 1e4


class WorldStage:
    """Used by the worker's thread, but for `open` and `close`."""

    def __init__(
        self,
        target_frame: str,
        count: Callable[[str], object] = lambda event: None,
        use_gravity: bool = True,
    ) -> None:
        """`count` is told events of TF by name. Raises InputError where there is no TF at all.

        `use_gravity`: the z axis of `target_frame` points up.
        """
        transforms.tf_message_type()
        self.target_frame = target_frame.lstrip("/")  # tf2 and RViz know no frame with one
        self._count = count
        self._z_is_up = use_gravity and _may_be_level(self.target_frame)
        self._people = PeopleInWorld()
        self._source: TransformSource | None = None

    def open(self, node: Node) -> None:
        """Begins to listen to TF."""
        self._source = transforms.open_source(node, self._count)

    def close(self) -> None:
        """Stops listening. Only while the worker does not run."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def reset(self) -> None:
        """Forgets everybody's motion."""
        self._people.reset()

    def time_restarted(self, stamp: Time) -> None:
        """Images go on from `stamp`, which is earlier than before."""
        if self._source is not None:
            self._source.time_restarted(stamp)

    def camera(self, header: Header, timeout_s: float) -> RigidTransform:
        """The camera that took the image with `header`. Raises TransformError, after `timeout_s` at most."""
        assert self._source is not None, "the worker runs only while the stage is open"
        return transforms.camera_in(self._source, self.target_frame, header, timeout_s)

    def up(self, camera: RigidTransform) -> np.ndarray | None:
        """[3] against gravity, in the optical frame of `camera`; None: not known."""
        return camera.rotation[2] if self._z_is_up else None

    def far_from_origin(self, camera: RigidTransform) -> str:
        """What to do about a camera too far from the frame's origin for exact joints; "" if it is not."""
        distance = float(np.linalg.norm(camera.translation))
        if distance < FAR_M:
            return ""
        return (
            f"the camera is {distance / 1000:.0f} km from the origin of {self.target_frame}: joints and "
            "meshes are rounded there. Set target_frame to a frame near the robot, such as odom"
        )

    def __call__(
        self, people: Sequence[RecoveredPerson], camera: RigidTransform, header: Header
    ) -> tuple[Header, list[RecoveredPerson]]:
        """The image's people and header, both in the target frame; the stamp stays."""
        stamp_s = transforms.nanoseconds(header.stamp) * 1e-9
        placed = self._people(people, camera, stamp_s)
        return Header(stamp=header.stamp, frame_id=self.target_frame), placed


def _may_be_level(frame_id: str) -> bool:
    """False for frames whose z axis is not up: it points ahead in an optical frame (REP 103), to the north in
    `earth` (REP 105)."""
    return "optical" not in frame_id and frame_id.rpartition("/")[2] != "earth"
