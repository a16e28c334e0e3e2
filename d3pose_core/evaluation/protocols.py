"""Which joints are compared and how they are aligned: what a number means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from d3pose_core.errors import InputError
from d3pose_core.skeleton import JOINT_NAMES, LANDMARK_TO_JOINT

LEAST_JOINTS = 4  # fewer can be aligned onto almost anything


@dataclass(frozen=True)
class Protocol:
    """`joints` are compared; the mean of `root` is where MPJPE aligns them."""

    name: str
    description: str
    joints: tuple[str, ...]
    root: tuple[str, ...]

    def available(self, *skeletons: Sequence[str]) -> tuple[str, ...]:
        """The protocol's joints that all skeletons have.

        Raises:
            InputError: fewer than LEAST_JOINTS, or a root joint is missing.
        """
        common = tuple(name for name in self.joints if all(name in s for s in skeletons))
        lacking = [name for name in self.root if any(name not in s for s in skeletons)]
        if lacking or len(common) < LEAST_JOINTS:
            theirs = "; ".join(", ".join(skeleton) for skeleton in skeletons)
            raise InputError(
                f"protocol {self.name} needs {', '.join(self.root)} and at least {LEAST_JOINTS} of "
                f"{', '.join(self.joints)}; got {theirs}"
            )
        return common


_LIMBS = tuple(JOINT_NAMES[joint] for _, joint in LANDMARK_TO_JOINT)

PROTOCOLS: dict[str, Protocol] = {
    each.name: each
    for each in (
        Protocol("smpl24", "all 24 joints of SMPL, about the pelvis", JOINT_NAMES, ("pelvis",)),
        Protocol(
            "limbs12",
            "shoulders, elbows, wrists, hips, knees and ankles, about the middle of the hips: joints that "
            "other skeletons have, too",
            _LIMBS,
            ("left_hip", "right_hip"),
        ),
    )
}
