"""Errors of joint rotations."""

from __future__ import annotations

import torch
from torch import Tensor

from d3pose_core.skeleton import JOINT_PARENTS

# The challenge of 3DPW compares the rotations of these joints (hips, knees, spine, neck, shoulders, elbows).
OFFICIAL_3DPW_ROTATIONS = (0, 1, 2, 4, 5, 16, 17, 18, 19)


def global_rotations(local: Tensor) -> Tensor:
    """Local rotations [..., 24, 3, 3], each relative to its parent -> relative to the root's frame."""
    out: list[Tensor] = []
    for joint, parent in enumerate(JOINT_PARENTS):
        turn = local[..., joint, :, :]
        out.append(turn if parent < 0 else out[parent] @ turn)
    return torch.stack(out, -3)


def angle_errors_deg(predicted: Tensor, truth: Tensor) -> Tensor:
    """Angle between pairs of rotations [..., 3, 3] -> [...], degrees."""
    difference = predicted.transpose(-1, -2) @ truth
    # From sine and cosine both: an arc cosine alone is blind to small angles.
    axis = torch.stack(
        [
            difference[..., 2, 1] - difference[..., 1, 2],
            difference[..., 0, 2] - difference[..., 2, 0],
            difference[..., 1, 0] - difference[..., 0, 1],
        ],
        -1,
    )
    trace = difference.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.rad2deg(torch.atan2(axis.norm(dim=-1), trace - 1))


def mpjae_deg(predicted: Tensor, truth: Tensor, joints: tuple[int, ...] | None = None) -> Tensor:
    """Mean per-joint angular error of global rotations [..., 24, 3, 3] -> [...], degrees.

    `joints`: which count; all 24 if None. Apply `global_rotations` first.
    """
    error = angle_errors_deg(predicted, truth)
    return error.mean(-1) if joints is None else error[..., list(joints)].mean(-1)
