"""People stand more upright than one camera sees: how far somebody leans along the line of sight is turned
back in part, where it is known which way is up.

A lean towards the camera or away from it hardly changes the picture, so that the network guesses it badly; a
lean to the side is seen. Most people stand about upright in most frames, so that much of what a recovered
body leans along the line of sight is an error. The more it leans, the less is believed to be one: people do
fall. And who sits or squats leans in another way than from the ankles.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from d3pose_core.skeleton import JOINT_NAMES

# Chosen on people of the validation, rendered and simulated: benchmarks/lean.py --shares, docs/training.md.
SHARE = 0.3
FADING = 10  # the power of the lean's cosine: at 10 degrees 0.86 of the share is taken, at 30 0.24
# How long a body is from the ankles to the shoulders, of what it could be: nothing is taken below the first,
# all above the second. Who sits on a chair is 0.76.
BENT, STRETCHED = 0.76, 0.9

_SHOULDERS, _HIPS, _KNEES, _ANKLES = (
    [JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right")]
    for part in ("shoulder", "hip", "knee", "ankle")
)


def turn_upright(joints: Tensor, sight: Tensor, up: Tensor, share: float = SHARE) -> Tensor:
    """The rotations [..., 3, 3] that take a part of people's lean along the line of sight back.

    Args:
        joints: [..., 24, 3] SMPL's, about any point, in the camera's optical frame, m.
        sight: [..., 3] from the camera to the person, of any length.
        up: [..., 3] against gravity, length 1, in the optical frame; zeros where that is not known: no turn.
    """
    body = joints[..., _SHOULDERS, :].mean(-2) - joints[..., _ANKLES, :].mean(-2)
    axis = torch.nn.functional.normalize(body, dim=-1)
    sight = torch.nn.functional.normalize(sight, dim=-1)
    axis, sight, up = torch.broadcast_tensors(axis, sight, up.to(axis))
    # A lean along the line of sight is a turn about what is level and across it. The steeper the camera
    # looks, the better it sees leans: this is as long as the cosine of how far it looks up or down.
    across = torch.linalg.cross(sight, up)
    lean = (torch.linalg.cross(axis, up) * across).sum(-1, keepdim=True)
    upright = (axis * up).sum(-1, keepdim=True).clamp_min(0)
    stretched = ((_length(body) / _full_length(joints) - BENT) / (STRETCHED - BENT)).clamp(0, 1)
    return roma.rotvec_to_rotmat(share * stretched * upright**FADING * lean * across)


def _length(bones: Tensor) -> Tensor:
    """[..., 3] -> [..., 1]."""
    return bones.norm(dim=-1, keepdim=True)


def _full_length(joints: Tensor) -> Tensor:
    """[..., 1] m from the ankles to the shoulders of people who stretch."""
    shoulders, hips, knees, ankles = (
        joints[..., part, :] for part in (_SHOULDERS, _HIPS, _KNEES, _ANKLES)
    )
    legs = _length(hips - knees) + _length(knees - ankles)
    return _length(shoulders.mean(-2) - hips.mean(-2)) + legs.mean(-2)
