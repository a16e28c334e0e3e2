"""People in `target_frame`: TF at the image's stamp, root motion filtered there."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from d3pose_core.recovery import RecoveredPerson
from d3pose_core.rigid import RigidTransform
from d3pose_core.world import PeopleInWorld
from d3pose_ros import transforms
from d3pose_ros.parameters import Z_AUTO, Z_UP
from d3pose_ros.transforms import TransformSource

if TYPE_CHECKING:
    from rclpy.node import Node

# Joints and meshes are float32: so far from the origin they lie on a grid of 1 mm, at 500 km one of 3 cm.
FAR_M = 1e4
# REP 105's names, with what is often added; but for frames that look ahead or down (REP 103, MAVROS).
_LEVEL = re.compile(r"(odom|map|world)(_.*)?|base_(link|footprint|stabilized)")
_TILTED = re.compile(r"optical|camera|_(ned|frd)$")
# Few cameras are mounted so; in wrong frames many are.
_ODD_ROLL_DEG, _STEEP_DEG = 60.0, 60.0


class WorldStage:
    """Used by the worker's thread, but for `open` and `close`."""

    def __init__(
        self,
        target_frame: str,
        count: Callable[[str], object] = lambda event: None,
        target_frame_z: str = Z_AUTO,
    ) -> None:
        """`count` is told events of TF by name. Raises InputError where there is no TF at all."""
        transforms.tf_message_type()
        self.target_frame = target_frame.lstrip("/")  # tf2 and RViz know no frame with one
        self._count = count
        self._z_is_up = z_is_up(self.target_frame, target_frame_z)
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

    def odd_tilt(self, up: np.ndarray | None) -> str:
        """What to do about a camera that TF has on its side, head or back; "" if it has not."""
        if up is None:
            return ""
        x, y, z = up
        roll_deg, pitch_deg = np.degrees([np.arctan2(-x, -y), np.arcsin(np.clip(-z, -1, 1))])
        if pitch_deg > -_STEEP_DEG and (pitch_deg > _STEEP_DEG or abs(roll_deg) < _ODD_ROLL_DEG):
            return ""
        odd = f"turned about its axis by {roll_deg:.0f} degrees"
        if pitch_deg <= -_STEEP_DEG:
            odd = f"looking up by {-pitch_deg:.0f} degrees"
        return (
            f"TF has the camera {odd} in {self.target_frame}: which way is up is not taken from there. If "
            "the camera is not mounted so: does z of target_frame point up (else set target_frame_z: other), "
            "and are the images in an optical frame (x right, y down, z ahead)?"
        )

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


def z_is_up(frame_id: str, target_frame_z: str) -> bool:
    """Whether the z axis of a frame points up, by the parameter `target_frame_z`, see `NodeParameters`."""
    if target_frame_z != Z_AUTO:
        return target_frame_z == Z_UP
    name = frame_id.rpartition("/")[2].lower()
    return bool(_LEVEL.fullmatch(name)) and not _TILTED.search(name)
