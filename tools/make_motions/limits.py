"""How far each joint may turn: where recorded people's joints are, and a little more.

Of each component of the rotation vectors (SMPL's local axes), the 0.5th to the 99.5th percentile over
1.5 h of recorded motion (CMU and ACCAD), in degrees, for the left side; the right side is its mirror
image. A box of rotation vectors is convex: between two poses inside it, all poses are inside.
"""

from __future__ import annotations

import numpy as np

from d3pose_core.skeleton import JOINT_MIRROR, JOINT_NAMES, NUM_JOINTS

# The recorded people seldom go to the ends of what joints can do; those who balance and stretch do.
MARGIN_DEG = 12.0

_LEFT_AND_MIDDLE = {  # low x, y, z; high x, y, z
    "left_hip": ((-105, -42, -24), (22, 40, 45)),
    "left_knee": ((-3, -26, -28), (140, 22, 19)),
    "left_ankle": ((-41, -43, -20), (47, 41, 35)),
    "left_foot": ((-47, -17, -15), (53, 21, 15)),
    "spine1": ((-18, -15, -15), (73, 15, 15)),
    "spine2": ((-15, -13, -17), (53, 13, 17)),
    "spine3": ((-24, -11, -18), (18, 11, 18)),
    "neck": ((-56, -36, -40), (39, 36, 40)),
    "left_collar": ((-4, -29, -46), (6, 22, 50)),
    "head": ((-47, -38, -49), (36, 38, 49)),
    "left_shoulder": ((-112, -102, -96), (55, 52, 47)),
    "left_elbow": ((-41, -141, -43), (51, 8, 30)),
    "left_wrist": ((-99, -40, -57), (98, 42, 50)),
}


def _boxes() -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest rotation vectors [24, 3], rad; the pelvis is free, the hands are fixed."""
    low, high = np.zeros((NUM_JOINTS, 3)), np.zeros((NUM_JOINTS, 3))
    low[0], high[0] = -np.inf, np.inf
    for name, (lowest, highest) in _LEFT_AND_MIDDLE.items():
        joint = JOINT_NAMES.index(name)
        low[joint], high[joint] = np.radians(lowest), np.radians(highest)
        other = JOINT_MIRROR[joint]
        if other != joint:
            low[other] = [low[joint, 0], -high[joint, 1], -high[joint, 2]]
            high[other] = [high[joint, 0], -low[joint, 1], -low[joint, 2]]
    return low, high


RECORDED_LOW, RECORDED_HIGH = _boxes()
_MARGIN = np.where(RECORDED_HIGH > RECORDED_LOW, np.radians(MARGIN_DEG), 0.0)
LOW, HIGH = RECORDED_LOW - _MARGIN, RECORDED_HIGH + _MARGIN


def beyond(pose: np.ndarray) -> np.ndarray:
    """How far rotation vectors [..., 24, 3] are outside the limits, rad: [..., 24]."""
    return np.maximum(np.maximum(LOW - pose, pose - HIGH), 0).max(-1)


def clamp(pose: np.ndarray) -> np.ndarray:
    """The nearest rotation vectors [..., 24, 3] inside the limits."""
    return np.clip(pose, LOW, HIGH)
