"""Where a pose puts the 33 landmarks: bones and offsets, no skin.

The network checks its own poses against what was observed (`correction.py`), and needs only this much of
the body for it. The numbers travel in the checkpoint, so that a network means the body it was trained on.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn

from d3pose_core.body.load import load_body
from d3pose_core.body.model import BodyModel, forward_kinematics
from d3pose_core.skeleton import (
    JOINT_NAMES,
    LANDMARK_NAMES,
    NUM_JOINTS,
    NUM_LANDMARKS,
    path_to,
)

# The joint whose rotation carries each kind of landmark: a limb's joint is carried by the one before it.
_CARRIED_BY = {
    "shoulder": "collar",
    "elbow": "shoulder",
    "wrist": "elbow",
    "pinky": "wrist",
    "index": "wrist",
    "thumb": "wrist",
    "hip": "pelvis",
    "knee": "hip",
    "ankle": "knee",
    "heel": "ankle",
    "foot_index": "foot",
}


def _carrier(landmark: str) -> int:
    side, _, part = landmark.partition("_")
    joint = _CARRIED_BY.get(part, "head")
    return JOINT_NAMES.index(joint if joint in ("head", "pelvis") else f"{side}_{joint}")


CARRIERS = tuple(_carrier(name) for name in LANDMARK_NAMES)


# [33, 24] bool: the joint moves the landmark.
ANCESTORS = torch.zeros(NUM_LANDMARKS, NUM_JOINTS, dtype=torch.bool)
for _landmark, _joint in enumerate(CARRIERS):
    ANCESTORS[_landmark, path_to(_joint)] = True


class SkeletonPoints(nn.Module):
    """Rest joints, and landmarks carried rigidly by joints; both linear in the betas."""

    def __init__(self) -> None:
        super().__init__()
        self.joint_template: Tensor
        self.joint_shapedirs: Tensor
        self.landmark_template: Tensor
        self.landmark_shapedirs: Tensor
        for name, value in _points_of_the_free_body().items():
            self.register_buffer(name, value.to(torch.get_default_dtype(), copy=True))

    def use_body(self, body: BodyModel) -> None:
        """Take the bones of `body`, e.g. of a licensed SMPL file to be trained on."""
        for name, value in points_of(body).items():
            getattr(self, name).copy_(value)

    def forward(self, rotations: Tensor, betas: Tensor) -> Tensor:
        """Landmarks about the pelvis joint.

        Args:
            rotations: [N, 24, 3, 3] SMPL rotations; the first turns the body into the frame of the answer.
            betas: [N, 10].

        Returns:
            [N, 33, 3] m.
        """
        return self.posed(rotations, betas)[1]

    def posed(self, rotations: Tensor, betas: Tensor) -> tuple[Tensor, Tensor]:
        """The joints' transforms [N, 24, 4, 4] about the pelvis joint, and `forward`'s landmarks."""
        rest = self.joint_template + (betas @ self.joint_shapedirs).unflatten(-1, (NUM_JOINTS, 3))
        offset = self.landmark_template + (betas @ self.landmark_shapedirs).unflatten(
            -1, (NUM_LANDMARKS, 3)
        )
        world = forward_kinematics(rotations, rest - rest[:, :1])
        carrier = world[:, list(CARRIERS)]
        return world, (carrier[..., :3, :3] @ offset[..., None])[..., 0] + carrier[..., :3, 3]


def points_of(body: BodyModel) -> dict[str, Tensor]:
    """`SkeletonPoints`' buffers of a body: joints [24, 3], [10, 72], landmark offsets [33, 3], [10, 99]."""
    with torch.inference_mode():
        # Unposed joints and landmarks are affine in the betas: the mean shape and each beta alone give all.
        betas = torch.cat([torch.zeros(1, 10), torch.eye(10)]).to(body.joint_template)
        identity = torch.eye(3).to(betas).expand(len(betas), NUM_JOINTS, 3, 3)
        joints = body.joints_rest(betas)
        landmarks = body.landmarks_matrices(identity, betas, torch.zeros(1, 3).to(betas))
        offsets = landmarks - joints[:, list(CARRIERS)]
    return {
        "joint_template": joints[0].clone(),
        "joint_shapedirs": (joints[1:] - joints[0]).flatten(1),
        "landmark_template": offsets[0].clone(),
        "landmark_shapedirs": (offsets[1:] - offsets[0]).flatten(1),
    }


@lru_cache(maxsize=1)
def _points_of_the_free_body() -> dict[str, Tensor]:
    return points_of(load_body("free-low"))
