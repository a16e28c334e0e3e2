"""People seen by a camera whose pose is known, in the frame in which it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from d3pose_core.recovery import MEMORY_S, RecoveredPerson
from d3pose_core.rigid import RigidTransform, rotation_matrix
from d3pose_core.root_motion import DEFAULT, RootMotion, RootMotionConfig
from d3pose_core.skeleton import JOINT_NAMES

_ANKLES = [JOINT_NAMES.index(f"{side}_ankle") for side in ("left", "right")]


def into_frame(person: RecoveredPerson, camera: RigidTransform) -> RecoveredPerson:
    """`person` of the camera's frame in the frame that `camera` is given in; exact, nothing is filtered.

    The pixels `joints_2d` stay those of the image.
    """
    pelvis = np.asarray(person.joints[0], np.float64)
    root = rotation_matrix(np.asarray(person.global_orient, np.float64))
    return person.placed(camera.apply(pelvis), camera.rotation @ root)


@dataclasses.dataclass
class _Root:
    """The filters of one person."""

    motion: RootMotion
    seen_s: float
    last: tuple[np.ndarray, np.ndarray] | None = None  # where the person was put, [3] m and [3, 3]


class PeopleInWorld:
    """Places people in the world, their root motion filtered there: whoever stands still, stands still.

    Give it what `MeshRecovery` returns with `smooth_distance` off.
    """

    def __init__(self, config: RootMotionConfig = DEFAULT) -> None:
        self.config = config
        self._roots: dict[int, _Root] = {}

    def reset(self) -> None:
        """Forget everybody."""
        self._roots.clear()

    def __call__(
        self, people: Sequence[RecoveredPerson], camera: RigidTransform, stamp_s: float
    ) -> list[RecoveredPerson]:
        """The people of one frame.

        Args:
            people: in the camera's optical frame.
            camera: that frame in the world, at `stamp_s`.
            stamp_s: not earlier than the last frame's, s.
        """
        self._roots = {
            track_id: root
            for track_id, root in self._roots.items()
            if stamp_s - root.seen_s <= MEMORY_S
        }
        result = []
        for person in people:
            root = self._roots.get(person.track_id)
            if root is None:
                root = self._roots[person.track_id] = _Root(RootMotion(self.config), stamp_s)
            if person.observation_age_s > 0 and root.last is not None:
                # Carried on without an observation: they stay in the world, not in the moving camera.
                result.append(person.placed(*root.last))
                continue
            root.seen_s = stamp_s
            joints = np.asarray(person.joints, np.float64)
            rotation = rotation_matrix(np.asarray(person.global_orient, np.float64))
            root.last = root.motion(joints[0], rotation, joints[_ANKLES], camera, stamp_s)
            result.append(person.placed(*root.last))
        return result
