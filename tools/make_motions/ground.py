"""People on the floor: whatever part is lowest lies on it, and what lies on it stays where it is."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import limits
from tools.make_motions.curves import smooth
from tools.make_motions.rig import rig
from tools.make_motions.rotations import matrix, rotvec

_TOUCH_M = 0.025  # how near the floor a part is that lies on it
_SOFT_S = 0.05


def settle(
    pose: np.ndarray, orientation: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis [F, 3] of a body turned by `orientation` [F, 3, 3] that rests on the
    floor; `start` [2] is its place x, z at first."""
    body = rig()
    rotations = matrix(limits.clamp(pose))
    rotations[:, 0] = orientation
    world, joints = body.pose(rotations, np.zeros((len(pose), 3)))
    skin = body.skin_points(world, joints)  # [F, P, 3]
    lowest = smooth(skin[..., 1].min(1), _SOFT_S)
    root = np.zeros((len(pose), 3))
    root[:, 1] = -lowest
    # What touches the floor doesn't slide: the pelvis moves so that on average it stands still.
    weight = np.exp(-np.maximum(skin[..., 1] - lowest[:, None], 0) / _TOUCH_M)
    weight = weight[1:] * weight[:-1]
    steps = np.diff(skin[..., [0, 2]], axis=0)
    slide = (weight[..., None] * steps).sum(1) / weight.sum(1)[:, None]
    slide = smooth(slide, 2 / SHARD_FPS)
    root[:, [0, 2]] = np.concatenate([start[None], start - np.cumsum(slide, 0)])
    return rotvec(rotations), root
