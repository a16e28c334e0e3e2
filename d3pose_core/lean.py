"""People stand more upright than one camera sees: how far somebody leans along the line of sight is turned
back in part, where it is known which way is up.

A lean towards the camera or away from it hardly changes the picture, so that the network guesses it badly; a
lean to the side is seen. Most people stand about upright in most frames: of what a recovered body leans along
the line of sight, much is an error. The more it leans, the less is believed to be one: people do fall.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor

from d3pose_core.skeleton import JOINT_NAMES

# Chosen on people of the validation, rendered and simulated: benchmarks/lean.py --shares, docs/training.md.
SHARE = 0.4
FADING = 10  # the power of the lean's cosine: at 10 degrees 0.86 of the share is taken, at 30 0.24

_SHOULDERS, _ANKLES = (
    [JOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right")]
    for part in ("shoulder", "ankle")
)


def turn_upright(joints: Tensor, sight: Tensor, up: Tensor, share: float = SHARE) -> Tensor:
    """The rotations [..., 3, 3] that take a part of people's lean along the line of sight back.

    Args:
        joints: [..., 24, 3] SMPL's, about any point, in the camera's optical frame.
        sight: [..., 3] from the camera to the person, of any length.
        up: [..., 3] against gravity, length 1, in the optical frame; zeros where that is not known: no turn.
    """
    axis = joints[..., _SHOULDERS, :].mean(-2) - joints[..., _ANKLES, :].mean(-2)
    axis = torch.nn.functional.normalize(axis, dim=-1)
    axis, up = torch.broadcast_tensors(axis, up)
    upright = (axis * up).sum(-1, keepdim=True).clamp_min(0)
    turn = share * upright**FADING * torch.linalg.cross(axis, up)
    sight = torch.nn.functional.normalize(sight, dim=-1)
    # What it turns in the picture is seen well.
    turn = turn - (turn * sight).sum(-1, keepdim=True) * sight
    return roma.rotvec_to_rotmat(turn)
