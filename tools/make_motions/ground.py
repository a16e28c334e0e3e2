"""People on the floor: whatever part is lowest lies on it, and what lies on it stays where it is."""

from __future__ import annotations

import numpy as np

from d3pose_core.data.motions import SHARD_FPS
from tools.make_motions import limits
from tools.make_motions.curves import smooth
from tools.make_motions.rig import SIDES, J, rig
from tools.make_motions.rotations import matrix, rotvec, swing, unit

_TOUCH_M = 0.025  # how near the floor a part is that lies on it
_SOFT_S = 0.05
_UP = np.array([0.0, 1.0, 0.0])
# Parts that carry a body: a joint, and from there the place on the skin, m, in the joint's rest axes.
_CARRIERS = {
    "soles": (("ankle", (0.0, -0.075, -0.04)), ("foot", (0.0, -0.026, 0.04))),
    "balls": (("foot", (0.0, -0.026, 0.0)),),
    "knees": (("knee", (0.0, -0.01, 0.06)),),
    "insteps": (("foot", (0.0, 0.03, 0.02)),),
    "hands": (("hand", (0.0, -0.02, 0.0)),),
    "heels": (("ankle", (0.0, -0.06, -0.055)),),
    "ankles": (("ankle", (0.0, -0.02, 0.0)),),
}
_SEAT = np.array([[0.075, -0.15, -0.03], [-0.075, -0.15, -0.03]])  # from the pelvis joint
_SETTLE_SOFT_M, _SETTLE_STEP = 0.01, 0.06


def settle(
    pose: np.ndarray, orientation: np.ndarray, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pose [F, 24, 3] and pelvis [F, 3] of a body turned by `orientation` [F, 3, 3] that rests on the
    floor; `start` [2] is its place x, z at first."""
    rotations = matrix(limits.clamp(pose))
    rotations[:, 0] = orientation
    world, joints = rig().pose(rotations, np.zeros((len(pose), 3)))
    skin = rig().skin_points(world, joints)  # [F, P, 3]
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


def lie_down(pose: np.ndarray, orientation: np.ndarray, rounds: int = 120) -> np.ndarray:
    """Tips bodies [K, 24, 3], turned by `orientation` [K, 3, 3], until they lie firmly (or for fewer
    `rounds`, for those who hold themselves); returns how they are turned then."""
    rotations = matrix(pose)
    rotations[:, 0] = np.eye(3)
    world, joints = rig().pose(rotations, np.zeros((len(pose), 3)))
    skin = rig().skin_points(world, joints) - (rig().mass @ joints)[:, None]
    for step in np.linspace(_SETTLE_STEP, 0.01, rounds):
        points = (orientation[:, None] @ skin[..., None])[..., 0]
        height = points[..., 1] - points[..., 1].min(1, keepdims=True)
        weight = np.exp(-height / _SETTLE_SOFT_M)
        carried = (weight[..., None] * points).sum(1) / weight.sum(1, keepdims=True)
        # The mass falls away from where it is carried: about the axis square to that, and to up.
        axis = np.stack([-carried[:, 2], np.zeros(len(pose)), carried[:, 0]], 1)
        far = np.linalg.norm(axis, axis=1, keepdims=True)
        orientation = matrix(axis * np.minimum(1.0, step / np.maximum(far, 1e-9))) @ orientation
    return orientation


def stand_on(parts: tuple[str, ...], pose: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Turns one body [24, 3] such that `parts` of it ("knees": both; "left knees": one) are on the
    floor; returns how it is turned then, from `orientation` [3, 3]."""
    places, _ = _carriers(parts, pose)
    normal = np.linalg.svd(places - places.mean(0))[2][-1]
    up = orientation @ normal
    return matrix(swing(up if up[1] > 0 else -up, _UP)) @ orientation


def over_feet(pose: np.ndarray, orientation: np.ndarray) -> np.ndarray:
    """Turns the ankles of one body [24, 3], in place, until its centre of mass is over its soles;
    returns how it is turned then, from `orientation` [3, 3]."""
    for _ in range(4):
        orientation = stand_on(("soles",), pose, orientation)
        places, mass = _carriers(("soles",), pose)
        off = orientation @ (mass - places.mean(0))
        heading = unit(orientation[:, 2] * [1, 0, 1])
        # A foot that turns its toes down tips the body back.
        for side in SIDES:
            pose[J[f"{side}_ankle"], 0] += np.arctan2(off @ heading, off[1])
    return stand_on(("soles",), pose, orientation)


def _carriers(parts: tuple[str, ...], pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places [N, 3] of `parts`, and the centre of mass [3], in the pelvis's frame."""
    rotations = matrix(pose)
    rotations[0] = np.eye(3)
    world, joints = rig().pose(rotations[None], np.zeros((1, 3)))
    places = []
    for part in parts:
        *one_side, kind = part.split()
        if kind == "seat":
            places += list(_SEAT)
            continue
        for joint, offset in _CARRIERS[kind]:
            for side in one_side or SIDES:
                at = J[f"{side}_{joint}"]
                places.append(joints[0, at] + world[0, at] @ np.array(offset))
    return np.stack(places), rig().mass @ joints[0]
