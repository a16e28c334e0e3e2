"""Differences of definition: landmarks that BlazePose means to lie elsewhere than the body model's."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.data.rendered import RenderedSet
from d3pose_core.data.sight import Sight
from d3pose_core.model.view import look_at_rotation, project
from d3pose_core.skeleton import JOINT_NAMES, JOINT_PARENTS, LANDMARK_NAMES, NUM_JOINTS
from tools.measure_landmarks.errors import Errors

_PERSON_M = 1.7
# The bone that carries each part; what is not named hangs on the head.
_BONES = {
    "shoulder": "collar",
    "elbow": "shoulder",
    "wrist": "elbow",
    "pinky": "wrist",
    "index": "wrist",
    "thumb": "wrist",
    "knee": "hip",
    "ankle": "knee",
    "heel": "ankle",
    "foot_index": "ankle",
}
_WILD = 0.08  # image errors above it, in person heights, are mistakes rather than definitions


def bone_of(landmark: str) -> int:
    """SMPL joint whose rotation carries a landmark."""
    side, _, part = landmark.partition("_")
    if part == "hip":
        return JOINT_NAMES.index("pelvis")
    return JOINT_NAMES.index(f"{side}_{_BONES[part]}" if part in _BONES else "head")


def bone_rotations(rotations: Tensor) -> Tensor:
    """Local rotations [..., 24, 3, 3] -> those from the rest frame into the optical frame."""
    world = [rotations[..., 0, :, :]]
    for joint in range(1, NUM_JOINTS):
        world.append(world[JOINT_PARENTS[joint]] @ rotations[..., joint, :, :])
    return torch.stack(world, -3)


def landmark_offsets(recorded: RenderedSet, errors: Errors) -> tuple[Tensor, Tensor, Tensor]:
    """Least-squares offset of each visible landmark in its bone's rest axes: [33, 3] m.

    Also [33], the share of the squared image errors that it explains, and the image errors without
    it, [C, T, 33, 2] in person heights.
    """
    middle = recorded.true_landmarks[..., 23:25, :].mean(-2)
    facing = look_at_rotation(project(middle))[:, :, None]
    bones = [bone_of(name) for name in LANDMARK_NAMES]
    turn = facing.transpose(-1, -2) @ bone_rotations(recorded.rotations)[:, :, bones]
    offset, explained = [], []
    for i in range(len(LANDMARK_NAMES)):
        chosen = errors.usable & (recorded.sight[..., i] == Sight.VISIBLE)
        chosen &= errors.image_size[..., i] < _WILD
        across = turn[chosen][:, i, :2]  # [N, 2, 3]: how an offset moves the image
        moved = errors.image[..., i, :][chosen] * _PERSON_M  # [N, 2] m at the person's distance
        a, b = across.flatten(0, 1), moved.flatten()
        solution = torch.linalg.lstsq(a, b[:, None]).solution[:, 0]
        offset.append(solution)
        explained.append(1 - (b - a @ solution).square().sum() / b.square().sum().clamp_min(1e-12))
    offsets = torch.stack(offset)
    rest = errors.image - (turn @ offsets[..., None])[..., :2, 0] / _PERSON_M
    return offsets, torch.stack(explained), rest
